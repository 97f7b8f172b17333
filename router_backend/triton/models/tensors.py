"""Tensors of the public contract to Python values and back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import orjson
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from router_backend.core.tracing import PARENT, STATE, TraceContext, trace_context
from router_backend.steps.dialect import DRY_RUN, KNOWN, InvalidInput, check_known
from router_backend.steps.refusal import Refused

# Triton's name of a code, where it has another.
_CODES = {"INVALID_ARGUMENT": "INVALID_ARG", "OTHER_CONFIGURATION": "UNAVAILABLE"}


def rows(request: Any) -> list[dict[str, Any]]:
    """Each row of a request's batch as `{input name: value}`; strings decoded, missing optional inputs left out."""
    tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
    count = max((len(array) for array in tensors.values()), default=0)
    return [
        {name: _value(name, array[row]) for name, array in tensors.items() if array[row].size} for row in range(count)
    ]


def _value(name: str, row: NDArray[Any]) -> Any:
    if row.dtype != object:
        return row.item() if row.size == 1 else row
    try:
        texts = [item.decode("utf-8") if isinstance(item, bytes) else str(item) for item in row.reshape(-1)]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"input {name} isn't UTF-8 ({error.reason} at byte {error.start}); send UTF-8") from error
    return texts if name in ("stop_words", "bad_words") else texts[0]


def parameters(request: Any) -> dict[str, Any]:
    """Request parameters: with the generate endpoints, JSON fields that are no inputs."""
    text = request.parameters()
    return dict(orjson.loads(text)) if text else {}


def check_parameters(request: Any, known: Collection[str] = KNOWN) -> None:
    """Refuse a request's parameters that mean nothing; see `dialect.check_known`."""
    check_known(parameters(request), known)


def no_dry_run(request: Any) -> None:
    """Raises InvalidInput where an answer is asked for: what it costs must be recorded."""
    if DRY_RUN in parameters(request):
        raise InvalidInput(f"{DRY_RUN} is a parameter of route, which answers with the decision alone")


def trace(request: Any) -> TraceContext:
    """The caller's trace, in parameters of the request; gRPC metadata of these names is forwarded as such."""
    given = {name: value for name, value in parameters(request).items() if isinstance(value, str)}
    return trace_context(*([given[name]] if name in given else [] for name in (PARENT, STATE)))


def flat(tensor: Any) -> Any:
    """As TensorRT-LLM's postprocessing gives `text_output`: shape [n] instead of [n, 1]."""
    return pb_utils.Tensor(tensor.name(), tensor.as_numpy().reshape(-1))


def text(name: str, values: Sequence[str | bytes]) -> Any:
    """STRING tensor [n, 1]."""
    encoded = [value.encode("utf-8", "replace") if isinstance(value, str) else value for value in values]
    return pb_utils.Tensor(name, np.array(encoded, object).reshape(-1, 1))


def numbers(name: str, values: Any, dtype: type) -> Any:
    """Numeric tensor [n, m] from n rows."""
    array: NDArray[Any] = np.asarray(values, dtype)
    return pb_utils.Tensor(name, array.reshape(len(array), -1))


def refused(error: Refused) -> Any:
    """The error response of a step's refusal."""
    return failure(str(error), getattr(pb_utils.TritonError, _CODES.get(error.code, error.code)))


def failure(message: str, code: int | None = None) -> Any:
    """An error response. Without a code it is the caller's mistake, and the message says so to those who read no codes."""
    if code is None:
        message, code = f"INVALID_ARGUMENT: {message}", pb_utils.TritonError.INVALID_ARG
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
