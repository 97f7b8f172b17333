"""How long a prompt is, before it is sent: `/v1/messages/count_tokens`, `/v1/responses/input_tokens`, `/v1/chat/completions/input_tokens`."""

from __future__ import annotations

from router_backend.core.jsonio import dump
from router_backend.core.large import off_loop
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.schemas import parse
from router_backend.gateway.stored import StoredResponses
from router_backend.gateway.surfaces.surface import Fields, Surface
from router_backend.prompts.features import describe, estimate_tokens


class CountTokensHandler:
    """POST of the surface's own request; the answer is an estimate, since the model that will read it isn't chosen yet.

    `stored`: where earlier turns may be that a request names; `words`: what an answer says besides.
    """

    def __init__(
        self, runtimes: Runtimes, surface: Surface, stored: StoredResponses | None = None, **words: str
    ) -> None:
        self._runtimes, self._surface, self._stored, self._words = runtimes, surface, stored, words

    async def __call__(self, exchange: Exchange) -> None:
        exchange.error_shape = self._surface.error
        with self._runtimes.current as runtime:
            runtime.keys.admit(exchange, "chat")
            limits = runtime.config.gateway
            raw = await exchange.body(limits.max_body_bytes, limits.body_seconds)
            # Not every client names the model: OpenAI's document doesn't demand it here.
            body, size = await off_loop(len(raw), parse, raw, self._surface.shape, "auto"), len(raw)
            if self._stored and runtime.config.responses.store:
                continued = await self._stored.begin(body, size, exchange.key, runtime.config)
                body, size = continued.asked, size + continued.size
            count = await off_loop(size, self._count, body)
        await exchange.json({**self._words, "input_tokens": count})

    def _count(self, body: Fields) -> int:
        chat = self._surface.codec.request(body) if self._surface.codec else body
        tools = dump(chat["tools"]).decode() if chat.get("tools") else ""
        calls = "".join(
            dump(message["tool_calls"]).decode() for message in chat["messages"] if message.get("tool_calls")
        )
        return describe("", chat["messages"]).prompt_tokens + estimate_tokens(tools + calls)
