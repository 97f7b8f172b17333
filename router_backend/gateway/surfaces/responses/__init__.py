"""OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses)."""

from router_backend.gateway.surfaces.responses.answer import whole_answer
from router_backend.gateway.surfaces.responses.request import chat_request
from router_backend.gateway.surfaces.responses.schema import Responses
from router_backend.gateway.surfaces.responses.stream import ResponseEvents
from router_backend.gateway.surfaces.surface import Codec, Surface

RESPONSES = Surface(
    "chat/completions",
    Responses,
    codec=Codec(chat_request, whole_answer, ResponseEvents),
    native="responses",
    kept=True,
)

__all__ = ["RESPONSES"]
