"""`llm_router_bls`: the contract of `llm_router` by business logic scripting on `route`.

Triton tells a Python model that its client left only when it is called directly, so this one can stop an upstream in
mid-answer, and the ensemble can't.
"""

from __future__ import annotations

import asyncio
from typing import Any

import triton_python_backend_utils as pb_utils

from router_backend.core.decision import RoutedDecision
from router_backend.core.tracing import TraceContext
from router_backend.steps.dialect import chat_body
from router_backend.triton.models import execution, process, tensors
from router_backend.triton.models.answering import Answering
from router_backend.triton.models.forwarder import single_row

_ROUTE_INPUTS = frozenset(
    ("text_input", "messages", "request", "max_tokens", "policy", "session_id", "candidates", "previous_model")
)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        process.begin("llm_router_bls")
        self._answering = Answering()

    def execute(self, requests: list[Any]) -> None:
        execution.begin(requests, self._begin)

    def _begin(self, request: Any, sender: Any) -> None:
        tensors.check_parameters(request)
        tensors.no_dry_run(request)
        body = chat_body(single_row(request))
        # The request's tensors must not be touched after `execute` returns: the call to `route` is built here.
        inputs = [tensor for tensor in request.inputs() if tensor.name() in _ROUTE_INPUTS]
        # A request of this kind takes bool, int and str alone, so that numbers travel as text.
        parameters = {name: str(value) for name, value in tensors.parameters(request).items()}
        call = pb_utils.InferenceRequest(
            model_name="route", requested_output_names=["decision"], inputs=inputs, parameters=parameters
        )
        self._answering.spawn(self._route_and_answer(call, body, sender, tensors.trace(request)), sender)

    def finalize(self) -> None:
        self._answering.close()

    async def _route_and_answer(self, call: Any, body: dict[str, Any], sender: Any, trace: TraceContext) -> None:
        response = await asyncio.to_thread(call.exec)
        if response.has_error():
            error = response.error()
            sender.send(
                tensors.failure(error.message(), error.code()), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            )
            return
        tensor = pb_utils.get_output_tensor_by_name(response, "decision")
        decision = RoutedDecision.from_json(tensor.as_numpy().reshape(-1)[0])
        await self._answering.answer(decision, body, sender, trace, cancellable=True)
