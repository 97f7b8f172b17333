"""Triton's own interfaces, as tritonclient and curl use them, against the running system."""

from __future__ import annotations

import json
import time
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from router_backend.contract import TASKS
from tests.support.running import RunningSystem


def tensor(module: Any, name: str, value: Any, kind: str = "BYTES") -> Any:
    array = np.array([[value.encode()]], object) if kind == "BYTES" else np.array([[value]])
    item = module.InferInput(name, list(array.shape), kind)
    item.set_data_from_numpy(array)
    return item


def text(result: Any, name: str) -> str:
    return str(result.as_numpy(name).reshape(-1)[0].decode())


@pytest.mark.parametrize("module", [triton_grpc, triton_http], ids=["grpc", "http"])
def test_route_gives_the_decision_alone(system: RunningSystem, module: Any) -> None:
    client = module.InferenceServerClient(
        system.grpc if module is triton_grpc else system.triton.removeprefix("http://")
    )
    result = client.infer("route", [tensor(module, "text_input", "Write a function that reverses a list in Python")])
    decision = json.loads(text(result, "decision"))
    assert text(result, "model") in ("nemotron-49b", "llama3-70b", "llama3-8b")
    assert text(result, "task") in TASKS
    assert result.as_numpy("task_probabilities").shape == (1, len(TASKS))
    assert result.as_numpy("task_probabilities").sum() == pytest.approx(1, abs=1e-3)
    assert 0 <= result.as_numpy("complexity")[0, 0] <= 1
    assert result.as_numpy("scores").shape == (1, 3)
    assert 0 < result.as_numpy("propensity")[0, 0] <= 1
    assert text(result, "decision_id") == decision["decision_id"]
    assert text(result, "reason").partition(":")[0] in ("policy", "explore")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("messages", json.dumps([{"role": "user", "content": "Translate 'cat' to French"}])),
        ("request", json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]})),
        ("text_input", "これを要約して"),
    ],
)
def test_route_reads_every_kind_of_input(system: RunningSystem, name: str, value: str) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    assert text(client.infer("route", [tensor(triton_grpc, name, value)]), "task") in TASKS


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"messages": "{"}, "messages isn't JSON"),
        ({"messages": "[]"}, "non-empty array"),
        ({"request": "[1]"}, "JSON object"),
        ({"text_input": "x", "candidates": '["nobody"]'}, "none of the allowed models"),
        ({"text_input": "x", "policy": "nonsense"}, "isn't configured"),
        ({"session_id": "s"}, "no prompt"),
    ],
)
def test_route_says_what_is_wrong_with_an_input(system: RunningSystem, inputs: dict[str, str], said: str) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    with pytest.raises(InferenceServerException, match=said) as told:
        client.infer("route", [tensor(triton_grpc, name, value) for name, value in inputs.items()])
    assert str(told.value).count("INVALID_ARGUMENT: ") == 1


def test_route_takes_a_batch(system: RunningSystem) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    prompts = np.array([["Hello!"], ["Prove that the square root of 2 is irrational, in detail please"]], object)
    item = triton_grpc.InferInput("text_input", [2, 1], "BYTES")
    item.set_data_from_numpy(prompts)
    result = client.infer("route", [item])
    ids = result.as_numpy("decision_id").reshape(-1)
    assert len(set(ids)) == 2


def test_candidates_narrow_the_choice(system: RunningSystem) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    inputs = [tensor(triton_grpc, "text_input", "Hello"), tensor(triton_grpc, "candidates", '["llama3-70b"]')]
    result = client.infer("route", inputs)
    assert (text(result, "model"), text(result, "reason")) == ("llama3-70b", "only_candidate")


@pytest.mark.parametrize("model", ["llm_router", "llm_router_bls"])
def test_generate_answers_in_one_piece(system: RunningSystem, model: str) -> None:
    answer = httpx.post(
        f"{system.triton}/v2/models/{model}/generate",
        json={"text_input": "Tell me a long story", "max_tokens": 8, "temperature": 0},
        timeout=60,
    ).json()
    assert answer["text_output"]
    assert answer["num_output_tokens"] == 8
    assert answer["finish_reason"] == "length"
    assert json.loads(answer["chunk"])["model"] == answer["model"]


@pytest.mark.parametrize("model", ["llm_router", "llm_router_bls"])
def test_generate_stream_sends_events(system: RunningSystem, model: str) -> None:
    body = {"text_input": "Tell me a long story", "max_tokens": 12, "temperature": 0, "stream": True}
    url = f"{system.triton}/v2/models/{model}/generate_stream"
    with httpx.stream("POST", url, json=body, timeout=60) as response:
        events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
    assert len(events) > 1
    assert "".join(event["text_output"] for event in events)
    assert events[-1]["finish_reason"] == "length"
    assert {event["decision_id"] for event in events} == {events[0]["decision_id"]}


@pytest.mark.parametrize("model", ["llm_router", "llm_router_bls"])
def test_model_stream_infer_ends_with_the_final_response(system: RunningSystem, model: str) -> None:
    results: Queue[Any] = Queue()
    client = triton_grpc.InferenceServerClient(system.grpc)
    client.start_stream(lambda result, error: results.put(error or result))
    inputs = [
        tensor(triton_grpc, "text_input", "Tell me a story"),
        tensor(triton_grpc, "max_tokens", np.int32(10), "INT32"),
        tensor(triton_grpc, "stream", True, "BOOL"),
    ]
    client.async_stream_infer(model, inputs)
    texts, final = [], False
    while not final:
        result = results.get(timeout=60)
        assert not isinstance(result, Exception), result
        texts.append(text(result, "text_output"))
        final = result.get_response().parameters["triton_final_response"].bool_param
    assert text(result, "finish_reason") == "length"
    client.stop_stream()
    assert "".join(texts)


def test_a_dialect_input_that_cannot_be_honoured_is_refused(system: RunningSystem) -> None:
    body = {"text_input": "Hi", "max_tokens": 4, "beam_width": 4}
    response = httpx.post(f"{system.triton}/v2/models/llm_router/generate", json=body, timeout=60)
    assert response.status_code >= 400
    assert "beam_width=4" in response.text


def test_feedback_is_accepted_with_its_reward(system: RunningSystem) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    decision_id = text(client.infer("route", [tensor(triton_grpc, "text_input", "Hello there")]), "decision_id")
    inputs = [tensor(triton_grpc, "decision_id", decision_id), tensor(triton_grpc, "score", np.float32(1), "FP32")]
    result = client.infer("feedback", inputs)
    assert bool(result.as_numpy("accepted")[0, 0]) is True
    assert 0 < result.as_numpy("reward")[0, 0] <= 1


@pytest.mark.parametrize(
    ("decision_id", "score", "said"),
    [
        ("01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f", 1.0, "NOT_FOUND"),
        ("not an id", 1.0, "NOT_FOUND"),
        ("01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f", 1.5, "INVALID_ARGUMENT"),
        ("01938c2e-7d5a-7cc3-9f4e-0a1b2c3d4e5f", float("nan"), "INVALID_ARGUMENT"),
    ],
)
def test_feedback_that_cannot_count_is_refused(
    system: RunningSystem, decision_id: str, score: float, said: str
) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    inputs = [tensor(triton_grpc, "decision_id", decision_id), tensor(triton_grpc, "score", np.float32(score), "FP32")]
    with pytest.raises(InferenceServerException, match=said):
        client.infer("feedback", inputs)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/classifier/unload"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/logging"),
    ],
)
def test_admin_apis_need_the_admin_key(system: RunningSystem, method: str, path: str) -> None:
    assert httpx.request(method, f"{system.triton}{path}").status_code == 403


def test_the_admin_key_opens_the_admin_apis(system: RunningSystem) -> None:
    headers = {"triton-admin-key": system.admin_key}
    response = httpx.post(f"{system.triton}/v2/repository/index", headers=headers)
    assert {model["name"] for model in response.json()} >= {"route", "llm_router", "classifier"}


def test_no_process_shows_the_admin_key(system: RunningSystem) -> None:
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in system.pids()]
    assert any(b"tritonserver" in line for line in lines)
    assert not any(system.admin_key.encode() in line for line in lines)


def test_our_metrics_stand_on_tritons_own_page(system: RunningSystem) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    decision_id = text(client.infer("route", [tensor(triton_grpc, "text_input", "Good morning")]), "decision_id")
    inputs = [tensor(triton_grpc, "decision_id", decision_id), tensor(triton_grpc, "score", np.float32(1), "FP32")]
    client.infer("feedback", inputs)
    wanted = (
        "llm_router_decisions_total{",
        "llm_router_choice_seconds_bucket{",
        "llm_router_reward_bucket{",
        "llm_router_feedback_total{",
        "llm_router_task_share{",
        "llm_router_model_changes{",
    )
    deadline = time.monotonic() + 10  # they are passed on twice a second
    while missing := [name for name in wanted if name not in httpx.get(system.metrics).text]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.1)


def test_a_repeated_prompt_is_classified_once(system: RunningSystem) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)

    def hits() -> int:
        return int(client.get_inference_statistics("classifier").model_stats[0].inference_stats.cache_hit.count)

    before = hits()
    for _ in range(3):
        client.infer("route", [tensor(triton_grpc, "text_input", "What is the tallest mountain of Peru, exactly?")])
    assert hits() >= before + 2


def test_the_gateway_asks_one_model_about_any_prompt_and_would_notice_an_older_triton(system: RunningSystem) -> None:
    client = triton_grpc.InferenceServerClient(system.grpc)
    times = 30  # more than a watchdog asks meanwhile

    def asked(model: str) -> int:
        return int(client.get_inference_statistics(model).model_stats[0].inference_stats.success.count)

    before = {model: asked(model) for model in ("router", "decide", "tokenizer", "classifier")}
    with httpx.Client(timeout=60) as http:
        texts = [f"Which number follows {time.time_ns()}?" for _ in range(times // 2)]
        bodies = [{"model": "auto", "messages": [{"role": "user", "content": text}]} for text in texts]
        found = [http.post(f"{system.gateway}/v1/route", json=body).json() for body in bodies * 2]
    assert len({each["decision_id"] for each in found}) == len(found)
    assert all(first["task"] == again["task"] for first, again in zip(found, found[len(texts) :], strict=False))
    more = {model: asked(model) - count for model, count in before.items()}
    assert more["router"] >= len(found)
    assert more["decide"] == 0
    assert max(more["tokenizer"], more["classifier"]) < len(texts)
    with pytest.raises(InferenceServerException) as unknown:  # by which the gateway knows that one
        client.infer("decide_as_of_old", [tensor(triton_grpc, "text_input", "Hi")])
    assert unknown.value.status() == "StatusCode.NOT_FOUND"


def test_decide_answers_as_the_router_alone_does(system: RunningSystem) -> None:
    """It is the way where a GPU classifies."""
    client = triton_grpc.InferenceServerClient(system.grpc)
    request = orjson.dumps({"model": "auto", "messages": [{"role": "user", "content": "Prove that 7 is prime."}]})
    whole = client.infer("decide", [tensor(triton_grpc, "request", request.decode())], parameters={"dry_run": True})
    question = orjson.dumps({"request": orjson.Fragment(request)}).decode()
    alone = client.infer(
        "router",
        [tensor(triton_grpc, "question", question)],
        parameters={"dry_run": True},
        outputs=[triton_grpc.InferRequestedOutput("decision")],
    )
    one, other = (orjson.loads(text(each, "decision")) for each in (whole, alone))
    for name in ("task", "complexity", "task_probabilities"):
        assert one[name] == other[name]
