"""Client of llm-router: `RouterClient` and `AsyncRouterClient`, over its gateway or over Triton."""

from llm_router_client.aio import AsyncRouterClient
from llm_router_client.client import RouterClient
from llm_router_client.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    RouterError,
    ServerError,
    StreamError,
)
from llm_router_client.requests import Hints
from llm_router_client.results import TASKS, Chunk, Completion, Decision, Reward, Usage
from llm_router_client.retries import NO_RETRIES, Retries
from llm_router_client.stream import AsyncStream, Stream

__all__ = [
    "NO_RETRIES",
    "TASKS",
    "AsyncRouterClient",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "Chunk",
    "Completion",
    "ConnectionFailedError",
    "Decision",
    "Hints",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "Retries",
    "Reward",
    "RouterClient",
    "RouterError",
    "ServerError",
    "Stream",
    "StreamError",
    "Usage",
]
