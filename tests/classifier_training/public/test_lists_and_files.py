"""Labelled prompts of public collections: from files of a folder here, since tests have no network."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from classifier_training.data import DataError
from classifier_training.data.files import load_prompts
from classifier_training.data.public.__main__ import main
from classifier_training.data.public.fetching import fetch
from classifier_training.data.public.lists import File, Source, sources
from classifier_training.data.public.readers import READERS
from router_backend.contract import TASKS

CONTENT: dict[str, object] = {
    "niilc-dev.xml": "<questions><question><text>\n助詞は何の後につく?</text></question></questions>",
    "vicuna-bench.jsonl": [
        {"question_id": 1, "category": "roleplay", "turns": ["You are a pirate. Speak.", "And now?"]},
        {"question_id": 2, "category": "fermi", "turns": ["How many atoms are in a grain of salt?"]},
    ],
    "mt-bench.jsonl": [
        {"question_id": 90, "category": "writing", "turns": ["Correct this: he go home."]},
        {"question_id": 93, "category": "roleplay", "turns": ["Be a doctor and a poet."]},
    ],
    "ja-vicuna-qa.jsonl": [{"question_id": 61, "category": "coding", "turns": ["C++で書いて"]}],
    "gsm8k-train.jsonl": [{"question": "How many are 2 and 3?", "answer": "5"}],
    "svamp.json": [{"Body": "Dan has 3 pens.", "Question": "How many pens has he?"}],
    "HumanEval.jsonl.gz": [{"prompt": "def add(a, b):\n"}],
    "clinc150.json": {"train": [["hello there", "greeting"], ["freeze my card", "freeze_account"]], "test": []},
    "jsquad-valid-v1.3.json": {
        "data": [{"paragraphs": [{"context": "梅雨 [SEP] 雨季の一種。", "qas": [{"question": "梅雨とは何か。"}]}]}]
    },
    "ner-wikipedia.json": [{"text": "山田さんは京都にいる。", "entities": []}],
    "databricks-dolly-15k.jsonl": [
        {"instruction": "Name three fruits", "context": "", "category": "brainstorming"},
        {"instruction": "Who won?", "context": "Ann won.", "category": "closed_qa"},
    ],
}


def write(folder: Path) -> None:
    for name, content in CONTENT.items():
        lines = ".jsonl" in name and isinstance(content, list)
        text = "\n".join(map(json.dumps, content)) if lines else json.dumps(content)  # type: ignore[arg-type]
        if name.endswith(".xml"):
            text = str(content)
        raw = text.encode()
        (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)


def unchecked() -> list[Source]:
    """Those whose files are in `CONTENT`."""
    return [
        replace(source, files=tuple(replace(file, sha256="") for file in source.files))
        for source in sources()
        if all(file.name in CONTENT for file in source.files)
    ]


def test_every_source_says_its_licence_where_it_is_and_how_it_is_read() -> None:
    for source in sources():
        assert source.licence
        assert source.page.startswith("https://")
        assert source.name in READERS
        for file in source.files:
            assert file.url.startswith("https://")
            assert file.sha256 == "" or len(file.sha256) == 64


def test_files_of_a_folder_become_prompts_that_training_reads(tmp_path: Path) -> None:
    write(tmp_path)
    found = fetch(unchecked(), tmp_path / "prompts.csv", tmp_path, download=False)
    rows = load_prompts([str(tmp_path / "prompts.csv")])
    labelled = {text: TASKS[task] for text, task in zip(rows.texts, rows.tasks, strict=True)}
    assert sum(found.rows.values()) == len(rows) == 14
    assert labelled["hello there"] == "chatbot"
    assert labelled["freeze my card"] == "other"
    assert labelled["梅雨\n雨季の一種。\n\n梅雨とは何か。"] == "closed_qa"
    assert labelled["梅雨とは何か。"] == "open_qa"
    assert labelled["Who won?\n\nAnn won."] == "closed_qa"
    assert labelled["Dan has 3 pens. How many pens has he?"] == "math"
    assert labelled["助詞は何の後につく?"] == "open_qa"
    assert labelled["You are a pirate. Speak."] == "chatbot"
    assert labelled["Correct this: he go home."] == "rewrite"
    assert labelled["C++で書いて"] == "code_generation"
    assert set(rows.languages) == {"en", "ja"}


def test_all_missing_files_are_named_with_their_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "prompts.csv"), "--from", str(tmp_path), "--source", "gsm8k", "--source", "svamp"]) == 1
    said = capsys.readouterr().err
    for name in ("gsm8k-train.jsonl", "svamp.json"):
        assert f"{tmp_path / name} is missing: save https://" in said
    assert not (tmp_path / "prompts.csv").exists()


def test_a_collection_that_the_shipped_artifact_is_not_made_from_is_read_by_name_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert (
        "dolly: CC-BY-SA-3.0, https://huggingface.co/datasets/databricks/databricks-dolly-15k, with --source only"
        in (capsys.readouterr().out)
    )
    assert main([str(tmp_path / "prompts.csv"), "--from", str(tmp_path)]) == 1
    assert "dolly" not in capsys.readouterr().err
    assert main([str(tmp_path / "prompts.csv"), "--from", str(tmp_path), "--source", "dolly"]) == 1
    assert "databricks-dolly-15k.jsonl is missing" in capsys.readouterr().err


def test_another_file_of_the_same_name_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match=r"svamp\.json is not the file that the list means: SHA-256"):
        fetch(sources(["svamp"]), tmp_path / "prompts.csv", tmp_path, download=False)


def test_a_file_of_another_form_is_an_error(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "svamp.json").write_text('[{"Body": "no question"}]')
    wanted = [source for source in unchecked() if source.name == "svamp"]
    with pytest.raises(DataError, match=r"can't be read as a file of https://github.com/arkilpatel/SVAMP"):
        fetch(wanted, tmp_path / "prompts.csv", tmp_path, download=False)


def test_what_is_not_there_is_downloaded_once(tmp_path: Path) -> None:
    content = json.dumps(CONTENT["svamp.json"]).encode()
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/svamp.json" else 404)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        here = File("svamp.json", f"{url}/svamp.json", hashlib.sha256(content).hexdigest())
        source = Source("svamp", "MIT", "https://example.org", (here,))
        for _ in range(2):
            assert fetch([source], tmp_path / "p.csv", tmp_path / "files", download=True).rows == {"svamp": 1}
        assert asked == ["/svamp.json"]
        gone = replace(source, files=(replace(here, name="gone.json", url=f"{url}/gone.json"),))
        with pytest.raises(DataError, match=r"gone\.json: HTTP Error 404.*use --from with a folder"):
            fetch([gone], tmp_path / "p.csv", tmp_path / "files", download=True)
    finally:
        server.shutdown()
        server.server_close()


def test_a_file_that_is_no_xml_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "niilc-dev.xml").write_text("<questions><question>")
    wanted = [source for source in unchecked() if source.name == "niilc-qa"]
    with pytest.raises(DataError, match=r"can't be read as a file of https://github.com/mynlp/niilc-qa"):
        fetch(wanted, tmp_path / "prompts.csv", tmp_path, download=False)


def test_an_unknown_source_is_an_error() -> None:
    with pytest.raises(DataError, match="no source 'nowhere'; there are "):
        sources(["nowhere"])
