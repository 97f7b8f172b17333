"""Tensors of the public contract: what they stand for, and what is said of those that can't be honoured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from router_backend.steps.dialect import InvalidInput, chat_body
from tests.triton.conftest import Request


def body(**columns: Any) -> dict[str, Any]:
    from router_backend.triton.models import tensors

    (row,) = tensors.rows(Request(**columns))
    return chat_body(row)


def test_a_prompt_becomes_one_user_message() -> None:
    assert body(text_input=["こんにちは"]) == {
        "model": "auto",
        "messages": [{"role": "user", "content": "こんにちは"}],
    }


def test_sampling_inputs_become_openai_fields() -> None:
    made = body(
        text_input=["Hi"],
        max_tokens=np.array([[7]], np.int32),
        temperature=[0.5],
        stream=np.array([[True]]),
        seed=np.array([[3]], np.uint64),
        stop_words=np.array([[b"END", b""]], object),
    )
    del made["messages"], made["model"]
    assert made == {"max_tokens": 7, "temperature": 0.5, "stream": True, "seed": 3, "stop": ["END"]}


def test_a_whole_request_wins_over_the_other_inputs() -> None:
    request = '{"model": "auto", "messages": [{"role": "user", "content": "from the request"}], "max_tokens": 3}'
    made = body(request=[request], text_input=["ignored"], max_tokens=np.array([[99]], np.int32))
    assert made["messages"][0]["content"] == "from the request"
    assert made["max_tokens"] == 3
    assert made["stream"] is False


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"policy": ["linucb"]}, "no prompt"),
        ({"messages": ["not json"]}, "messages isn't JSON"),
        ({"messages": ["{}"]}, "messages must be a JSON array"),
        ({"request": ["[]"]}, "request must be a JSON object"),
        ({"text_input": ["Hi"], "top_k": np.array([[40]], np.int32)}, "top_k=40"),
        ({"text_input": ["Hi"], "bad_words": np.array([[b"no"]], object)}, "bad_words"),
        ({"text_input": np.array([[b"\xff"]], object)}, "text_input isn't UTF-8"),
    ],
)
def test_an_input_that_cannot_be_honoured_is_named(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        body(**columns)


def test_values_that_change_nothing_are_accepted() -> None:
    """Clients of TensorRT-LLM send them always."""
    neutral = {"beam_width": 1, "top_k": 0, "min_tokens": 1}
    columns = {name: np.array([[value]], np.int32) for name, value in neutral.items()}
    assert set(body(text_input=["Hi"], repetition_penalty=[1.0], **columns)) == {"model", "messages"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("num_return_sequences", np.int32(2)),
        ("min_length", np.int32(5)),
        ("beam_width", np.int32(2)),
        *((f"return_{what}", np.bool_(True)) for what in ("log_probs", "context_logits", "generation_logits")),
    ],
)
def test_a_value_that_would_change_the_answer_is_refused(column: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=column):
        body(text_input=["Hi"], **{column: np.array([[value]])})


def test_greedy_decoding_is_temperature_zero() -> None:
    """As LlamaIndex's connector asks for it, with a top_p that limits nothing."""
    made = body(
        text_input=["Hi"],
        top_k=np.array([[1]], np.int32),
        top_p=[0.0],
        temperature=[1.0],
        length_penalty=[1.0],
        random_seed=np.array([[7]], np.uint64),
    )
    assert (made["temperature"], made["seed"]) == (0, 7)
    assert "top_p" not in made


def test_a_parameter_that_means_nothing_is_named() -> None:
    from router_backend.triton.models import tensors

    tensors.check_parameters(Request({"max_cost": 0.1, "triton_enable_empty_final_response": True}))
    with pytest.raises(InvalidInput, match="logit_bias is neither"):
        tensors.check_parameters(Request({"logit_bias": 3}))


def test_each_row_of_a_batch_is_its_own_request() -> None:
    from router_backend.triton.models import tensors

    assert [row["text_input"] for row in tensors.rows(Request(text_input=["one", "two"]))] == ["one", "two"]


def test_the_callers_trace_is_read_from_the_parameters() -> None:
    from router_backend.triton.models import tensors

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert tensors.trace(Request({"traceparent": parent}, text_input=["Hi"]))["traceparent"] == parent
    assert tensors.trace(Request({"traceparent": "nonsense"}, text_input=["Hi"])) == {}


def test_an_error_without_a_code_is_the_callers() -> None:
    from router_backend.triton.models import tensors

    error = tensors.failure("say it so").error()
    assert (error.message(), error.code()) == ("INVALID_ARGUMENT: say it so", "invalid")
