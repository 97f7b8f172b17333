"""The running system by the client library, its errors as one line for who typed the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llm_router_client import NO_RETRIES, ConnectionFailedError, RouterClient, RouterError, StreamError

_SECONDS = 610.0  # more than the gateway's own longest limit, so that its message arrives


@contextmanager
def connected(url: str, api_key: str = "", timeout: float = _SECONDS) -> Iterator[RouterClient]:
    """A client that makes each call once.

    Raises:
        RuntimeError: a call failed; the message says why, and what to do where nothing answers.
    """
    if url.startswith(("http://", "https://")):
        url = url.rstrip("/").removesuffix("/v1")  # as OpenAI's clients want it
    with RouterClient(url, api_key=api_key, timeout=timeout, retries=NO_RETRIES) as client:
        try:
            yield client
        except ConnectionFailedError as error:
            raise RuntimeError(f"{error}; start one with `llm-router up`, or name another address") from error
        except StreamError as error:
            raise RuntimeError(f"the answer broke off: {error}") from error
        except RouterError as error:
            raise RuntimeError(str(error)) from error
