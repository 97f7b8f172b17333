"""A gateway as a process between a good upstream, a hostile process and well-behaved clients, and what is measured there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.arms import model
from tests.support.running import PROJECT, clean_environment, descendants, free_port
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

TOTAL = 60.0
"""Seconds that the gateway gives a request. A well-behaved client's has them, whatever the others do: how fast it is
answered is reported, and is no reason to fail on a machine that has other work."""
PATIENCE = 15.0
"""Seconds that the gateway waits for a silent model."""
LIMITS = {"write_seconds": 5}
MEGABYTE = 1024 * 1024


@dataclass(slots=True)
class Seen:
    """What the well-behaved clients saw. Times are seconds."""

    named: list[float] = field(default_factory=list)  # the good model, by its name
    routed: list[float] = field(default_factory=list)  # the bad model first, so that these may wait for its limits
    failures: list[str] = field(default_factory=list)
    decisions: set[str] = field(default_factory=set)  # that were answered
    scored: set[str] = field(default_factory=set)  # whose feedback was acknowledged


@dataclass(slots=True)
class Arena:
    """A running gateway under attack."""

    triton: ScriptedTriton
    gateway: asyncio.subprocess.Process
    port: int
    hostile: asyncio.subprocess.Process
    seen: Seen = field(default_factory=Seen)

    @property
    def memory(self) -> int:
        """Resident bytes of the gateway, all of its workers together."""
        assert self.gateway.returncode is None, "the gateway has ended"
        total = 0
        for process in descendants(self.gateway.pid):
            with contextlib.suppress(OSError):  # one that has ended meanwhile
                match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
                total += int(match[1]) * 1024 if match else 0
        return total

    @property
    def core(self) -> tuple[float, float]:
        """Seconds that the loops of the gateway's workers have had a core, and that they have waited for one."""
        ran = waited = 0
        for process in descendants(self.gateway.pid):
            with contextlib.suppress(OSError):
                numbers = Path(f"/proc/{process}/schedstat").read_text().split()
                ran, waited = ran + int(numbers[0]), waited + int(numbers[1])
        return ran / 1e9, waited / 1e9

    async def serve_well_behaved(self, seconds: float, workers: int = 4) -> None:
        """Ask and score, one request after the other, for so long."""
        until = time.monotonic() + seconds
        url = f"http://127.0.0.1:{self.port}"
        async with httpx.AsyncClient(base_url=url, timeout=TOTAL + 5, trust_env=False) as http:

            async def work(at: int) -> None:
                # Every second one asks for the good model alone: it waits for nobody's limits.
                rng, routed = random.Random(at), 0.6 * (at % 2)
                while time.monotonic() < until:
                    await self._ask(http, "auto" if rng.random() < routed else "good", stream=rng.random() < 0.5)
                    await asyncio.sleep(0.02)

            await asyncio.gather(*map(work, range(workers)))

    async def _ask(self, http: httpx.AsyncClient, name: str, stream: bool) -> None:
        # A stream of the bad model that has begun can't be taken back, so routed answers are asked for whole.
        body: dict[str, Any] = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
        body["stream"] = stream and name == "good"
        started = time.monotonic()
        try:
            response = await http.post("/v1/chat/completions", json=body)
            taken = time.monotonic() - started
            if response.status_code != 200 or not _complete(response.text, name, body["stream"]):
                self.seen.failures.append(f"{name} {response.status_code} {response.text[:500]}")
                return
            (self.seen.named if name == "good" else self.seen.routed).append(taken)
            decision = response.headers["x-router-decision-id"]
            self.seen.decisions.add(decision)
            score = {"decision_id": decision, "score": 1}
            given = await http.post("/v1/feedback", json=score)
            while given.status_code == 503 and time.monotonic() < started + TOTAL:  # "send it again later"
                await asyncio.sleep(float(given.headers["retry-after"]))
                given = await http.post("/v1/feedback", json=score)
            if given.status_code == 200:
                self.seen.scored.add(decision)
            else:
                self.seen.failures.append(f"feedback {given.status_code} {given.text[:500]}")
        except httpx.HTTPError as error:
            self.seen.failures.append(f"{name} {type(error).__name__} {error} after {time.monotonic() - started:.1f} s")

    async def calm(self) -> None:
        """End the attack."""
        if self.hostile.returncode is None:
            assert self.hostile.stdin
            self.hostile.stdin.close()
            await self.hostile.wait()

    async def lost(self, within: float = 60) -> set[str]:
        """Answered decisions without an outcome, and acknowledged scores that nobody has."""
        async with asyncio.timeout(within):
            with contextlib.suppress(TimeoutError):
                while self.seen.decisions - set(self.triton.outcomes):
                    await asyncio.sleep(0.1)
        return (self.seen.decisions - set(self.triton.outcomes)) | (
            self.seen.scored - {decision for decision, _ in self.triton.scores}
        )

    async def memory_after(self, bound: int, within: float = 60) -> int:
        """Resident bytes when they are below `bound`, or after so many seconds."""
        until = time.monotonic() + within
        while self.memory > bound and time.monotonic() < until:
            await asyncio.sleep(0.25)
        return self.memory

    async def series(self) -> int:
        """How many time series the gateway's metrics have."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            text = (await http.get(f"http://127.0.0.1:{self.port}/metrics")).text
        return sum(not line.startswith("#") for line in text.splitlines())


def _complete(text: str, name: str, stream: bool) -> bool:
    """The good model's whole text; any answer with a choice, if the bad one may have written it."""
    if stream:
        chunks = [line[6:] for line in text.split("\n\n") if line.startswith("data: ")]
        said = [json.loads(chunk)["choices"] for chunk in chunks[:-1]]
        return (
            chunks[-1:] == ["[DONE]"]
            and "".join(c["delta"].get("content") or "" for s in said for c in s) == "Hello, world"
        )
    choices = json.loads(text)["choices"]
    return bool(choices) and (name == "auto" or choices[0]["message"]["content"] == "Hello, world")


@contextlib.asynccontextmanager
async def arena(folder: Path, seed: int, only: str = "", patience: float = PATIENCE) -> AsyncIterator[Arena]:
    """Everything started, and warm; the attack has not begun: `attack` does that."""
    async with ScriptedUpstream() as good, contextlib.AsyncExitStack() as stack:
        triton = ScriptedTriton(["bad", "good"])
        await triton.start()
        stack.push_async_callback(triton.stop)
        hostile = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attack.hostile", str(seed), *([only] if only else [])),
            cwd=PROJECT,
            env=dict(clean_environment()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        stack.push_async_callback(_end, hostile)
        assert hostile.stdout
        bad = f"http://127.0.0.1:{int(await hostile.stdout.readline())}/v1"
        config = {
            "version": 1,
            "models": [model("good", good.base_url), model("bad", bad)],
            "default_model": "good",
            "policy": {"name": "random"},
            "timeouts": {"connect": patience, "first_token": patience, "idle": patience, "total": TOTAL},
            "gateway": LIMITS,
            "routing": {"deadline_ms": 10_000},
        }
        (folder / "router.yaml").write_text(yaml.safe_dump(config))
        port = free_port()
        with (folder / "gateway.log").open("wb") as log:
            gateway = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "router_backend.gateway", "--config", str(folder / "router.yaml")),
                *("--port", str(port), "--triton-url", triton.url),
                cwd=PROJECT,
                env=dict(clean_environment()),
                stdout=log,
                stderr=log,
            )
        stack.push_async_callback(_end, gateway)
        made = Arena(triton, gateway, port, hostile)
        await _until_live(port)
        await made.serve_well_behaved(1)
        yield made


def attack(made: Arena) -> None:
    """Let the hostile process begin."""
    made.seen = Seen()
    assert made.hostile.stdin
    made.hostile.stdin.write(f"{made.port}\n".encode())


async def _until_live(port: int) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as http:
        while True:
            with contextlib.suppress(httpx.ConnectError):
                await http.get(f"http://127.0.0.1:{port}/health/live")
                return
            await asyncio.sleep(0.05)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def quantile(values: list[float], share: float) -> float:
    """Seconds; 0 of nothing."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0
