"""The parent of several workers: starts, watches and stops them, and has all of them use a changed configuration, or none.

It serves no request itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router_backend.config import ConfigError
from router_backend.config.load import parse_config
from router_backend.config.schema import RouterConfig
from router_backend.core.background import kept
from router_backend.core.supervisor import Service, Supervisor
from router_backend.gateway.workers.calls import Answers, NoAnswer, Refused, ask
from router_backend.gateway.workers.counts import Counts
from router_backend.gateway.workers.listeners import listeners
from router_backend.gateway.workers.place import Place, socket_of
from router_backend.gateway.workers.shared import Shared, allocate

_START_SECONDS = 120.0
_ASK_SECONDS, _ANSWER_SECONDS = 2.0, 8.0  # a frozen worker is noticed before whoever watches the gateway loses patience
_PREPARE_SECONDS = 30.0  # a tokenizer may have to be read
_START_PAUSE = 0.1
_USE_SECONDS = 5.0
_FILE_SECONDS = 0.5
_FOLDER_CHARACTERS = 80  # a socket's name has 107 bytes
_log = logging.getLogger("llm_router.gateway")


class Parent:
    """Of `count` workers. `arguments`: of this process's command line, which are theirs as well."""

    def __init__(self, path: Path, host: str, port: int, count: int, arguments: Sequence[str]) -> None:
        """Raises ConfigError when the file can't be used, ValueError when the address or the folder can't."""
        self._path = path
        content = _read(path)
        self._seen = _digest(content)  # of the file, whether it could be used or not
        config = _parsed(content, path)
        if config.gateway.extproc_port == 0:
            raise ConfigError(
                f"{path}: gateway.extproc_port: workers share one port; name it, or set gateway.workers to 1"
            )
        self._drain = config.gateway.drain_seconds
        self._sockets = listeners(host, port, count)
        self._folder = _own_folder(self._sockets[0][0].getsockname())
        sessions = config.gateway.sessions_kept
        memory = allocate(count, sessions)
        self._places = [
            Place(index, count, str(self._folder), tuple(each.fileno() for each in sockets), memory, sessions)
            for index, sockets in enumerate(self._sockets)
        ]
        self._shared = Shared(self._places[0])
        self._places[0].config.write_bytes(content)
        self._counts = Counts(self._places[0].metrics)
        self._supervisor = Supervisor(
            [self._service(place, arguments) for place in self._places],
            ask_seconds=_ASK_SECONDS,
            answer_seconds=_ANSWER_SECONDS,
        )
        self._watching = False  # whether a worker that ends or freezes is started again
        self._changing = asyncio.Lock()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; running answers may then go on for `gateway.drain_seconds`. SIGHUP reloads.

        Raises:
            StartFailed: a worker did not start; none is left running.
        """
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reload = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        answers = Answers(socket_of(self._folder), {"reload": self._asked_to_reload, "alive": self._alive})
        tasks: list[asyncio.Task[Any]] = []
        try:
            await answers.open()
            starting = asyncio.create_task(self._supervisor.start(_START_SECONDS))
            stopped = asyncio.create_task(stop.wait())
            tasks += [starting, stopped]
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                self._watching = True
                tasks.append(asyncio.create_task(kept("follow", lambda: self._follow(reload))))
                await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in (each for sockets in self._sockets for each in sockets):
                each.close()
            await self._supervisor.stop(together=True)
            await answers.aclose()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def reload(self) -> None:
        """Have all workers use the file as it is now.

        Raises:
            ConfigError: it can't be used; all go on with the one before.
            NoAnswer: a worker is starting or frozen; all go on with the one before.
        """
        async with self._changing:
            content = _read(self._path)
            self._seen = _digest(content)
            _parsed(content, self._path)
            new = self._folder / "next.yaml"
            new.write_bytes(content)
            sockets = [socket_of(self._folder, place.index) for place in self._places]
            said = await asyncio.gather(*(_prepare(socket, new) for socket in sockets), return_exceptions=True)
            for error in sorted((each for each in said if isinstance(each, BaseException)), key=_silent):
                raise ConfigError(str(error)) from None if isinstance(error, Refused) else error
            new.replace(self._places[0].config)
            done = await asyncio.gather(
                *(ask(socket, "use", _USE_SECONDS) for socket in sockets), return_exceptions=True
            )
            for place, error in zip(self._places, done, strict=True):
                if isinstance(error, BaseException):  # it starts again with what is in force now
                    _log.error("worker %d is ended, it could not change its configuration: %s", place.index, error)
                    self._supervisor.send(_name(place), signal.SIGKILL)

    async def _alive(self) -> bool:
        """This process reads its questions; whether it watches the workers, too."""
        return self._watching

    async def _asked_to_reload(self) -> None:
        try:
            await self.reload()
        except (ConfigError, NoAnswer) as error:
            raise Refused(str(error)) from None

    async def _follow(self, asked: asyncio.Event) -> None:
        """Reload whenever the file's content changes, or somebody asks by a signal."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FILE_SECONDS):
                    await asked.wait()
            try:
                if not asked.is_set() and self._same():
                    continue
                asked.clear()
                await self.reload()
                _log.info("configuration loaded again")
            except NoAnswer as error:
                self._seen = b""  # once more
                _log.error("the configuration in use stays: %s", error)
            except ConfigError as error:
                _log.error("the configuration in use stays: %s", error)

    def _same(self) -> bool:
        """Whether the file is as it was last looked at. It may be gone for a moment while it is replaced."""
        try:
            return _digest(self._path.read_bytes()) == self._seen
        except OSError:
            return True

    def _service(self, place: Place, arguments: Sequence[str]) -> Service:
        starts = 0

        async def ready() -> bool:
            try:
                await ask(socket_of(place.folder, place.index), "alive", 1.0)
            except NoAnswer:
                return False
            return True

        async def alive() -> None:
            try:
                await ask(socket_of(place.folder, place.index), "alive", _ANSWER_SECONDS)
            except NoAnswer as error:
                if error.late:
                    raise TimeoutError from error

        def clear() -> None:
            nonlocal starts
            if starts:
                self._counts.restarted(place.index)
                self._shared.forget_slots(place.index)
            starts += 1
            socket_of(place.folder, place.index).unlink(missing_ok=True)

        return Service(
            name=_name(place),
            command=[sys.executable, "-m", "router_backend.gateway", *arguments, "--worker", place.text()],
            environment=dict(os.environ),
            log_file=None,
            ready=ready,
            alive=alive,
            before_start=clear,
            stop_seconds=self._drain + 4,
            files=(*place.listeners, place.memory),
        )


async def _prepare(socket: Path, config: Path) -> None:
    """Raises NoAnswer when a worker is frozen, or still starting after a while, Refused when it can't use the file."""
    until = time.monotonic() + _PREPARE_SECONDS
    while True:
        try:
            await ask(socket, "prepare", _PREPARE_SECONDS, path=str(config))
            return
        except NoAnswer as error:
            if error.late or time.monotonic() > until:
                raise
        await asyncio.sleep(_START_PAUSE)


def _name(place: Place) -> str:
    return f"worker {place.index}"


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _silent(error: BaseException) -> bool:
    """A refusal says more."""
    return not isinstance(error, Refused)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error}); name the file with --config") from None


def _parsed(content: bytes, path: Path) -> RouterConfig:
    try:
        return parse_config(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: can't be read ({error}); name the file with --config") from None


def _own_folder(address: object) -> Path:
    """An empty one for the gateway at an address, in place of what a killed one has left."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > _FOLDER_CHARACTERS:
        parent = Path("/tmp")
    folder = parent / f"llm-router-{os.getuid()}-{hashlib.sha256(repr(address).encode()).hexdigest()[:12]}.gateway"
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
        raise ValueError(f"{folder} belongs to somebody else: remove it, or set TMPDIR to a folder of your own")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    (folder / "metrics").mkdir()
    return folder
