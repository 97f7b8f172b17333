"""Runs processes together: all start, each is restarted when it dies or answers no more, none is left behind.

Each service leads its own process group, so that its children (Triton's model processes) are stopped with it, and is
killed by the kernel when the launcher itself is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import re
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_GROUP_CHECKS = 100
_START_ABORTS = 2
_REASON_CHARACTERS = 600
# A log is moved aside at this size, and the one aside is the only one: twice this is all that a service may write.
LOG_BYTES = 50_000_000
_LOG_CHECK_SECONDS = 5.0
_ASK_SECONDS = 5.0
_ANSWER_SECONDS = 10.0  # a machine under load is slow, and a restart costs more than a late answer
_MISSES = 2
_READY_SECONDS = 2.0  # that a question whether it is ready gets
_LIBC = ctypes.CDLL(None, use_errno=True)


class StartFailed(RuntimeError):
    """A service ended, or wasn't ready in time; says which log to read."""


@dataclass(slots=True, kw_only=True)
class Service:
    """A process to keep running."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log_file: Path | None  # None: it writes where this process does
    ready: Callable[[], Awaitable[bool]]
    alive: Callable[[], Awaitable[object]] | None = None  # asks it for any answer; TimeoutError: it gave none
    failure: re.Pattern[str] | None = None  # of a line in the log that says best why a start failed
    before_start: Callable[[], None] | None = None  # clears away what the one before may have left
    on_ready: Callable[[int], None] | None = None  # told the process id, once per start
    stop_seconds: float = 15.0  # between SIGTERM and SIGKILL
    files: Sequence[int] = ()  # open files that it inherits
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    restarts: int = field(default=0, init=False)


class Supervisor:
    """Owns the services from `start` to `stop`."""

    def __init__(
        self,
        services: Sequence[Service],
        log_bytes: int = LOG_BYTES,
        log_check_seconds: float = _LOG_CHECK_SECONDS,
        ask_seconds: float = _ASK_SECONDS,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """`ask_seconds`: between two questions whether a service answers, which it has `answer_seconds` for."""
        self._ask_seconds, self._answer_seconds = ask_seconds, answer_seconds
        self._services = list(services)
        self._log_bytes, self._log_check_seconds = log_bytes, log_check_seconds
        self._watchers: list[asyncio.Task[None]] = []
        self._within = 0.0  # seconds that a service has to become ready
        self._stopping = False

    async def start(self, within: float) -> None:
        """Start all services at once; return when all are ready.

        Raises:
            StartFailed: one ended or wasn't ready in `within` seconds. Everything has been stopped by then.
        """
        self._within = within
        try:
            for service in self._services:
                await self._spawn(service, first=True)
            async with asyncio.timeout(within):
                async with asyncio.TaskGroup() as group:
                    for service in self._services:
                        group.create_task(self._until_ready(service))
        except* StartFailed as failures:
            await self.stop()
            raise failures.exceptions[0] from None
        except* TimeoutError:
            late = ", ".join(f"{s.name}{_log_of(s)}" for s in self._services)
            await self.stop()
            raise StartFailed(f"not ready after {within:.0f} s: {late}") from None
        except* BaseException:
            await self.stop()
            raise
        self._watchers = [asyncio.create_task(self._watch(service)) for service in self._services]
        self._watchers.append(asyncio.create_task(self._bound_logs()))

    async def stop(self, together: bool = False) -> None:
        """Stop all services, the last started first or all together, and wait until their process groups are gone."""
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        if together:
            await asyncio.gather(*map(_terminate, self._services))
        for service in reversed(self._services):
            await _terminate(service)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one service, if it runs."""
        for service in self._services:
            if service.name == name and service.process is not None and service.process.returncode is None:
                service.process.send_signal(number)

    async def _spawn(self, service: Service, first: bool = False) -> asyncio.subprocess.Process:
        if service.before_start is not None:
            service.before_start()
        with contextlib.ExitStack() as open_files:
            output = None
            if service.log_file is not None:
                service.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                output = open_files.enter_context(_open_log(service.log_file, os.O_TRUNC if first else 0))
            service.process = await asyncio.create_subprocess_exec(
                *service.command,
                env=service.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_lead_group,
                pass_fds=service.files,
            )
        return service.process

    async def _bound_logs(self) -> None:
        while True:
            for file in [service.log_file for service in self._services if service.log_file]:
                try:
                    await asyncio.to_thread(_rotate, file, self._log_bytes)
                except OSError as error:  # a full disk, say; the next look may succeed
                    log.warning("%s could not be rotated: %s", file, error)
            await asyncio.sleep(self._log_check_seconds)

    async def _until_ready(self, service: Service) -> None:
        process = service.process
        assert process is not None
        aborts = _START_ABORTS
        while not await _is_ready(service):
            if process.returncode is not None and process.returncode < 0 and aborts and not self._stopping:
                # tritonserver 2.51 may abort on a lock in shared memory while its models start on a busy machine.
                aborts -= 1
                log.warning("%s was ended by signal %d while starting; once more", service.name, -process.returncode)
                _signal_group(process.pid, signal.SIGKILL)
                process = await self._spawn(service)
                continue
            if process.returncode is not None:
                raise StartFailed(
                    f"{service.name} ended with code {process.returncode} while starting: {_reason(service)}{_log_of(service)}"
                )
            await asyncio.sleep(0.05)
        if service.on_ready is not None:
            service.on_ready(process.pid)

    async def _watch(self, service: Service) -> None:
        pause = 0.2
        while not self._stopping:
            assert service.process is not None
            code = await self._ended(service, service.process)
            log.warning("%s ended with code %s; starting it again in %.1f s", service.name, code, pause)
            _signal_group(service.process.pid, signal.SIGKILL)  # children that outlived it hold its ports
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)
            service.restarts += 1
            await self._spawn(service)
            try:
                async with asyncio.timeout(self._within):
                    await self._until_ready(service)
                pause = 0.2
            except StartFailed as error:
                log.error("%s", error)
            except TimeoutError:
                log.error("%s is not ready after %.0f s: it is killed", service.name, self._within)
                _signal_group(service.process.pid, signal.SIGKILL)

    async def _ended(self, service: Service, process: asyncio.subprocess.Process) -> int:
        """The exit code of a service; one that doesn't answer any more is killed first."""
        asking = asyncio.create_task(self._ask(service, process.pid))
        try:
            return await process.wait()
        finally:
            asking.cancel()

    async def _ask(self, service: Service, group: int) -> None:
        missed = 0
        while service.alive is not None:
            await asyncio.sleep(self._ask_seconds)
            try:
                async with asyncio.timeout(self._answer_seconds):
                    await service.alive()
                missed = 0
            except TimeoutError:
                missed += 1
            if missed == _MISSES:
                log.error("%s runs, but has not answered %d times: it is killed", service.name, missed)
                _signal_group(group, signal.SIGKILL)


async def _is_ready(service: Service) -> bool:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            return await service.ready()
    except TimeoutError:
        return False


def _open_log(path: Path, flag: int) -> BinaryIO:
    """A log, for its owner alone, that of an earlier version included."""
    # Appending, so that the service goes on at the start once the log is cut.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flag, 0o600)
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "wb")


def _rotate(path: Path, limit: int) -> None:
    """Copy a log that is too long to `<name>.1` and cut it: its service keeps it open. A line written in between is lost."""
    if not path.exists() or path.stat().st_size < limit:
        return
    with path.open("rb") as source, _open_log(path.with_name(path.name + ".1"), os.O_TRUNC) as aside:
        source.seek(-limit, os.SEEK_END)  # the newest part
        shutil.copyfileobj(source, aside)
    os.truncate(path, 0)


def _lead_group() -> None:
    os.setpgid(0, 0)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _terminate(service: Service) -> None:
    process = service.process
    if process is None:
        return
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(service.stop_seconds):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not stop within %.0f s and is killed", service.name, service.stop_seconds)
    # Triton's model processes end by themselves, or here. A zombie whose init doesn't reap it stays in the group: bounded.
    for _ in range(_GROUP_CHECKS):
        if not _signal_group(process.pid, signal.SIGKILL):
            return
        await asyncio.sleep(0.02)


def _signal_group(group: int, number: signal.Signals) -> bool:
    """False if no process of the group is left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _log_of(service: Service) -> str:
    return f" (log: {service.log_file})" if service.log_file else ""


def _reason(service: Service) -> str:
    if service.log_file is None:
        return "it says why itself"
    lines = [line.strip() for line in service.log_file.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if service.failure and service.failure.search(line)] or lines[-1:]
    return telling[0][:_REASON_CHARACTERS] if telling else "no output"
