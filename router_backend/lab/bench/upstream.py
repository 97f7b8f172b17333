"""The static upstream: an OpenAI surface that answers at once, with the same bytes each time.

    python -m router_backend.lab.bench.upstream --port 9000

nginx would do for whole answers; it can't choose by the body between a whole answer and a stream, nor write a stream's
chunks one by one. A protocol on uvloop that only looks for the end of the head and for `"stream":true` costs about as
little."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import cast

import uvloop

CHUNKS = 100  # content chunks of a stream
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_END = b"data: [DONE]\n\n"


def _answer() -> bytes:
    usage = {"prompt_tokens": 60, "completion_tokens": 16, "total_tokens": 76}
    message = {"role": "assistant", "content": "A static answer, as long as a short one of a model would be."}
    body = {
        "id": "chatcmpl-static",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "static",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }
    data = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def _frame(delta: dict[str, str], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-static",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "static",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _encoded(frame: bytes) -> bytes:
    return f"{len(frame):x}\r\n".encode() + frame + b"\r\n"


_ANSWER = _answer()
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_FRAMES = [
    _encoded(_frame({"role": "assistant", "content": ""})),
    *(_encoded(_frame({"content": f"word{number} "})) for number in range(CHUNKS)),
    _encoded(_frame({}, "stop")),
    _encoded(_END) + b"0\r\n\r\n",
]
_GET = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class StaticUpstream(asyncio.Protocol):
    """One connection: requests one after the other, kept alive."""

    def __init__(self) -> None:
        self._buffer = bytearray()  # grows in place: a copy for each read of a body of 8 MB would be somebody's wait
        self._transport: asyncio.Transport
        self._writable = asyncio.Event()
        self._writable.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            found = _LENGTH.search(head)
            stop = end + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < stop:
                return
            streams = _STREAM.search(self._buffer, end, stop) is not None
            del self._buffer[:stop]
            self._reply(head, streams)

    def _reply(self, head: bytearray, streams: bool) -> None:
        if not head.startswith(b"POST"):
            self._transport.write(_GET)
        elif not streams:
            self._transport.write(_ANSWER)
        else:
            task = asyncio.ensure_future(self._stream())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _stream(self) -> None:
        self._transport.write(_STREAM_HEAD)
        for frame in _FRAMES:
            await self._writable.wait()
            if self._transport.is_closing():
                return
            self._transport.write(frame)
            await asyncio.sleep(0)  # each chunk is a write of its own


async def serve(port: int) -> None:
    """Serve on loopback until the process ends."""
    server = await asyncio.get_running_loop().create_server(StaticUpstream, "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Answer every chat request with the same bytes.")
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
