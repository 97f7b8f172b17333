"""`/v1/messages/count_tokens`: how long a prompt is, before it is sent."""

from __future__ import annotations

from router_backend.core.jsonio import dump
from router_backend.core.large import off_loop
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.runtime import Runtimes
from router_backend.gateway.schemas import parse
from router_backend.gateway.surfaces.messages import MESSAGES, chat_request
from router_backend.prompts.features import describe, estimate_tokens


class CountTokensHandler:
    """POST of a Messages request; the answer is an estimate, since the model that will read the prompt isn't chosen yet."""

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes

    async def __call__(self, exchange: Exchange) -> None:
        exchange.error_shape = MESSAGES.error
        with self._runtimes.current as runtime:
            runtime.keys.admit(exchange, "chat")
            limits = runtime.config.gateway
            raw = await exchange.body(limits.max_body_bytes, limits.body_seconds)
            count = await off_loop(len(raw), _count, raw)
        await exchange.json({"input_tokens": count})


def _count(raw: bytes) -> int:
    chat = chat_request(parse(raw, MESSAGES.shape))
    tools = dump(chat["tools"]).decode() if chat.get("tools") else ""
    calls = "".join(dump(message["tool_calls"]).decode() for message in chat["messages"] if "tool_calls" in message)
    return describe("", chat["messages"]).prompt_tokens + estimate_tokens(tools + calls)
