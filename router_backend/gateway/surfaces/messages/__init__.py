"""Anthropic's Messages API (https://docs.anthropic.com/en/api/messages)."""

from router_backend.gateway.surfaces.messages.answer import whole_answer
from router_backend.gateway.surfaces.messages.errors import error_body
from router_backend.gateway.surfaces.messages.request import chat_request
from router_backend.gateway.surfaces.messages.schema import Messages
from router_backend.gateway.surfaces.messages.stream import MessageEvents
from router_backend.gateway.surfaces.surface import Codec, Surface

MESSAGES = Surface(
    "chat/completions",
    Messages,
    error=error_body,
    codec=Codec(chat_request, whole_answer, MessageEvents),
    native="messages",
)

__all__ = ["MESSAGES", "chat_request"]
