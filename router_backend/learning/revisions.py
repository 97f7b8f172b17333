"""Which revision of a model answered: the first answer of one not seen before is another model's behind the same name.

Revisions are told by the log's events, so all replicas see the replacement at the same place. One that was seen before is no news:
upstreams of several servers alternate, and a rollback is found like any change (bandits.statistics.change). Nor is another form of a
name: OpenAI's chat answers say `model@fingerprint`, and its Responses the model alone. Nor is the one after `_MOST`: who names so
many names answers, not models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import orjson

from router_backend.bandits.statistics.fields import Fields, FieldsError, taken
from router_backend.core.observations import Labels

_MOST = 64  # of an arm


class Revisions:
    """By arm, those that have answered."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, ...]] = {}

    def runs(self, arms: Labels, revisions: Labels) -> Iterator[tuple[str, slice]]:
        """The places of n observations in parts: (the arm whose model was replaced before a part, or empty; the part, which isn't empty)."""
        start, replaced = 0, ""
        for place in self._first_places(arms, revisions):
            arm = arms.names[arms.codes[place]]
            if self._new(arm, revisions.names[revisions.codes[place]]):
                if place > start:
                    yield replaced, slice(start, place)
                start, replaced = place, arm
        if start < len(arms.codes):
            yield replaced, slice(start, len(arms.codes))

    def _first_places(self, arms: Labels, revisions: Labels) -> list[int]:
        """Where a revision of an arm is named first."""
        named = np.flatnonzero(revisions.present())
        pairs = arms.codes[named] * len(revisions.names) + revisions.codes[named]
        found: list[int] = sorted(named[np.unique(pairs, return_index=True)[1]].tolist())
        return found

    def _new(self, arm: str, revision: str) -> bool:
        """Whether a revision takes another one's place, which it then has."""
        seen = self._seen.get(arm, ())
        if revision in seen or len(seen) >= _MOST:
            return False
        self._seen[arm] = (*seen, revision)
        return bool(seen) and not _another_form(revision, seen)

    def dump(self) -> Fields:
        """UINT8 [n]: `{arm: [revision, …]}` as JSON, oldest first."""
        return {"seen": np.frombuffer(orjson.dumps(self._seen), np.uint8)}

    def load(self, fields: Fields) -> None:
        """Take over what `dump` wrote; FieldsError if it isn't that."""
        try:
            seen: dict[str, list[str]] = orjson.loads(taken(fields, "seen", -1).tobytes())
        except orjson.JSONDecodeError as error:
            raise FieldsError(f"seen holds no revisions ({error})") from error
        self._seen = {arm: tuple(revisions) for arm, revisions in seen.items()}

    def adopt(self, other: Revisions) -> None:
        """Take over what another has seen."""
        self._seen = dict(other._seen)


def _another_form(revision: str, seen: Sequence[str]) -> bool:
    """Whether it names a model that was seen: less exactly, or for the first time more exactly."""
    name, exact, _ = revision.partition("@")
    exactly = any(other.startswith(f"{name}@") for other in seen)
    return exactly if not exact else name in seen and not exactly
