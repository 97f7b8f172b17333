"""Metrics of several processes on one page: values live in files, one set a worker, which its successor goes on with.

prometheus_client's multiprocess mode, with the worker's number in place of the process id: a worker that is started again
leaves no file behind and no counter falls.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Metric, disable_created_metrics, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from router_backend.core import metrics as declared

_ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"
_STATES = {state: rank for rank, state in enumerate(declared.UPSTREAM_STATES)}


def keep_in_files(folder: Path, process: str) -> None:
    """Values of all metrics that this process makes from now on are in files of a folder."""
    os.environ[_ENVIRONMENT] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]


class Counts:
    """What the parent counts."""

    def __init__(self, folder: Path) -> None:
        keep_in_files(folder, "parent")
        self._folder = folder
        disable_created_metrics()  # type: ignore[no-untyped-call]
        metric = declared.WORKER_RESTARTS
        self._restarts = Counter(metric.name, metric.meaning, registry=CollectorRegistry())

    def restarted(self, index: int) -> None:
        """A worker has ended and is started again: what it was doing then, it does no more."""
        self._restarts.inc()
        for file in self._folder.glob(f"gauge_live*_{index}.db"):
            file.unlink(missing_ok=True)


class Together(Collector):
    """The sum of all workers. Of an upstream's breakers the worst state counts: each worker has its own."""

    def __init__(self, folder: Path) -> None:
        self._files = MultiProcessCollector(None, path=str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        for metric in self._files.collect():  # type: ignore[no-untyped-call]
            if metric.name == declared.UPSTREAM_STATE.name:
                _worst(metric)
            yield metric


def _worst(metric: Metric) -> None:
    """Leave one state a model, and no model that no worker knows any more."""
    worst: dict[str, int] = {}
    for sample in metric.samples:
        if sample.value:
            model = sample.labels["model"]
            worst[model] = max(worst.get(model, 0), _STATES[sample.labels["state"]])
    metric.samples = [
        sample._replace(value=float(_STATES[sample.labels["state"]] == worst[sample.labels["model"]]))
        for sample in metric.samples
        if sample.labels["model"] in worst
    ]
