"""Tasks of one's own from a file to the running system and back, by commands alone."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from router_backend.contract import TASKS
from tests.support.configs import local_config
from tests.support.running import RunningSystem, llm_router

OWN = {
    "triage": "Which team should handle this ticket about {}: 'since Monday I only see an empty page'?",
    "reply": "Write a friendly reply to a customer who is angry about {}.",
    "script": "A shell script that restarts the worker behind {} when its health check fails.",
    "smalltalk": "thanks, {} works again, have a nice weekend!",
}
TABLE = {"triage": "llama3-70b", "reply": "llama3-8b", "script": "nemotron-49b", "smalltalk": "llama3-8b"}
THINGS = (
    "the app",
    "billing",
    "our CSV import",
    "the search",
    "single sign-on",
    "the e-mails",
    "the map",
    "the calendar",
    "the reports",
    "the keyboard",
)
OPENINGS = (
    "",
    "Hi, ",
    "Quick one: ",
    "Hello team. ",
    "Please help. ",
    "Good evening. ",
    "Dear all, ",
    "One more: ",
    "Hi again, ",
)
TAXONOMY = "tasks:\n" + "".join(f"  - {{name: {name}, description: {name} of tickets}}\n" for name in OWN)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    folder = tmp_path_factory.mktemp("own-tasks")
    config = local_config(folder, tasks=list(OWN), policy={"name": "task", "table": TABLE, "epsilon": 0.0})
    (folder / "tasks.yaml").write_text(TAXONOMY)
    rows = [
        f'"{start}{text.format(thing)}",{name}' for name, text in OWN.items() for thing in THINGS for start in OPENINGS
    ]
    (folder / "tickets.csv").write_text("\n".join(["body,kind", *rows]))
    running = RunningSystem(folder, config=config).start()
    yield running
    running.stop()


def call(running: RunningSystem, *arguments: str, fails: bool = False) -> str:
    done = subprocess.run(
        [*llm_router(), *arguments],
        cwd=running.folder,
        env={**running.environment, "LLM_ROUTER_STATE_DIR": str(running.state_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return " ".join((done.stderr if fails else done.stdout).split())


LABELS = ("tickets.csv", "--text-column", "body", "--label-column", "kind")


def test_own_tasks_are_trained_promoted_decided_by_and_rolled_back(running: RunningSystem) -> None:
    # The console's decisions, the metrics and feedback know the tasks by name; rules by task are followed.
    said = call(running, "train", "--taxonomy", "tasks.yaml", "--out", "own", "--data", *LABELS)
    assert "4 tasks, accuracy on prompts held out" in said
    assert "tasks: [triage, reply, script, smalltalk]" in said
    report = json.loads(call(running, "evaluate", *LABELS, "--artifact", "own", "--json"))
    assert report["task"]["labels"] == list(OWN)
    assert report["task"]["accuracy"] > 0.9

    assert "--gate" in call(running, "promote", "own", fails=True)
    assert decide(running, "triage")["task"] in TASKS
    said = call(running, "promote", "own", "--gate", *LABELS)
    assert "another context" in said

    served_by(running, list(OWN))
    for name in OWN:
        decision = decide(running, name)
        assert (decision["task"], decision["model"]) == (name, TABLE[name])
        assert list(decision["task_probabilities"]) == list(OWN)
    by_triton = route(running, OWN["reply"].format("the clock"))
    assert by_triton["task"] == ["reply"]
    assert len(by_triton["task_probabilities"]) == 12
    assert not any(by_triton["task_probabilities"][4:])

    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": OWN["script"].format("the door")}],
        "max_tokens": 4,
    }
    answer = httpx.post(f"{running.gateway}/v1/chat/completions", json=body, timeout=60)
    decision_id = answer.headers["x-router-decision-id"]
    shown = httpx.get(f"{running.gateway}/v1/decisions/{decision_id}").json()
    assert list(shown["task_probabilities"]) == list(OWN)
    assert "accepted" in call(running, "feedback", decision_id, "--score", "1", "--task", "script")
    counted(running, r'llm_router_decisions_total\{.*task="script"')
    counted(running, r'correct="true",predicted="script"|actual="script".*predicted="script"')

    said = call(running, "promote", "--rollback")
    assert "other tasks (brainstorming" in said
    served_by(running, list(TASKS))
    assert decide(running, "script")["task"] == "code_generation"
    assert route(running, OWN["script"].format("the lamp"))["task"] == ["code_generation"]
    assert "Traceback" not in running.logs()


def decide(running: RunningSystem, name: str) -> dict[str, object]:
    decision: dict[str, object] = json.loads(call(running, "route", OWN[name].format("the printer"), "--json"))
    return decision


def route(running: RunningSystem, text: str) -> dict[str, list[object]]:
    """By Triton's ensemble alone."""
    inputs = [{"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "data": [text]}]
    answer = httpx.post(f"{running.triton}/v2/models/route/infer", json={"inputs": inputs}, timeout=60).json()
    return {each["name"]: each["data"] for each in answer["outputs"]}


def counted(running: RunningSystem, series: str) -> None:
    """Wait until a metric has the series; models hand their counts over from time to time."""
    deadline = time.monotonic() + 60
    while not re.search(series, httpx.get(running.metrics).text):
        assert time.monotonic() < deadline, f"{series} is on no page"
        time.sleep(0.1)


def served_by(running: RunningSystem, tasks: list[str]) -> None:
    """Wait until the router's own copy of the classifier is the promoted one; it looks once a second."""
    asked, deadline = {"messages": [{"role": "user", "content": "What is it?"}]}, time.monotonic() + 60
    while True:
        said = httpx.post(f"{running.gateway}/v1/route", json=asked, timeout=60).json()
        if list(said["task_probabilities"]) == tasks:
            return
        assert time.monotonic() < deadline, f"{said} is not of {tasks}"
        time.sleep(0.1)
