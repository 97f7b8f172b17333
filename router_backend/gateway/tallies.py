"""What requests count, as numbers of this process: prometheus_client's own values, which take a lock and in several workers a
file each time, get it when they are read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from prometheus_client import Counter, Gauge, Histogram


class Series(Protocol):
    """One series, which puts down what it holds."""

    def put_down(self) -> None: ...


class Count:
    """Of a counter. Belongs to the event loop, as all below."""

    __slots__ = ("_counter", "_held")

    def __init__(self, counter: Counter) -> None:
        self._counter, self._held = counter, 0.0

    def inc(self, amount: float = 1.0) -> None:
        self._held += amount

    def put_down(self) -> None:
        """See `Series`."""
        if self._held:
            held, self._held = self._held, 0.0
            self._counter.inc(held)


class Spread:
    """Of a histogram."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram) -> None:
        # The library has no way to take several observations at once but its own fields.
        self._histogram, self._bounds = histogram, tuple(histogram._upper_bounds)
        self._counts, self._sum = [0] * len(self._bounds), 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def put_down(self) -> None:
        """See `Series`."""
        if any(self._counts):
            counts, self._counts = self._counts, [0] * len(self._bounds)
            total, self._sum = self._sum, 0.0
            for bucket, count in zip(self._histogram._buckets, counts, strict=True):
                if count:
                    bucket.inc(count)
            self._histogram._sum.inc(total)


class Level:
    """Of a gauge that changes with each request."""

    __slots__ = ("_gauge", "value")

    def __init__(self, gauge: Gauge) -> None:
        self._gauge, self.value = gauge, 0

    def __enter__(self) -> None:
        self.value += 1

    def __exit__(self, *_: object) -> None:
        self.value -= 1

    def put_down(self) -> None:
        """See `Series`."""
        self._gauge.set(self.value)


S = TypeVar("S", Count, Spread, Level)
Metric = Counter | Histogram | Gauge


class Tallies:
    """All series of one process."""

    def __init__(self) -> None:
        self._series: list[Series] = []

    def count(self, metric: Counter) -> Count:
        """Of a counter without labels."""
        return self.add(Count(metric))

    def spread(self, metric: Histogram) -> Spread:
        """Of a histogram without labels."""
        return self.add(Spread(metric))

    def level(self, metric: Gauge) -> Level:
        """Of a gauge without labels."""
        return self.add(Level(metric))

    def counts(self, metric: Counter) -> Labelled[Count]:
        return Labelled(self, metric, Count)

    def spreads(self, metric: Histogram) -> Labelled[Spread]:
        return Labelled(self, metric, Spread)

    def levels(self, metric: Gauge) -> Labelled[Level]:
        return Labelled(self, metric, Level)

    def add(self, series: S) -> S:
        """One more series."""
        self._series.append(series)
        return series

    def put_down(self) -> None:
        """Tell the library what has been counted since the last time."""
        for series in self._series:
            series.put_down()


class Labelled(Generic[S]):
    """The series of one metric, by the values of its labels. None may be removed."""

    def __init__(self, tallies: Tallies, metric: Metric, kind: Callable[[Any], S]) -> None:
        self._tallies, self._metric = tallies, metric
        self._kind: Callable[[Any], S] = kind
        self._known: dict[tuple[object, ...], S] = {}

    def labels(self, *values: object) -> S:
        """The series with these values."""
        series = self._known.get(values)
        if series is None:
            made = self._kind(self._metric.labels(*values))
            series = self._known[values] = self._tallies.add(made)
        return series
