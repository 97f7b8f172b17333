"""The judge for real: a language model of 135M parameters grades the answers of a running system.

It grades badly, and often not at all. What it says is a grade in the form that was asked for, or it is counted and dropped.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import orjson
import pytest
import yaml

from router_backend.config import load_config
from router_backend.config.runtime import LOCAL_PROFILE
from router_backend.core.judgement import Judgement
from router_backend.core.records import KeptFeedback, Outcome
from router_backend.core.signals import GRADES
from router_backend.state.open import open_store
from tests.support.configs import local_config
from tests.support.running import RunningSystem, llm_router

PROMPTS = [
    "What is the capital of France?",
    "日本の首都はどこですか。",
    "Write one sentence about the sea.",
    "How much is 17 times 3?",
    "Is this review positive or negative? 'I loved every minute.'",
    "Name three uses for a brick.",
    "次の文を短くしてください。「今日はとても天気がよかったので、公園まで歩いて行きました。」",
    "Say hello to my grandmother.",
]
JUDGE = {
    "models": ["llama3-70b", "llama3-8b", "nemotron-49b"],
    "share": 1.0,
    "unsure_share": 1.0,
    "usd_per_day": 5.0,
    "pairs": {"share": 0.5, "reference": "nemotron-49b"},
    "timeout_seconds": 300,
}


@pytest.fixture(scope="module", params=["with a schema", "in free text"])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """A system whose judge has seen all answers, stopped. Without the capability `json` no schema holds the judge to its form."""
    folder = tmp_path_factory.mktemp("judged")
    models = yaml.safe_load(LOCAL_PROFILE.read_text())["models"]
    if request.param == "in free text":
        models = [{**model, "capabilities": []} for model in models]
    running = RunningSystem(
        folder, config=local_config(folder, models=models, judge=JUDGE, implicit={"grace_seconds": 0})
    ).start()
    try:
        for prompt in PROMPTS:
            body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "max_tokens": 40}
            httpx.post(f"{running.gateway}/v1/chat/completions", json=body, timeout=300).raise_for_status()
        deadline = time.monotonic() + 900
        while sum(counts(running).values()) < len(PROMPTS):
            assert time.monotonic() < deadline, counts(running)
            time.sleep(0.2)
        yield running
    finally:
        running.stop()


def counts(running: RunningSystem) -> dict[str, int]:
    """Answers graded, and dropped by cause."""
    page = httpx.get(f"{running.gateway}/metrics", timeout=60).text
    found: dict[str, int] = {}
    for name, labels, value in re.findall(
        r"^llm_router_judge_(graded|dropped)_total\{(.*)\} (\S+)$", page, re.MULTILINE
    ):
        cause = re.search(r'cause="(\w+)"', labels)
        key = cause[1] if cause else name
        found[key] = found.get(key, 0) + int(float(value))
    return found


def kept(folder: Path, running: RunningSystem) -> tuple[list[KeptFeedback], list[Outcome]]:
    config = load_config(folder / "router.yaml")
    with closing(open_store(config.state, running.state_dir)) as store:
        records = list(store.archive().records())
    scores = [record for record in records if isinstance(record, KeptFeedback)]
    return scores, [record for record in records if isinstance(record, Outcome) and record.key == "(judge)"]


@pytest.mark.slow
def test_what_a_small_model_says_is_a_grade_or_is_dropped_and_counted(judged: RunningSystem) -> None:
    found = counts(judged)
    assert judged.stop() == 0
    assert set(found) <= {"graded", "unreadable", "no_answer"}
    scores, paid = kept(judged.folder, judged)
    assert len(scores) == found.get("graded", 0)
    for score in scores:
        assert score.feedback.implicit in GRADES
        assert round(10 * score.feedback.score, 3) in range(11)  # only whole numbers are asked for
        judgement = Judgement.of(score.feedback.tags)
        assert judgement
        assert judgement.judge not in (score.arm, judgement.reference)
        assert bool(judgement.reference) == (score.feedback.implicit == "compared")
    assert len(PROMPTS) <= len(paid) <= 2 * len(PROMPTS)
    assert all(outcome.cost and outcome.usage.completion for outcome in paid)
    command = [
        *llm_router(),
        "state",
        "judge",
        "--json",
        "--config",
        str(judged.config),
        "--state-dir",
        str(judged.state_dir),
    ]
    said = subprocess.run(command, capture_output=True, check=True, env=judged.environment, timeout=120).stdout
    report = orjson.loads(said)
    assert report["graded"] + report["compared"] == len(scores)
    for prompt in PROMPTS:
        assert prompt not in judged.logs()
