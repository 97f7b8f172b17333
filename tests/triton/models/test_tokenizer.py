"""The tokenizer model, with the packaged artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.contract import LENGTH_BUCKETS
from router_backend.prompts.hints import RoutingHints
from tests.triton.conftest import Request


@pytest.fixture
def tokenizer(deployed: Path) -> Any:
    from router_backend.triton.models.tokenizer import TritonPythonModel

    model = TritonPythonModel()
    model.initialize({"model_repository": str(MODEL_REPOSITORY / "tokenizer")})
    return model


def hints(response: Any) -> list[RoutingHints]:
    return [RoutingHints.from_json(text) for text in response.values("hints")]


def test_rows_of_several_lengths_are_padded_to_the_longest(tokenizer: Any) -> None:
    (response,) = tokenizer.execute([Request(text_input=["Hi", "word " * 40])])
    ids, mask = response.outputs["input_ids"], response.outputs["attention_mask"]
    assert ids.dtype == mask.dtype == np.int64
    assert ids.shape == mask.shape
    assert ids.shape[1] in LENGTH_BUCKETS
    assert 0 < mask[0].sum() < mask[1].sum() <= ids.shape[1]


def test_hints_carry_what_the_router_needs(tokenizer: Any) -> None:
    request = Request(
        {"max_cost": 0.01, "cost_ratio": 1.5, "paces": '{"llama3-8b": [0.25, 0.5]}'},
        text_input=["日本語で答えて"],
        candidates=['["llama3-8b"]'],
        policy=["task"],
        session_id=["somebody"],
        max_tokens=np.array([[12]], np.int32),
    )
    (response,) = tokenizer.execute([request])
    (found,) = hints(response)
    assert found.cost_ratio == 1.5
    assert {name: tuple(pace) for name, pace in found.paces.items()} == {"llama3-8b": (0.25, 0.5)}
    assert (found.candidates, found.policy, found.max_tokens, found.max_cost) == (["llama3-8b"], "task", 12, 0.01)
    assert found.japanese
    assert found.session
    assert "somebody" not in found.session  # only a keyed hash leaves the process


@pytest.mark.parametrize(("said", "tokens"), [("70000", 70_000), ("0", 0)])
def test_a_gateway_that_sends_the_ends_of_a_prompt_says_how_long_it_is(tokenizer: Any, said: str, tokens: int) -> None:
    (response,) = tokenizer.execute([Request({"prompt_tokens": said}, text_input=["Hi"])])
    (found,) = hints(response)
    assert found.prompt_tokens == tokens or (not tokens and 0 < found.prompt_tokens < 20)


def test_an_answer_limit_of_any_size_is_read(tokenizer: Any) -> None:
    body = '{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1' + "0" * 40 + "}"
    (response,) = tokenizer.execute([Request(request=[body])])
    assert hints(response)[0].max_tokens is None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(text_input=["Hi"], candidates=["llama3-8b"]), "candidates isn't JSON"),
        (Request(text_input=["Hi"], candidates=["[1]"]), "array of model names"),
        (Request({"prompt_tokens": "1e300"}, text_input=["Hi"]), "prompt_tokens must be a number"),
        (Request({"prompt_tokens": "nan"}, text_input=["Hi"]), "prompt_tokens must be a number"),
        (Request({"paces": "{"}, text_input=["Hi"]), "paces must be JSON"),
        (Request({"paces": '{"a": [-1, 0]}'}, text_input=["Hi"]), "paces must be JSON"),
        (Request({"paces": 7}, text_input=["Hi"]), "paces must be JSON"),
        (Request({"max_cost": "cheap"}, text_input=["Hi"]), "max_cost must be a number"),
        (Request({"max_cost": "nan"}, text_input=["Hi"]), "max_cost must be a number"),
        (Request({"max_cost": -1.0}, text_input=["Hi"]), "max_cost must be a number"),
        (Request({"max_cost": True}, text_input=["Hi"]), "max_cost must be a number"),
        (Request({"min_quality": "2"}, text_input=["Hi"]), "min_quality must be a number"),
        (Request(), "no prompt"),
        (Request(request=['{"messages": "Hi"}']), "non-empty array"),
    ],
)
def test_a_wrong_request_fails_alone(tokenizer: Any, request_: Request, said: str) -> None:
    refused, answered = tokenizer.execute([request_, Request(text_input=["Hi"])])
    assert said in refused.error().message()
    assert refused.error().code() == "invalid"
    assert not answered.has_error()


def test_a_prompt_that_cannot_be_tokenised_is_routed_all_the_same(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a step would be the whole ensemble's."""

    def broken(text: str) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(tokenizer._reader.encoder, "encode", broken)
    (response,) = tokenizer.execute([Request(text_input=["Hi"])])
    assert hints(response)[0].degraded == "tokenizer"
    assert response.outputs["input_ids"].shape == (1, LENGTH_BUCKETS[0])


def test_a_dry_run_is_asked_for_by_a_flag(tokenizer: Any) -> None:
    (response,) = tokenizer.execute([Request({"dry_run": True}, text_input=["Hi"])])
    assert hints(response)[0].dry_run
    (refused,) = tokenizer.execute([Request({"dry_run": "yes"}, text_input=["Hi"])])
    assert "dry_run must be true or false" in refused.error().message()


def test_only_a_users_own_turn_in_a_session_can_be_asked_again(tokenizer: Any) -> None:
    task = '{"role": "user", "content": "Fix the build"}'
    call = '{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "Bash", "arguments": "{}"}}]}'
    failed = '{"role": "tool", "tool_call_id": "1", "content": "Error: no such file"}'
    answered = '{"role": "assistant", "content": "done"}'
    conversations = [f"[{task}]", f"[{task}, {call}, {failed}]", f"[{task}, {answered}, {task}]"]
    found = []
    for session in ("s1", "conversation-0123"):
        for messages in conversations:
            (response,) = tokenizer.execute([Request(messages=[messages], session_id=[session])])
            found += hints(response)
    assert [each.repeatable for each in found] == [True, False, True, False, False, True]
    assert [(each.depth, each.tool, each.failed) for each in found[:3]] == [
        (0, "", False),
        (1, "run", True),
        (0, "", False),
    ]
    assert len({each.prompt for each in found}) == 1  # a loop is about its task, whatever its tools say


def test_the_same_words_beside_another_result_are_another_prompt(tokenizer: Any) -> None:
    turn = '[{"role": "user", "content": "Sum it up:\\n<tool_result>%d</tool_result>"}]'
    found = []
    for result in (4, 4, 5):
        (response,) = tokenizer.execute([Request(messages=[turn % result], session_id=["s1"])])
        found += hints(response)
    assert found[0].prompt == found[1].prompt != found[2].prompt
