"""`forwarder`: a decision and a request to the chosen model's answer, streamed.

As a step of an ensemble it never hears that the client left: the loss is bounded by `timeouts.total` and by max_tokens.
"""

from __future__ import annotations

from typing import Any

from router_backend.core.decision import RoutedDecision
from router_backend.steps.dialect import InvalidInput, chat_body
from router_backend.triton.models import execution, process, tensors
from router_backend.triton.models.answering import Answering


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("forwarder", guard=True)
        self._answering = Answering()

    def execute(self, requests: list[Any]) -> None:
        execution.begin(requests, self._begin)

    def _begin(self, request: Any, sender: Any) -> None:
        tensors.no_dry_run(request)
        row = single_row(request)
        decision = _decision(row.pop("decision", ""))
        body = chat_body(row)
        trace = tensors.trace(request)
        self._answering.spawn(self._answering.answer(decision, body, sender, trace, cancellable=False), sender)

    def finalize(self) -> None:
        self._answering.close()


def _decision(text: str) -> RoutedDecision:
    try:
        return RoutedDecision.from_json(text)
    except (TypeError, ValueError) as error:
        raise InvalidInput("input decision isn't the decision of route, as JSON") from error


def single_row(request: Any) -> dict[str, Any]:
    """The one row of a request: answers of several lengths have no common shape.

    Raises:
        InvalidInput: more than one prompt.
    """
    rows = list(tensors.rows(request))
    if len(rows) != 1:
        raise InvalidInput(f"{len(rows)} prompts in one request: send one prompt a request (shape [1, 1])")
    return rows[0]
