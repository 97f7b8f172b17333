"""What travels from the tokenizer to the router with the tokens: the request's features, needs and wishes."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

PACES = "paces"
"""Request parameter of `route`, JSON: by arm, the seconds to its first token and of each further one."""

WARM = "warm_tokens"
"""Request parameter of `route`, JSON: by arm, the prompt's tokens that its cache is expected to hold."""

WRITES = "cache_writes"
"""Request parameter of `route`, JSON: by arm, the share of the tokens that its cache doesn't hold which the cache takes, at a price of its own."""

LOADS = "loads"
"""Request parameter of `route`, JSON: by arm on own GPUs, the share of its places that is taken."""

COST_RATIO = "cost_ratio"
"""Request parameter of `route`: what answers have lately cost, of what was expected of them."""

QUESTION = "question"
"""Input of `router`, JSON: the inputs of `decide` by name. Answered by a decision; where `router` doesn't classify by itself, by nothing
if the prompt wasn't classified lately."""

RECALL_SECONDS = 60.0
"""How long an answer of the classifier is used again: a classifier that was promoted reaches all prompts after so long."""

CONVERSATION = "conversation-"
"""How a session is called that the gateway recognised: until it has been answered once, the same words may be another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingHints:
    """One JSON value between two models of the ensemble; `degraded` names a cause that makes routing fall back."""

    prompt_tokens: int = 0
    japanese: bool = False
    code: bool = False
    needs: list[str] = field(default_factory=list)  # capabilities
    max_tokens: int | None = None  # of the answer, as the client asked
    candidates: list[str] | None = None  # arms allowed; None: all
    policy: str = ""
    session: str = ""
    prompt: str = ""  # the prompt's hash
    repeatable: bool = True  # whether the same prompt again in this session would be one that is asked again
    depth: int = 0  # rounds of tools that the user's last request has taken so far
    tool: str = ""  # kind of the last one, as in prompts.loop
    failed: bool = False  # whether it failed
    previous_model: str = ""
    max_cost: float | None = None  # USD
    min_quality: float | None = None  # expected quality, 0..1
    paces: dict[str, tuple[float, float]] = field(default_factory=dict)  # as in `PACES`; an arm may be missing
    warm: dict[str, float] = field(default_factory=dict)  # as in `WARM`; an arm may be missing
    writes: dict[str, float] = field(default_factory=dict)  # as in `WRITES`; an arm may be missing
    loads: dict[str, float] = field(default_factory=dict)  # as in `LOADS`; an arm may be missing
    cost_ratio: float = 1.0  # as in `COST_RATIO`
    received: float = 0.0  # time.monotonic() when the tokenizer got it: processes of one machine share this clock
    dry_run: bool = False  # the decision isn't recorded
    degraded: str = ""

    def to_json(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> RoutingHints:
        return cls(**orjson.loads(data))
