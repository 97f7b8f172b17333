"""What one gateway remembers for a while: each session's last model, and recent decisions in full. Both are bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from router_backend.contract import TASKS
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Outcome

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The `size` most recently used entries."""

    def __init__(self, size: int) -> None:
        self._size, self._entries = size, OrderedDict[K, V]()

    def get(self, key: K) -> V | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(slots=True)
class Remembered:
    """One decision for `GET /v1/decisions/{id}`: how it was made, what came of it, who may read it."""

    key: str  # name of the API key that asked
    decision: RoutedDecision
    outcome: Outcome | None = None
    savings: float | None = None  # USD, against the dearest model

    def public(self) -> dict[str, Any]:
        """As JSON; `answer` is null while it runs."""
        answer = None
        if self.outcome is not None:
            answer = asdict(self.outcome) | {"savings": self.savings}
            del answer["decision_id"], answer["key"]
        decision = asdict(self.decision)
        # A decision of the gateway's own has no probabilities: nothing was classified.
        decision["task_probabilities"] = dict(zip(TASKS, self.decision.task_probabilities, strict=False))
        return {"object": "router.decision", **decision, "answer": answer}
