"""Requests that have ended a server: it answers each of them, and lives."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import np_to_triton_dtype

from llm_router_client import Hints, RouterClient
from tests.support.running import RunningSystem


def generate(system: RunningSystem, model: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{system.triton}/v2/models/{model}/generate", json=body, timeout=60)


def servers(system: RunningSystem) -> set[int]:
    """Process ids of tritonserver: another one was started where the first has ended."""
    return {pid for pid, command in system.pids().items() if command.partition(" ")[0].endswith("tritonserver")}


@pytest.mark.parametrize("model", ["llm_router", "llm_router_bls"])
@pytest.mark.parametrize("value", [1.0, 5, "0.5", 1e3])
def test_hints_are_numbers_of_any_kind(system: RunningSystem, model: str, value: Any) -> None:
    response = generate(system, model, text_input="hi", max_tokens=2, max_cost=value)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("model", ["route", "llm_router", "llm_router_bls"])
@pytest.mark.parametrize("value", [True, -1.0, "nan", "much"])
def test_hints_that_are_none_are_refused(system: RunningSystem, model: str, value: Any) -> None:
    response = generate(system, model, text_input="hi", max_tokens=2, max_cost=value)
    assert response.status_code == 400
    assert "max_cost must be a number" in response.text


def test_floats_among_open_streams_do_not_end_the_server(system: RunningSystem) -> None:
    before = servers(system)

    def ask(number: int) -> str:
        with RouterClient(f"triton+grpc://{system.grpc}", timeout=120) as client:
            hints = Hints(max_cost=0.01 + number, min_quality=0.0)
            return "".join(chunk.text for chunk in client.stream("hi", hints=hints, max_tokens=2))

    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(ask, range(36)))) == 36
    assert servers(system) == before


def test_a_request_without_a_prompt_says_what_it_wants(system: RunningSystem) -> None:
    response = generate(system, "llm_router_bls", max_tokens=2)
    assert response.status_code == 400
    assert "no prompt" in response.text


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("model", ["llm_router", "llm_router_bls"])
def test_tensorrt_llms_clients_run_unchanged(system: RunningSystem, model: str, streamed: bool) -> None:
    """As its `end_to_end_grpc_client.py` asks, and reads the answer: it closes its side of the stream, and then takes what
    has come. Of an unstreamed answer it keeps the last text."""
    values: dict[str, Any] = {
        "text_input": np.array([[b"Tell me a story"]], object),
        "max_tokens": np.array([[6]], np.int32),
        "top_k": np.array([[1]], np.int32),
        "top_p": np.array([[0]], np.float32),
        "temperature": np.array([[1]], np.float32),
        "length_penalty": np.array([[1]], np.float32),
        "repetition_penalty": np.array([[1]], np.float32),
        "random_seed": np.array([[0]], np.uint64),
        "beam_width": np.array([[1]], np.int32),
        "num_return_sequences": np.array([[1]], np.int32),
        "min_length": np.array([[1]], np.int32),
        "exclude_input_in_output": np.array([[False]]),
        **{f"return_{what}": np.array([[False]]) for what in ("log_probs", "context_logits", "generation_logits")},
        "stream": np.array([[streamed]]),
    }
    inputs = []
    for name, array in values.items():
        inputs.append(triton_grpc.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    results: Queue[Any] = Queue()
    with triton_grpc.InferenceServerClient(system.grpc) as client:
        client.start_stream(lambda result, error: results.put(error or result))
        outputs = [triton_grpc.InferRequestedOutput("text_output")]
        client.async_stream_infer(model, inputs, outputs=outputs, request_id="1")
        client.stop_stream()
    texts = []
    while not results.empty():
        result = results.get()
        assert not isinstance(result, Exception), result
        output = result.as_numpy("text_output")
        assert output.shape == (1,)
        texts.append(output[0].decode())
    assert "".join(texts) if streamed else texts[-1]


@pytest.mark.parametrize("model", ["route", "llm_router", "llm_router_bls"])
@pytest.mark.parametrize("field", [{"logit_bias": 2}, {"n": 2}, {"echo": True}])
def test_a_field_that_means_nothing_is_refused_by_name(
    system: RunningSystem, model: str, field: dict[str, Any]
) -> None:
    response = generate(system, model, text_input="hi", max_tokens=2, **field)
    assert response.status_code == 400
    assert f"{next(iter(field))} is neither an input nor a parameter" in response.text


@pytest.mark.parametrize("model", ["llm_router", "llm_router_bls"])
def test_a_request_that_names_its_model_gets_that_one(system: RunningSystem, model: str) -> None:
    messages = [{"role": "user", "content": "hi"}]
    for name in ("llama3-70b", "llama3-8b", "nemotron-49b"):
        request = json.dumps({"model": name, "messages": messages, "max_tokens": 2})
        assert generate(system, model, request=request).json()["model"] == name
    refused = generate(system, model, request=json.dumps({"model": "nobody", "messages": messages}))
    assert refused.status_code == 400
