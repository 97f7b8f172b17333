"""The decision, as it leaves `route` and as gateway and forwarder read it."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from router_backend.contract import TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedDecision:
    """The output of the router model. `decision` of `route` is this as JSON; the other outputs repeat its parts."""

    decision_id: str
    model: str
    reason: str  # "policy:linucb", "explore", "sticky", "low_confidence", "guard", "only_candidate", "fallback:<cause>"
    task: str = ""
    # In the order of `contract.TASKS`, or by name where the classifier has tasks of one's own; empty: nothing was classified.
    task_probabilities: list[float] | dict[str, float] = field(default_factory=list)
    complexity: float = 0.0
    ranking: list[str] = field(
        default_factory=list
    )  # candidates, best first, the chosen one in front: the order of fallback
    scores: dict[str, float] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)  # expected reward by arm
    bonuses: dict[str, float] = field(default_factory=dict)  # exploration bonus by arm
    expected_cost: dict[str, float] = field(default_factory=dict)  # USD by arm
    cache_savings: dict[str, float] = field(
        default_factory=dict
    )  # USD of expected_cost that warm prompt caches save, by arm
    propensity: float | None = None
    policy: str = ""
    policy_version: str = ""
    experiment: str = ""
    switched: bool = False  # the session's model changed
    timings_ms: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return orjson.dumps(self, option=orjson.OPT_SERIALIZE_NUMPY)

    @property
    def by_task(self) -> dict[str, float]:
        """Task probabilities by name; empty where nothing was classified."""
        found = self.task_probabilities
        return found if isinstance(found, dict) else dict(zip(TASKS, found, strict=False))

    @property
    def confidence(self) -> float:
        """Of the most probable task; 0 where nothing was classified."""
        found = self.task_probabilities
        return max(found.values() if isinstance(found, dict) else found, default=0.0)

    @classmethod
    def from_json(cls, data: bytes | str) -> RoutedDecision:
        return cls(**orjson.loads(data))
