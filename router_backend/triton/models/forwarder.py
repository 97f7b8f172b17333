"""`forwarder`: a decision and a request to the chosen model's answer, streamed.

As a step of an ensemble it never hears that the client left: the loss is bounded by `timeouts.total` and by max_tokens.
"""

from __future__ import annotations

from typing import Any

from router_backend.core.decision import RoutedDecision
from router_backend.triton.models import process, tensors
from router_backend.triton.models.answering import Answering, fail
from router_backend.triton.models.tensors import InvalidInput


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("forwarder", guard=True)
        self._answering = Answering()

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            sender = request.get_response_sender()
            try:
                row = single_row(request)
                decision = RoutedDecision.from_json(row.pop("decision"))
                body = tensors.chat_body(row)
            except InvalidInput as error:
                fail(sender, str(error), 400)
                continue
            trace = tensors.trace(request)
            self._answering.spawn(self._answering.answer(decision, body, sender, trace, cancellable=False))

    def finalize(self) -> None:
        self._answering.close()


def single_row(request: Any) -> dict[str, Any]:
    """The one row of a request: answers of several lengths have no common shape.

    Raises:
        InvalidInput: more than one prompt.
    """
    rows = list(tensors.rows(request))
    if len(rows) != 1:
        raise InvalidInput(f"{len(rows)} prompts in one request: send one prompt a request (shape [1, 1])")
    return rows[0]
