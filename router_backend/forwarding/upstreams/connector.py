"""Connections of aiohttp that keep an answer whose server wrote more than it had announced."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_HEAD_ENDS = b"\r\n\r\n"


class _TolerantHandler(ResponseHandler):
    """aiohttp's parser drops all that it has found in one read when the read ends in something it can't parse: bytes after
    a complete body would cost the answer, which is paid for. Head and body in two reads leave it only the rest to drop,
    and the connection."""

    def data_received(self, data: bytes) -> None:
        """One read of the network."""
        body = data.find(_HEAD_ENDS) + len(_HEAD_ENDS)
        if len(_HEAD_ENDS) <= body < len(data):
            super().data_received(data[:body])
            data = data[body:]
        super().data_received(data)


class TolerantConnector(aiohttp.TCPConnector):
    """aiohttp's, with that handler."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory = partial(_TolerantHandler, loop=asyncio.get_running_loop())  # type: ignore[assignment]
