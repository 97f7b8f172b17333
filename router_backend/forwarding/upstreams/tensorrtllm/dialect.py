"""The two tensor dialects of TensorRT-LLM on Triton, told apart by the inputs that the model declares.

`ensemble` and `tensorrt_llm_bls` (inflight_batcher_llm): plain names, token counts, text in pieces.
`tensorrt_llm` of the LLM API (llmapi): `sampling_param_*`, finish reasons, each response holds the text so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from router_backend.forwarding.upstreams.tensorrtllm.sampling import NEUTRAL, Sampling, refusal
from router_backend.forwarding.upstreams.tensorrtllm.tensors import add_input

FINAL = "triton_final_response"
"""Response parameter that marks the end."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one model understands."""

    inputs: dict[str, str]  # name -> datatype, as in the tensor protocol
    batched: bool
    decoupled: bool
    llm_api: bool
    cumulative: bool  # a response repeats the text so far

    @classmethod
    def of(cls, config: model_config_pb2.ModelConfig) -> Dialect:
        """From the model's configuration.

        Raises:
            ValueError: these are not TensorRT-LLM's tensors.
        """
        inputs = {
            tensor.name: model_config_pb2.DataType.Name(tensor.data_type)
            .removeprefix("TYPE_")
            .replace("STRING", "BYTES")
            for tensor in config.input
        }
        llm_api = any(name.startswith("sampling_param_") for name in inputs)
        if "text_input" not in inputs or not (llm_api or "max_tokens" in inputs):
            raise ValueError(f"model {config.name!r} has no text_input and max_tokens, so it is not TensorRT-LLM's")
        accumulates = config.parameters["accumulate_tokens"].string_value.lower() in ("true", "1")
        return cls(
            inputs=inputs,
            batched=config.max_batch_size > 0,
            decoupled=config.model_transaction_policy.decoupled or config.platform == "ensemble",
            llm_api=llm_api,
            cumulative=llm_api or accumulates,
        )

    def request(
        self, model: str, arm: str, prompt: str, sampling: Sampling, max_tokens: int, streamed: bool, end_id: int | None
    ) -> service_pb2.ModelInferRequest:
        """The request for one prompt.

        Raises:
            Failure: an option that the model doesn't declare.
        """
        request = service_pb2.ModelInferRequest(model_name=model)
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        for name, value in self._values(arm, prompt, sampling, max_tokens, streamed, end_id):
            if name in self.inputs:
                values = value if isinstance(value, tuple) else (value,)
                add_input(request, name, self.inputs[name], values, self.batched)
        return request

    def _values(
        self, arm: str, prompt: str, sampling: Sampling, max_tokens: int, streamed: bool, end_id: int | None
    ) -> Iterator[tuple[str, Any]]:
        prefix = "sampling_param_" if self.llm_api else ""
        yield "text_input", prompt
        yield f"{prefix}max_tokens", max_tokens
        yield "streaming" if self.llm_api else "stream", streamed and self.decoupled
        for name, value in sampling.values.items():
            declared = prefix + name
            if declared not in self.inputs and name != "seed" and value != NEUTRAL.get(name):
                raise refusal(name, f"the model of {arm} has no input {declared!r}; leave {name} out", fallback=True)
            yield declared, value
        if sampling.stops:  # optional: stop sequences are watched for on our side, too
            yield f"{prefix}stop" if self.llm_api else "stop_words", sampling.stops
        if sampling.guide:
            if "guided_decoding_guide_type" not in self.inputs:
                raise refusal("response_format", f"the model of {arm} has no guided decoding", fallback=True)
            yield "guided_decoding_guide_type", sampling.guide.kind
            if sampling.guide.schema is not None:
                yield "guided_decoding_guide", sampling.guide.schema
        if self.llm_api:
            yield "sampling_param_exclude_input_from_output", True
            yield "return_finish_reason", True
        else:
            yield "exclude_input_in_output", True
            yield "return_num_input_tokens", True
            yield "return_num_output_tokens", True
            if end_id is not None:
                yield "end_id", end_id
