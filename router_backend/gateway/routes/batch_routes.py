"""Which URL of files and batches is answered by what, where they are on and where they are off."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from router_backend.gateway.batches import shelves
from router_backend.gateway.batches.desk import Desk
from router_backend.gateway.batches.storage.objects import ObjectsError
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.http.exchange import Exchange, Handler
from router_backend.gateway.routes.batches import BatchHandlers
from router_backend.gateway.routes.files import FileHandlers
from router_backend.gateway.runtime import Runtimes

_log = logging.getLogger("llm_router.gateway")
Do = Callable[[Exchange, str], Awaitable[None]]


def batch_routes(desk: Desk | None, runtimes: Runtimes) -> dict[str, dict[str, Handler]]:
    """Handlers by path and method. `desk`: None where batches are off."""
    if desk is None:
        off = _guarded(_refuse, runtimes)
        return {
            "/v1/files": {"POST": off, "GET": off},
            "/v1/files/*": {"GET": off, "DELETE": off},
            "/v1/files/*/content": {"GET": off},
            "/v1/batches": {"POST": off, "GET": off},
            "/v1/batches/*": {"GET": off},
            "/v1/batches/*/cancel": {"POST": off},
        }
    files, batches = FileHandlers(desk), BatchHandlers(desk)
    return {
        "/v1/files": {"POST": _guarded(files.create, runtimes), "GET": _guarded(files.list, runtimes)},
        "/v1/files/*": {"GET": _guarded(files.show, runtimes), "DELETE": _guarded(files.remove, runtimes)},
        "/v1/files/*/content": {"GET": _guarded(files.content, runtimes)},
        "/v1/batches": {"POST": _guarded(batches.create, runtimes), "GET": _guarded(batches.list, runtimes)},
        "/v1/batches/*": {"GET": _guarded(batches.show, runtimes)},
        "/v1/batches/*/cancel": {"POST": _guarded(batches.cancel, runtimes)},
    }


async def _refuse(exchange: Exchange, owner: str) -> None:
    raise ApiError(404, "Files and batches are off here (batches.place in router.yaml)", code="batches_off")


def _guarded(do: Do, runtimes: Runtimes) -> Handler:
    """`do` with the owner of what it is about, for keys that may."""

    async def handle(exchange: Exchange) -> None:
        runtimes.current.keys.admit(exchange, "chat")
        try:
            await do(exchange, shelves.owner_of(exchange.key))
        except ObjectsError as error:
            if exchange.begun:
                raise  # half of a file is out
            _log.warning("files can't be read or written: %s", error)
            message = "Files can't be read or written now; send it again later"
            raise ApiError(503, message, type="server_error", code="files_unavailable", retry_after=5) from None

    return handle
