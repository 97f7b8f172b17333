"""How many processes and threads compute the steps of a decision that need the processor: they follow the cores.

A repository of one's own says it in its `config.pbtxt` files; only copies of the packaged one are changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_GROUP = re.compile(r"^instance_group \[.*?\]$", re.MULTILINE)
_THREADS = re.compile(r'(key: "classifier_threads", value: \{ string_value: ")[^"]*')

THREADS = "classifier_threads"
"""Parameter of `router`: on how many threads it classifies by itself; `cores`: as many as it may use; 0: it doesn't."""

_MOST_THREADS = 8  # with more the interpreter, which one thread has at a time, is the limit

SHARES: Mapping[str, float] = {"classifier": 0.6, "tokenizer": 0.1}
"""Of the processor time of a routed request of Triton's own clients: so many of the cores may compute this step at once.
`router` has one instance: it holds the policies. For gateways it classifies by itself, on `threads`."""


def instances(model: str, cores: float) -> int:
    """Processes of a model on a machine of so many cores."""
    return max(1, int(SHARES[model] * cores))


def threads(told: str, cores: float) -> int:
    """What a value of the parameter `THREADS` means on so many cores.

    Raises:
        ValueError: neither a number nor `cores`.
    """
    if told == "cores":
        return max(1, min(int(cores), _MOST_THREADS))
    if not told.isdecimal():
        raise ValueError(f"parameter {THREADS} is {told!r}; write a number of threads, 0 for none, or `cores`")
    return int(told)


def with_threads(config: str, told: str) -> str:
    """A `config.pbtxt` of `router` with another value of `THREADS`; one that has none stays as it is."""
    return _THREADS.sub(rf"\g<1>{told}", config)


def with_instances(config: str, kind: str, count: int) -> str:
    """A `config.pbtxt` with `count` instances on `KIND_CPU` or each of `KIND_GPU`.

    Raises:
        ValueError: it has no instance group on a line of its own.
    """
    text, found = _GROUP.subn(f"instance_group [ {{ kind: {kind}, count: {count} }} ]", config)
    if not found:
        raise ValueError("no instance_group on a line of its own; write `instance_group [ … ]` in one line")
    return text
