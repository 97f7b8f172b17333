"""What the classifier has lately said, by prompt: agents and retries ask the same again within seconds.

A decision for such a prompt needs neither tokens nor classifier. It is made afresh each time, as for any other.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from router_backend.prompts.hints import RECALL_SECONDS
from router_backend.routing.router import Classified

_PROMPTS = 8192  # a kilobyte each


class _Said(NamedTuple):
    until: float  # by the clock
    classified: Classified


class Recall:
    """A bounded memory of one thread; the prompt that was asked longest ago is forgotten first."""

    def __init__(
        self, prompts: int = _PROMPTS, seconds: float = RECALL_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._prompts, self._seconds, self._clock = prompts, seconds, clock
        self._said: OrderedDict[str, _Said] = OrderedDict()
        self._space: int | None = None
        self._from = 0.0  # by the clock; before it nothing is kept

    def begin_again(self, seconds: float) -> None:
        """Forget everything, and keep nothing for so long: while another classifier is loaded the one before still answers."""
        self._said.clear()
        self._from = self._clock() + seconds

    def keep(self, prompt: str, classified: Classified) -> None:
        """Keep a copy: what is given may lie in memory that is used again. Another embedding space is another classifier."""
        if self._clock() < self._from:
            return
        if classified.embedding_space != self._space:
            self._said.clear()
            self._space = classified.embedding_space
        self._said[prompt] = _Said(self._clock() + self._seconds, classified.copy())
        self._said.move_to_end(prompt)
        if len(self._said) > self._prompts:
            self._said.popitem(last=False)

    def find(self, prompt: str) -> Classified | None:
        """What was said about a prompt; None: nothing, or too long ago."""
        said = self._said.get(prompt)
        if said is None or said.until < self._clock():
            return None
        self._said.move_to_end(prompt)
        return said.classified
