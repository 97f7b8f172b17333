"""What stands in the way of the public collections: files of another form, folders where files belong, downloads that end early."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from classifier_training.data import DataError
from classifier_training.data.public.__main__ import main
from classifier_training.data.public.fetching import Fetched, fetch, fetch_answers, replacing
from classifier_training.data.public.lists import File, Source, sources

ROWS = json.dumps([{"Body": "Dan has 3 pens.", "Question": "How many pens has he?"}]).encode()


def svamp(url: str = "https://example.org/svamp.json", sha256: str = "") -> Source:
    return Source("svamp", "MIT", "https://example.org", (File("svamp.json", url, sha256),))


@contextmanager
def serving(length: int | None, content: bytes = ROWS) -> Iterator[str]:
    """A server that sends `content`, and says that it is `length` bytes long."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/svamp.json"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("length", [len(ROWS), None], ids=["length said", "length not said"])
def test_a_download_that_ends_early_leaves_no_file(tmp_path: Path, length: int | None) -> None:
    whole = hashlib.sha256(ROWS).hexdigest()
    with serving(length, ROWS[:-9]) as url, pytest.raises(DataError, match=r"svamp\.json: .*save it as"):
        fetch([svamp(url, whole)], tmp_path / "p.csv", tmp_path / "files", download=True)
    assert list((tmp_path / "files").iterdir()) == []
    with serving(len(ROWS)) as url:
        assert fetch([svamp(url, whole)], tmp_path / "p.csv", tmp_path / "files", download=True).rows == {"svamp": 1}


def test_a_server_that_speaks_something_else_is_an_error(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"220 mail.example.org ready\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(DataError, match="save it as"):
            fetch([svamp(f"http://127.0.0.1:{server.server_port}/")], tmp_path / "p.csv", tmp_path / "f", download=True)
    finally:
        server.shutdown()
        server.server_close()


def test_two_may_write_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "svamp.json").mkdir()
    with serving(len(ROWS)) as url:
        for download in (False, True):
            with pytest.raises(DataError, match=r"svamp\.json is no file: move it away"):
                fetch([svamp(url)], tmp_path / "p.csv", tmp_path, download)


def test_a_folder_to_read_from_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        fetch([svamp()], tmp_path / "p.csv", tmp_path / "typo", download=False)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b'["a"]', b'{"Body": 1}', b'[{"Body": 1, "Question": 2}]', b"\xff", b"[{}]", b"[null]"]
    + [b'[{"Body": "\\ud800", "Question": "How many?"}]'],
    ids=["deep", "texts", "object", "numbers", "bytes", "empty", "null", "half a character"],
)
def test_json_of_another_form_is_an_error_and_writes_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "svamp.json").write_bytes(content)
    with pytest.raises(DataError, match=r"can't be read as a file of https://example\.org"):
        fetch([svamp()], tmp_path / "p.csv", tmp_path, download=False)
    assert [path.name for path in tmp_path.iterdir()] == ["svamp.json"]


@pytest.mark.parametrize("keep", [5, 20, -8])
def test_a_compressed_file_that_is_cut_is_an_error(tmp_path: Path, keep: int) -> None:
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "def add(a, b):"}\n' * 50)[:keep])
    source = Source("humaneval", "MIT", "https://example.org", (File("HumanEval.jsonl.gz", "https://example.org", ""),))
    with pytest.raises(DataError, match="can't be read as a file"):
        fetch([source], tmp_path / "p.csv", tmp_path, download=False)


def test_a_compressed_file_with_another_byte_is_an_error(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(b'{"prompt": "def add(a, b):"}\n'))
    raw[12] ^= 0xFF
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(raw)
    source = Source("humaneval", "MIT", "https://example.org", (File("HumanEval.jsonl.gz", "https://example.org", ""),))
    with pytest.raises(DataError, match="can't be read as a file"):
        fetch([source], tmp_path / "p.csv", tmp_path, download=False)


def zipped(path: Path, kind: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if kind != "empty":
            archive.writestr("a.json", json.dumps([{"question_id": 1}] * 50))
    raw = bytearray(path.read_bytes())
    if kind == "encrypted":
        raw[6] |= 1
        raw[raw.index(b"PK\x01\x02") + 8] |= 1
    if kind == "another byte":
        raw[38] ^= 0xFF
    path.write_bytes(raw[:-30] if kind == "cut" else raw)


@pytest.mark.parametrize("kind", ["empty", "encrypted", "another byte", "cut", "other columns"])
def test_an_archive_of_another_form_is_an_error(tmp_path: Path, kind: str) -> None:
    zipped(tmp_path / "mmlu_pro_m.zip", kind)
    source = Source("mmlu_pro", "MIT", "https://example.org", (File("mmlu_pro_m.zip", "https://example.org", ""),))
    with pytest.raises(DataError, match="can't be read as a file"):
        fetch_answers([source], tmp_path / "answers", tmp_path, download=False)
    assert list((tmp_path / "answers").iterdir()) == []


def test_a_source_that_is_named_twice_is_written_once() -> None:
    assert [source.name for source in sources(["svamp", "gsm8k", "svamp"])] == ["svamp", "gsm8k"]


@pytest.mark.parametrize("place", ["a folder", "below a file", "no name"])
def test_what_cannot_be_written_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("classifier_training.data.public.fetching._have", lambda *_: {})
    monkeypatch.setattr("classifier_training.data.public.fetching._read", lambda *_: iter(()))
    (tmp_path / "file").write_text("")
    out = {"a folder": tmp_path, "below a file": tmp_path / "file" / "p.csv", "no name": Path()}[place]
    assert main([str(out), "--from", str(tmp_path), "--source", "svamp"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(out) in said


def test_answers_into_a_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifier_training.data.public.__main__.fetch", lambda *_: Fetched({}, {}))
    (tmp_path / "answers").write_text("mine")
    assert main([str(tmp_path / "p.csv"), "--from", str(tmp_path), "--answers", str(tmp_path / "answers")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path / "answers") in said
    assert (tmp_path / "answers").read_text() == "mine"


def test_a_reader_that_is_interrupted_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[object]:
        raise KeyboardInterrupt
        yield

    (tmp_path / "svamp.json").write_bytes(ROWS)
    (tmp_path / "p.csv").write_text("before")
    monkeypatch.setattr("classifier_training.data.public.fetching._read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch([svamp()], tmp_path / "p.csv", tmp_path, download=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "svamp.json"]
    assert (tmp_path / "p.csv").read_text() == "before"


def test_nobody_who_reads_the_list_is_no_error() -> None:
    """As with `| head`."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "classifier_training.data.public"], stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert (done.stderr, done.returncode) == (b"", 130)
