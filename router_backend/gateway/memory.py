"""What one gateway remembers for a while: who answered last in each session, and recent decisions in full. Both are bounded."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Outcome
from router_backend.state.codec import decode_records, encode_records

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


NOBODY = bytes(16)


class Turn(NamedTuple):
    """A prompt that a model has answered: by a session's name, or by the prompt itself (gateway.conversations)."""

    model: str
    session: bytes = NOBODY  # digest
    parent: bytes = NOBODY  # digest of the session that this one was forked or compacted from
    tokens: int = 0  # of the prompt; 0: not known
    at: float = 0.0  # time.monotonic() of the answer's end: one clock for all workers
    continued: bool = False  # whether a later prompt of its session begins with it


class Sessions:
    """The turns used last, by digest."""

    def __init__(self, size: int) -> None:
        self._turns: Recent[bytes, Turn] = Recent(size)

    def find(self, name: bytes) -> Turn | None:
        """What is remembered under a digest of 16 bytes."""
        return self._turns.get(name)

    def put(self, name: bytes, turn: Turn) -> None:
        self._turns.put(name, turn)

    def model(self, key: str, session: str) -> str:
        """The model that answered a session last, so that the next decision can stay with it; empty: nothing is remembered.

        `key`: name of the API key; sessions of two keys are never the same.
        """
        turn = self.find(digest(key, session))
        return turn.model if turn else ""

    def answered(self, key: str, session: str, model: str) -> None:
        self.put(digest(key, session), Turn(model))


def digest(key: str, session: str) -> bytes:
    """16 bytes, whatever a client calls its session."""
    return hashlib.blake2b(session.encode(), digest_size=16, key=hashlib.sha256(key.encode()).digest()).digest()


@dataclass(slots=True)
class Remembered:
    """One decision for `GET /v1/decisions/{id}`: how it was made, what came of it, who may read it."""

    key: str  # name of the API key of the request
    decision: RoutedDecision
    session: str = ""
    parent: str = ""  # the session that this one was forked or compacted from
    outcome: Outcome | None = None
    savings: float | None = None  # USD, against the most expensive model

    def public(self) -> dict[str, Any]:
        """As JSON; `answer` is null while it runs."""
        answer = None
        if self.outcome is not None:
            answer = asdict(self.outcome) | {"savings": self.savings}
            del answer["decision_id"], answer["key"]
        decision = asdict(self.decision)
        # A decision of the gateway's own has no probabilities: nothing was classified.
        decision["task_probabilities"] = self.decision.by_task
        session = {"id": self.session, "parent": self.parent or None} if self.session else None
        return {"object": "router.decision", **decision, "session": session, "answer": answer}

    def to_json(self) -> str:
        """For another worker."""
        records = encode_records([], [self.outcome] if self.outcome else [])
        parts = (self.key, self.decision.to_json().decode(), self.session, self.parent, records.decode(), self.savings)
        return orjson.dumps(parts).decode()

    @classmethod
    def from_json(cls, data: str) -> Remembered:
        """Of another worker."""
        key, decision, session, parent, records, savings = orjson.loads(data)
        outcomes = decode_records(records)[1]
        outcome = outcomes[0] if outcomes else None
        return cls(key, RoutedDecision.from_json(decision), session, parent, outcome, savings)


class Decisions:
    """The last decisions in full."""

    def __init__(self, size: int) -> None:
        self._remembered: Recent[str, Remembered] = Recent(size)

    def add(self, key: str, decision: RoutedDecision, session: str = "", parent: str = "") -> Remembered:
        """Remember a decision; its outcome may be set later."""
        remembered = Remembered(key, decision, session, parent)
        self._remembered.put(decision.decision_id, remembered)
        return remembered

    def find(self, decision_id: str) -> Remembered | None:
        """A decision, whoever may read it."""
        return self._remembered.get(decision_id)
