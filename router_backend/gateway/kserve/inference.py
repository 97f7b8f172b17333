"""One call of a Triton model, whatever carries it, and what it fails with."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from router_backend.core.tracing import TraceContext
from router_backend.gateway.router_host import HostError

Outputs = Mapping[str, bytes]
"""Tensors by name, as they come: a STRING's text has four bytes of length before it."""

_CODES = re.compile(r"\b(NOT_FOUND|INVALID_ARGUMENT|UNAVAILABLE|OTHER_CONFIGURATION): (.*)", re.DOTALL)
NOT_SERVED = "NOT_SERVED"
"""Triton's own word, no model's: there is no such model."""


class TritonError(HostError):
    """A call of Triton failed; `code` is its model's own."""

    @classmethod
    def told(cls, cause: str, details: str, *, not_found: bool) -> TritonError:
        """From the text of an error that Triton sent; `cause` is what its status says."""
        match = _CODES.search(details)
        code, message = match.groups() if match else (NOT_SERVED if not_found else "", "")
        return cls("configuration" if code == "OTHER_CONFIGURATION" else cause, code, message.strip())


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input of one row and one element, as bytes."""

    name: str
    datatype: Literal["BYTES", "FP32"]
    data: bytes


def text(name: str, value: bytes) -> Tensor:
    """A STRING."""
    return Tensor(name, "BYTES", struct.pack("<I", len(value)) + value)


def number(name: str, value: float) -> Tensor:
    """An FP32."""
    return Tensor(name, "FP32", struct.pack("<f", value))


@dataclass(frozen=True, slots=True)
class Inference:
    """What one model is asked."""

    model: str
    inputs: tuple[Tensor, ...]
    parameters: Mapping[str, float | str | bool] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()  # that are wanted; none named: all
    trace: TraceContext = field(default_factory=dict)  # of the caller


class Wire(Protocol):
    """A way to one Triton, opened at the first call, on the running event loop."""

    async def infer(self, inference: Inference, seconds: float) -> Outputs:
        """The model's answer.

        Raises:
            TritonError: none within `seconds`, or an error.
        """

    async def aclose(self) -> None:
        """Close what is open; calls that run fail."""
