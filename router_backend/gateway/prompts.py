"""Which prompts Triton has decided about lately, so that it is asked the short way only where that is likely to do."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from router_backend.prompts.hints import RECALL_SECONDS

_PROMPTS = 8192
_SECONDS = RECALL_SECONDS - 5.0  # the router forgets first by nobody's clock


class AskedPrompts:
    """A bounded memory of hashes. It may be wrong: Triton says then that it doesn't know the prompt."""

    def __init__(
        self, prompts: int = _PROMPTS, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._prompts, self._seconds, self._clock = prompts, seconds, clock
        self._until: OrderedDict[int, float] = OrderedDict()

    def add(self, prompt: str) -> None:
        key = hash(prompt)  # keyed by the interpreter; nobody outside can aim at one
        self._until[key] = self._clock() + self._seconds
        self._until.move_to_end(key)
        if len(self._until) > self._prompts:
            self._until.popitem(last=False)

    def lately(self, prompt: str) -> bool:
        return self._until.get(hash(prompt), 0.0) >= self._clock()
