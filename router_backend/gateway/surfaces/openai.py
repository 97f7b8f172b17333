"""Chat completions, text completions and embeddings: the internal request in the client's own words."""

from __future__ import annotations

from router_backend.gateway.schemas import Chat, Completion, Embedding
from router_backend.gateway.surfaces.surface import Surface

CHAT = Surface("chat/completions", Chat)
COMPLETIONS = Surface("completions", Completion)
EMBEDDINGS = Surface("embeddings", Embedding)
