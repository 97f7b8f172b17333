"""Other people's clients of TensorRT-LLM on Triton, unchanged, on the running system."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
