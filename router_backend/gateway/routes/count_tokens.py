"""How long a prompt is, before it is sent: `/v1/messages/count_tokens`, `/v1/responses/input_tokens`, `/v1/chat/completions/input_tokens`."""

from __future__ import annotations

from router_backend.core.jsonio import dump
from router_backend.core.large import Body, off_loop
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.schemas import parse
from router_backend.gateway.surfaces.surface import Surface
from router_backend.prompts.features import describe, estimate_tokens


class CountTokensHandler:
    """POST of the surface's own request; the answer is an estimate, since the model that will read it isn't chosen yet.

    `words`: what an answer says besides.
    """

    def __init__(self, runtimes: Runtimes, surface: Surface, **words: str) -> None:
        self._runtimes, self._surface, self._words = runtimes, surface, words

    async def __call__(self, exchange: Exchange) -> None:
        exchange.error_shape = self._surface.error
        with self._runtimes.current as runtime:
            runtime.keys.admit(exchange, "chat")
            limits = runtime.config.gateway
            raw = await exchange.body(limits.max_body_bytes, limits.body_seconds)
            count = await off_loop(len(raw), self._count, raw)
        await exchange.json({**self._words, "input_tokens": count})

    def _count(self, raw: Body) -> int:
        # Not every client names the model: OpenAI's document doesn't demand it here.
        body = parse(raw, self._surface.shape, model="auto")
        chat = self._surface.codec.request(body) if self._surface.codec else body
        tools = dump(chat["tools"]).decode() if chat.get("tools") else ""
        calls = "".join(
            dump(message["tool_calls"]).decode() for message in chat["messages"] if message.get("tool_calls")
        )
        return describe("", chat["messages"]).prompt_tokens + estimate_tokens(tools + calls)
