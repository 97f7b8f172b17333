"""`feedback`: scores, and the records, stored responses and rates that gateways report. What it accepts is durable."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from router_backend.core import seal
from router_backend.steps.deployment import Deployment
from router_backend.steps.refusal import Refused
from router_backend.steps.scoring import Records, Row, Score, Scorer, Told
from router_backend.triton.models import execution, process, tensors
from router_backend.triton.models.metrics import Page


class _Sent:
    """A request of Triton's."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def rows(self) -> list[dict[str, Any]]:
        return tensors.rows(self._request)

    def parameters(self) -> dict[str, Any]:
        return tensors.parameters(self._request)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("feedback", guard=True)
        self._deployment, self._page = Deployment(), Page()
        self._scorer = Scorer(self._deployment, os.environ.get(seal.KEY, ""), self._page)
        self._page.start()
        self._deployment.watch(self._scorer.reload)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Scores of all waiting requests are one commit."""
        return execution.together(requests, self._answer)

    def _answer(self, requests: Sequence[Any]) -> list[Any]:
        return [_response(rows) for rows in self._scorer.answer([_Sent(request) for request in requests])]

    def finalize(self) -> None:
        self._deployment.close()


def _response(rows: list[Row] | Refused) -> Any:
    if isinstance(rows, Refused):
        return tensors.refused(rows)
    return pb_utils.InferenceResponse(
        [
            tensors.numbers("accepted", [True] * len(rows), bool),
            tensors.numbers("reward", [row.reward if isinstance(row, Score) else math.nan for row in rows], np.float32),
            tensors.numbers(
                "counted", [row.counted if isinstance(row, Score) else math.nan for row in rows], np.float32
            ),
            tensors.numbers("duplicate", [isinstance(row, Score) and row.duplicate for row in rows], bool),
            tensors.text("spend", [row.spend if isinstance(row, Records) else b"" for row in rows]),
            tensors.text("response", [row.told if isinstance(row, Told) else b"" for row in rows]),
        ]
    )
