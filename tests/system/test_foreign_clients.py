"""Other people's clients, unchanged, on the running system: of TensorRT-LLM on Triton, and tools that measure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from router_backend.classifier.artifact import newest_artifact
from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import TOKENIZER_FILE
from router_backend.lab.bench.perf_analyzer import libraries
from tests.support.foreign import run
from tests.support.running import RunningSystem

HERE = Path(__file__).parent / "foreign"
pytestmark = pytest.mark.slow


async def test_llama_indexs_connector(system: RunningSystem, tmp_path: Path) -> None:
    program = str(HERE / "llama_index_triton.py")
    seen = json.loads(await run("connectors", "python", program, folder=tmp_path, TRITON=system.grpc))
    assert set(seen) == {"llm_router", "llm_router_bls"}
    for answers in seen.values():
        assert "beam_width=4" in answers.pop("refused")
        assert answers.pop("pieces") > 1
        assert all(answers.values()), answers


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A folder with one, by which the tools count tokens; a name would be looked up on a hub."""
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    shutil.copy(newest_artifact(MODEL_REPOSITORY / "classifier") / TOKENIZER_FILE, folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


@pytest.mark.parametrize("service", ["triton", "openai"])
async def test_genai_perf(system: RunningSystem, tokenizer: Path, tmp_path: Path, service: str) -> None:
    endpoint = {
        "triton": ("-m", "llm_router", "--endpoint-type", "kserve", "--backend", "tensorrtllm", "-u", system.grpc),
        "openai": ("-m", "auto", "--endpoint-type", "chat", "-u", system.gateway),
    }
    await run(
        "load",
        *("genai-perf", "profile", *endpoint[service], "--streaming", "--tokenizer", str(tokenizer)),
        *("--synthetic-input-tokens-mean", "20", "--output-tokens-mean", "8", "--num-dataset-entries", "4"),
        *("--request-count", "4", "--concurrency", "2", "--artifact-dir", str(tmp_path / "found")),
        folder=tmp_path,
        LD_LIBRARY_PATH=str(libraries(tmp_path / "libraries")),
        http_proxy="",  # perf_analyzer takes no account of no_proxy
    )
    (report,) = (tmp_path / "found").glob("*/profile_export_genai_perf.json")
    found = json.loads(report.read_text())
    assert found["request_count"]["avg"] == 4
    assert found["output_sequence_length"]["min"] > 0
    assert found["inter_token_latency"]["avg"] > 0


async def test_guidellm(system: RunningSystem, tokenizer: Path, tmp_path: Path) -> None:
    prompts, report = tmp_path / "prompts.jsonl", tmp_path / "report.json"
    prompts.write_text("".join(f'{{"prompt": "Say hello {n} times", "output_tokens_count": 8}}\n' for n in range(6)))
    await run(
        "load",
        *("guidellm", "run", "--disable-console", "--backend", f"kind=openai_http,target={system.gateway},model=auto"),
        *("--profile", "kind=concurrent,streams=2", "--constraint", "kind=max_requests,count=6"),
        *("--tokenizer", f"kind=hf_auto,model={tokenizer}", "--data", f"kind=json_file,path={prompts}"),
        *("--output", f"kind=json,path={report}"),
        folder=tmp_path,
        PYTHONPATH=str(HERE / "stand_ins"),
    )
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    assert {kind: len(benchmark["requests"][kind]) for kind in ("successful", "errored", "incomplete")} == {
        "successful": 6,
        "errored": 0,
        "incomplete": 0,
    }
