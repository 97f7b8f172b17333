"""Starting and stopping: what is left behind, what is refused, and what a start that fails says."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from router_backend.triton.server.embedded import shared_memory_prefix
from tests.support.configs import local_config
from tests.support.running import RunningSystem, clean_environment, descendants, llm_router


def alive(pids: dict[int, str]) -> dict[int, str]:
    return {pid: command for pid, command in pids.items() if pid in descendants(pid)}


def wait_until_gone(pids: dict[int, str], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while left := alive(pids):
        assert time.monotonic() < deadline, f"left running: {left}"
        time.sleep(0.1)


def stubs(running: RunningSystem, model: str) -> set[int]:
    return {pid for pid, command in running.pids().items() if "_stub " in command and f"/{model}/" in command}


def shared_memory(running: RunningSystem) -> set[Path]:
    return set(Path("/dev/shm").glob(f"{shared_memory_prefix(running.state_dir / 'triton')}*"))


def test_what_is_killed_comes_back_and_a_signal_stops_it_all(tmp_path: Path) -> None:
    """One system's life: a model's process is killed, then the server, then all is told to stop."""
    running = RunningSystem(tmp_path, config=local_config(tmp_path)).start()
    try:
        a_killed_model_process_comes_back(running)
        a_killed_tritonserver_comes_back(running)
        a_signal_stops_every_process(running, signal.SIGTERM)
    finally:
        running.stop()


def a_killed_model_process_comes_back(running: RunningSystem) -> None:
    """Triton itself doesn't notice. One of the two that watch is killed here; the slow suite kills the others."""
    pids = stubs(running, "feedback")
    os.kill(pids.pop(), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(again := stubs(running, "feedback")) <= len(pids) or pids & again:
        assert time.monotonic() < deadline, running.pids()
        time.sleep(0.1)


def a_killed_tritonserver_comes_back(running: RunningSystem) -> None:
    server = next(pid for pid, command in running.pids().items() if "bin/tritonserver" in command)
    regions = shared_memory(running)
    assert regions
    os.kill(server, signal.SIGKILL)
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    # The gateway goes on meanwhile, with the default model.
    answer = httpx.post(f"{running.gateway}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200
    deadline = time.monotonic() + 60
    while not answer.headers["x-router-reason"].startswith(("policy", "explore")):
        assert time.monotonic() < deadline, answer.headers
        time.sleep(0.2)
        answer = httpx.post(f"{running.gateway}/v1/chat/completions", json=body, timeout=60)
    assert not regions & shared_memory(running)  # a killed server can't clear them away itself


def a_signal_stops_every_process(running: RunningSystem, number: signal.Signals) -> None:
    pids = running.pids()
    assert any("tritonserver" in command for command in pids.values())
    assert running.process is not None
    running.process.send_signal(number)
    assert running.process.wait(60) == 0
    wait_until_gone(pids, seconds=1)
    assert "Exit timeout" not in running.logs()  # Triton ended its models, instead of giving up waiting


def test_an_interrupt_stops_every_process(tmp_path: Path) -> None:
    running = RunningSystem(tmp_path, config=local_config(tmp_path)).start()
    a_signal_stops_every_process(running, signal.SIGINT)


def test_killing_the_launcher_leaves_nothing_behind(tmp_path: Path) -> None:
    running = RunningSystem(tmp_path, config=local_config(tmp_path)).start()
    pids = running.pids()
    assert running.process is not None
    running.process.kill()
    running.process.wait()
    wait_until_gone(pids)


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    repository = tmp_path / "model_repository"
    source = Path(__file__).parents[2] / "model_repository"
    for file in source.rglob("*"):
        if file.is_file():
            target = repository / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    broken = repository / "router" / "1" / "model.py"
    broken.unlink()
    broken.write_text("raise RuntimeError('broken on purpose')")
    running = RunningSystem(tmp_path, config=local_config(tmp_path), model_repository=repository)
    started = subprocess.Popen(
        running.command(), env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    seen: dict[int, str] = {}
    while started.poll() is None:
        seen |= descendants(started.pid)
        time.sleep(0.05)
    assert started.returncode == 1
    assert started.stderr is not None
    message = started.stderr.read()
    assert "failed to load 'router'" in message
    assert "broken on purpose" in message
    wait_until_gone(seen, seconds=1)


def run_up(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*llm_router(), "up", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_named_with_its_flag(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_up("--state-dir", str(tmp_path), "--http-port", str(port))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "--http-port" in done.stderr
    assert "LLM_ROUTER_HTTP_PORT" in done.stderr


def test_a_wrong_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    file = local_config(tmp_path)
    file.write_text(file.read_text().replace("default_model: llama3-8b", "default_model: nobody\nretrys: 3"))
    done = run_up("--state-dir", str(tmp_path), "--config", str(file))
    assert done.returncode == 1
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if text.startswith("retrys"))
    assert f"router.yaml:{line}: retrys: no such setting" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--host", "--triton-host"])
def test_a_public_address_is_refused_without_keys(tmp_path: Path, flag: str) -> None:
    done = run_up("--state-dir", str(tmp_path), flag, "0.0.0.0")
    assert done.returncode == 1
    assert "reachable from outside" in done.stderr
    assert "--allow-unauthenticated" in done.stderr


def test_ready_means_that_a_routed_request_succeeds(system: RunningSystem) -> None:
    assert httpx.get(f"{system.gateway}/health/ready").status_code == 200
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    answer = httpx.post(f"{system.gateway}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["x-router-reason"].partition(":")[0] in ("policy", "explore")
