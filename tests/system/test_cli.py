"""The command line as a new user types it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time

import httpx
import pytest
from typer.testing import CliRunner

from router_backend.cli.main import app
from router_backend.config import runtime
from router_backend.contract import TASKS
from tests.support.running import RunningSystem, clean_environment, free_port, llm_router
from tests.support.scripted_upstream import END_OF_CHUNKS, Script, ScriptedUpstream

_HANGS = 600
"""Seconds after which a command is taken for one that hangs; a busy machine may take minutes for what takes seconds."""


def call(system: RunningSystem | None, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = system.environment if system else clean_environment()
    return subprocess.run(
        [*llm_router(), *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_HANGS,
        check=False,
    )


def test_route_prints_the_decision_as_json_alone(system: RunningSystem) -> None:
    done = call(system, "route", "Summarise this: the meeting is moved to Friday.", "--json")
    decision = json.loads(done.stdout)
    assert done.returncode == 0
    assert decision["model"] in decision["scores"]
    assert decision["task"] in TASKS
    assert set(decision) >= {"task_probabilities", "complexity", "propensity", "decision_id", "reason", "timings_ms"}


def test_chat_answers_and_feedback_scores_it(system: RunningSystem) -> None:
    done = call(system, "chat", "Say hello", "--stream", "--max-tokens", "8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    found = re.search(r"decision-id=(\S+)", done.stderr)
    assert found is not None
    scored = call(system, "feedback", found[1], "--score", "1")
    assert scored.returncode == 0, scored.stderr
    assert "accepted, reward" in scored.stdout
    again = call(system, "feedback", found[1], "--score", "0")
    assert "the first score, 1, counts" in again.stdout


async def test_chat_prints_characters_that_look_like_line_ends() -> None:
    text = "a\u2028b\x85c"
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}, ensure_ascii=False)
    async with ScriptedUpstream() as server:
        server.script(Script(frames=[f"data: {chunk}\n\n".encode(), END_OF_CHUNKS]))
        url = f"http://127.0.0.1:{server.port}"
        done = await asyncio.to_thread(call, None, "chat", "Hi", "--stream", "--url", url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == text + "\n"


def test_chat_reads_standard_input(system: RunningSystem) -> None:
    done = call(system, "chat", "-", "--max-tokens", "4", stdin="こんにちは")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("feedback", "01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f", "--score", "1"), "404"),
        (("chat", "Hi", "--model", "nobody"), "nobody"),
        (("chat", "Hi", "--url", "http://127.0.0.1:9"), "llm-router up"),
        (("route", "Hi", "--triton", "127.0.0.1:9"), "llm-router up"),
        (("route", ""), "empty"),
    ],
)
def test_a_failure_is_one_line_and_a_non_zero_exit(
    system: RunningSystem, arguments: tuple[str, ...], said: str
) -> None:
    done = call(system, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_every_command_has_help_with_an_example() -> None:
    runner = CliRunner(env={"COLUMNS": "80"})
    listed = runner.invoke(app, ["--help"]).stdout
    names = re.findall(r"^│ ([a-z][a-z-]+) {2,}\S", listed.partition("Commands")[2], re.MULTILINE)
    assert set(names) >= {"up", "route", "chat", "feedback", "state", "doctor"}
    for name in names:
        done = runner.invoke(app, [name, "--help"])
        assert done.exit_code == 0, name
        assert "Example" in done.stdout or "Commands" in done.stdout, name


def test_doctor_finds_this_machine_ready(tmp_path: pytest.TempPathFactory) -> None:
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0", "--gateway-port", "0")
    done = call(None, "doctor", "--state-dir", str(tmp_path), *ports)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong" not in done.stdout


def test_doctor_says_what_is_missing(tmp_path: pytest.TempPathFactory) -> None:
    done = call(None, "doctor", "--state-dir", str(tmp_path), "--model-repository", str(tmp_path))
    assert done.returncode == 1
    assert "llm-router train" in done.stdout


def test_a_gateway_alone_stands_in_front_of_a_triton_elsewhere(system: RunningSystem) -> None:
    port = free_port()
    command = [*llm_router(), "gateway", "--triton", system.grpc, "--port", str(port)]
    environment = {**system.environment, runtime.LOCAL_URL: "http://127.0.0.1:9/v1"}  # nobody is asked for an answer
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/health/ready"):  # ready: it has had a decision from that Triton
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline, "never ready"
            time.sleep(0.1)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False
