"""Many learning events by column: what is read and folded in at once costs no object an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_backend.core.records import LearningEvent

Numbers = NDArray[np.float64]
Rows = NDArray[np.bool_] | NDArray[np.intp] | slice


@dataclass(frozen=True, slots=True)
class Labels:
    """n texts of few kinds."""

    codes: NDArray[np.intp]  # [n], places in `names`
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str]) -> Labels:
        places: dict[str, int] = {}
        codes = [places.setdefault(value, len(places)) for value in values]
        return cls(np.array(codes, np.intp), tuple(places))

    def where(self, rows: Rows) -> Labels:
        return Labels(self.codes[rows], self.names)

    def places(self, known: Mapping[str, int], other: int = -1) -> NDArray[np.intp]:
        """[n]: what each text stands for."""
        if not self.names:
            return np.zeros(0, np.intp)
        return np.array([known.get(name, other) for name in self.names], np.intp)[self.codes]

    def present(self) -> NDArray[np.bool_]:
        """[n]: whether the text isn't empty."""
        return self.places({"": 0}, 1).astype(bool)


@dataclass(frozen=True, slots=True)
class Observations:
    """The fields of n `LearningEvent`s that statistics are made of; what stands at one place belongs together."""

    sequences: NDArray[np.int64]
    arms: Labels
    at: Numbers
    spaces: NDArray[np.int64]
    contexts: NDArray[np.float32]  # [n, the longest], zeros behind shorter ones
    lengths: NDArray[np.intp]  # [n], of contexts
    tasks: Labels
    qualities: Numbers
    costs: Numbers
    output_tokens: Numbers  # NaN: not known
    completion_tokens: Numbers  # of the usage; NaN: there is none
    reasoning_tokens: Numbers
    sources: Labels
    revisions: Labels
    judged: tuple[tuple[int, str, float], ...] = ()  # (place, signal, score), by place

    def __len__(self) -> int:
        return len(self.sequences)

    @classmethod
    def of(cls, events: Sequence[LearningEvent]) -> Observations:
        lengths = np.array([event.context.size for event in events], np.intp)
        usages = [event.usage for event in events]
        return cls(
            sequences=np.array([event.sequence for event in events], np.int64),
            arms=Labels.of(event.arm for event in events),
            at=_numbers(event.at for event in events),
            spaces=np.array([event.embedding_space for event in events], np.int64),
            contexts=side_by_side(np.concatenate([event.context for event in events] or [_NONE]), lengths),
            lengths=lengths,
            tasks=Labels.of(event.task for event in events),
            qualities=_numbers(event.quality for event in events),
            costs=_numbers(event.cost for event in events),
            output_tokens=_numbers(event.output_tokens for event in events),
            completion_tokens=_numbers(None if usage is None else usage.completion for usage in usages),
            reasoning_tokens=_numbers(None if usage is None else usage.reasoning for usage in usages),
            sources=Labels.of(event.source for event in events),
            revisions=Labels.of(event.revision for event in events),
            judged=tuple(
                (place, source, score)
                for place, event in enumerate(events)
                if event.judged
                for source, score in event.judged.items()
            ),
        )

    def where(self, rows: NDArray[np.bool_]) -> Observations:
        """Those at which `rows` [n] is true."""
        if rows.all():
            return self
        chosen: dict[str, Any] = {}
        for name in _COLUMNS:
            column = getattr(self, name)
            chosen[name] = column.where(rows) if isinstance(column, Labels) else column[rows]
        moved = np.cumsum(rows) - 1
        judged = tuple((int(moved[place]), source, score) for place, source, score in self.judged if rows[place])
        return Observations(**chosen, judged=judged)


_COLUMNS = tuple(name for name in Observations.__dataclass_fields__ if name != "judged")
_NONE = np.zeros(0, np.float32)


def side_by_side(values: NDArray[np.float32], lengths: NDArray[np.intp]) -> NDArray[np.float32]:
    """Contexts that lie one behind the other, as rows with zeros behind the shorter ones."""
    longest = int(lengths.max(initial=0))
    if not len(lengths) or (lengths == longest).all():
        return values.reshape(len(lengths), longest)
    rows = np.zeros((len(lengths), longest), np.float32)
    rows[np.arange(longest) < lengths[:, None]] = values
    return rows


def _numbers(values: Iterable[float | None]) -> Numbers:
    return np.array([np.nan if value is None else value for value in values], np.float64)
