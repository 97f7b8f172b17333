"""How every model's `execute` runs: each request is answered, whatever goes wrong with it.

An exception that leaves `execute` while gRPC streams are open ends the whole server (Triton 24.10): none may.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils

from router_backend.core.alive import ALIVE
from router_backend.steps.dialect import InvalidInput
from router_backend.triton.models import tensors

log = logging.getLogger(__name__)
_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


def _asked(request: Any) -> bool:
    """Whether a request only wants to know that this process answers (`core.alive`)."""
    return ALIVE in (request.parameters() or "") and ALIVE in tensors.parameters(request)


def each(requests: Sequence[Any], answer: Callable[[Any], Any]) -> list[Any]:
    """The response of each request; that of one for which `answer` raises is an error."""
    return [response for request in requests for response in together([request], lambda one: [answer(one[0])])]


def one(question: Any, answer: Callable[[Any], Any]) -> Any:
    """The answer to what was read of a request; an error response if `answer` raises."""
    return _guarded([question], lambda questions: [answer(questions[0])])[0]


def together(requests: Sequence[Any], answer: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
    """The responses of requests that are answered at once; errors for all of them if `answer` raises."""

    def answered(given: Sequence[Any]) -> list[Any]:
        asked = [_asked(request) for request in given]
        if not any(asked):
            return answer(given)
        others = [request for request, only in zip(given, asked, strict=True) if not only]
        answers = iter(together(others, answer) if others else ())
        return [pb_utils.InferenceResponse([]) if only else next(answers) for only in asked]

    return _guarded(requests, answered)


def _guarded(questions: Sequence[Any], answer: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
    try:
        return answer(questions)
    except InvalidInput as error:
        return [tensors.failure(str(error)) for _ in questions]
    except Exception as error:
        log.exception("requests could not be answered")
        return [tensors.failure(_internal(error), pb_utils.TritonError.INTERNAL) for _ in questions]


def begin(requests: Sequence[Any], start: Callable[[Any, Any], None]) -> None:
    """Call `start(request, sender)` for each request of a decoupled model; one that can't begin ends with an error."""
    for request in requests:
        sender = request.get_response_sender()
        try:
            if _asked(request):
                sender.send(pb_utils.InferenceResponse([]), flags=_FINAL)
                continue
            start(request, sender)
        except InvalidInput as error:
            fail(sender, str(error), 400)
        except Exception as error:
            log.exception("a request could not begin")
            fail(sender, _internal(error), 500)


def fail(sender: Any, message: str, status: int) -> None:
    """End a response stream with an error. One that has ended, or whose client has left, stays as it is."""
    codes = pb_utils.TritonError
    code = {429: codes.UNAVAILABLE, 499: codes.CANCELLED, 503: codes.UNAVAILABLE}.get(status)
    if code is None:
        code = codes.INVALID_ARG if 400 <= status < 500 else codes.INTERNAL
    with contextlib.suppress(Exception):
        sender.send(tensors.failure(message, code), flags=_FINAL)


def _internal(error: Exception) -> str:
    return f"internal error ({type(error).__name__}); see the server's log"
