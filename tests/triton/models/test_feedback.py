"""The feedback model on a real store: scores and records in, rewards and spending out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from router_backend.config.runtime import state_dir
from router_backend.core import seal
from router_backend.core.ids import new_decision_id
from router_backend.core.records import Decision, Usage
from router_backend.state import rates, responses
from router_backend.state.backlog import Backlog
from router_backend.state.codec import encode_records
from router_backend.state.store import StoreError
from tests.state.examples import make_decision, make_feedback, make_outcome
from tests.triton.conftest import Request, Seen

WRITABLE = ("llm_router_state_store_writable", ())


@pytest.fixture
def feedback(deployed: Path) -> Iterator[Any]:
    from router_backend.triton.models.feedback import TritonPythonModel

    model = TritonPythonModel()
    model.initialize({})
    yield model
    model.finalize()


@pytest.fixture
def decision(feedback: Any) -> Decision:
    made = make_decision()
    (response,) = feedback.execute([records(made)])
    assert not response.has_error()
    return made


def records(decision: Decision) -> Request:
    return Request(records=[encode_records([decision], [make_outcome(decision)])])


def test_a_score_is_accepted_with_the_reward_that_was_learned(feedback: Any, decision: Decision) -> None:
    (response,) = feedback.execute([Request(decision_id=[decision.decision_id], score=[0.75])])
    assert response.values("accepted") == [True]
    (reward,) = response.values("reward")
    assert -1 <= reward <= 1
    assert response.values("spend") == [""]


def test_a_second_score_is_told_that_the_first_one_counts(feedback: Any, decision: Decision) -> None:
    first, second = (
        feedback.execute([Request(decision_id=[decision.decision_id], score=[score])])[0] for score in (0.75, 0.25)
    )
    assert (first.values("counted"), first.values("duplicate")) == ([0.75], [False])
    assert (second.values("counted"), second.values("duplicate")) == ([0.75], [True])
    assert second.values("reward") == first.values("reward")


def test_records_are_answered_with_what_keys_have_spent(feedback: Any) -> None:
    (response,) = feedback.execute([records(make_decision(1))])
    assert response.values("accepted") == [True]
    assert np.isnan(response.outputs["reward"]).all()
    assert isinstance(orjson.loads(response.values("spend")[0]), dict)


def test_waiting_requests_are_one_commit_and_one_refusal_is_its_own(feedback: Any, decision: Decision) -> None:
    good = Request(decision_id=[decision.decision_id], score=[1.0])
    bad = Request(decision_id=[decision.decision_id], score=[1.5])
    mixed = feedback.execute([bad, good])
    assert mixed[0].error().code() == "invalid"
    assert mixed[1].values("accepted") == [True]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"score": [0.5]}, "decision_id and score are required"),
        ({"decision_id": ["x"]}, "decision_id and score are required"),
        ({"decision_id": [""], "score": [0.5]}, "decision_id and score are required"),
        ({"decision_id": ["x"], "score": [0.5], "task": ["cooking"]}, "unknown task 'cooking'"),
        ({"records": ["not json"]}, ""),
    ],
)
def test_a_wrong_row_is_the_callers_mistake(feedback: Any, columns: dict[str, Any], said: str) -> None:
    (response,) = feedback.execute([Request(**columns)])
    assert response.error().message().startswith("INVALID_ARGUMENT: ")
    assert said in response.error().message()


def test_an_unknown_decision_is_not_found(feedback: Any) -> None:
    old = "00000000-0000-7000-8000-000000000000"  # of 1970: nothing to wait for
    (response,) = feedback.execute([Request(decision_id=[old], score=[0.5])])
    assert response.error().code() == "not found"
    assert response.error().message().startswith("NOT_FOUND: ")


def test_a_store_that_is_down_asks_for_another_try(
    feedback: Any, decision: Decision, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("router_backend.steps.scoring.add_feedback_many_waiting", down)
        (response,) = feedback.execute([Request(decision_id=[new_decision_id()], score=[0.5])])
    assert response.error().code() == "unavailable"
    assert "disk full" in response.error().message()
    assert "retry-after" in response.error().message()
    feedback._page.flush()
    assert seen[WRITABLE] == 0
    feedback.execute([Request(decision_id=[decision.decision_id], score=[0.5])])
    feedback._page.flush()
    assert seen[WRITABLE] == 1


def test_a_decision_that_may_still_wait_for_the_store_is_not_called_unknown(feedback: Any, deployed: Path) -> None:
    """As on a full disk, which took no decisions but would take a score."""
    router = Backlog(state_dir())
    router.hold()
    missing, foreign = new_decision_id(0.0), "no-id-of-ours"
    (waiting,) = feedback.execute([Request(decision_id=[missing], score=[1.0])])
    assert str(waiting.error()).startswith("UNAVAILABLE: ")
    (unknown,) = feedback.execute([Request(decision_id=[foreign], score=[1.0])])
    assert str(unknown.error()).startswith("NOT_FOUND: ")
    router.release()
    (unknown,) = feedback.execute([Request(decision_id=[missing], score=[1.0])])
    assert str(unknown.error()).startswith("NOT_FOUND: ")
    router.close()


KEY = "k"


@pytest.fixture
def sealed_feedback(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that was given a key for records."""
    from router_backend.triton.models.feedback import TritonPythonModel

    monkeypatch.setenv(seal.KEY, KEY)
    model = TritonPythonModel()
    model.initialize({})
    yield model
    model.finalize()


def test_records_are_taken_from_gateways_alone(sealed_feedback: Any) -> None:
    made = make_decision()
    written = encode_records([made], [make_outcome(made)])
    for parameters in ({}, {seal.SEAL: seal.seal("other", written)}, {seal.SEAL: 1}):
        (refused,) = sealed_feedback.execute([Request(parameters, records=[written])])
        assert seal.KEY in refused.error().message()
        assert refused.error().code() == "unavailable"
    (taken,) = sealed_feedback.execute([Request({seal.SEAL: seal.seal(KEY, written)}, records=[written])])
    assert taken.values("accepted") == [True]


def test_a_keys_decision_is_scored_by_that_key_alone(sealed_feedback: Any) -> None:
    made = make_decision()
    written = encode_records([made], [dataclasses.replace(make_outcome(made), key="app")])
    sealed_feedback.execute([Request({seal.SEAL: seal.seal(KEY, written)}, records=[written])])

    def score(owner: str, everyone: str, by: str) -> Any:
        given = {
            seal.OWNER: owner,
            seal.ANY_OWNER: everyone,
            seal.SEAL: seal.seal(by, made.decision_id, owner, everyone),
        }
        (response,) = sealed_feedback.execute([Request(given, decision_id=[made.decision_id], score=[1.0])])
        return response

    for refused in (score("other", "", KEY), score("app", "", "forged"), score("other", "1", "forged")):
        assert refused.error().code() == "not found"
    (stranger,) = sealed_feedback.execute([Request(decision_id=[made.decision_id], score=[1.0])])
    assert stranger.error().code() == "not found"
    assert score("app", "", KEY).values("accepted") == [True]
    assert score("other", "1", KEY).values("accepted") == [True]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cost": -999.0}, "cost"),
        ({"completed": -1.0}, "completed"),
        ({"completed": 1e18}, "completed"),
        ({"latency": -1.0}, "latency"),
        ({"usage": Usage(prompt=-5)}, "usage"),
    ],
)
def test_records_with_impossible_numbers_are_refused(feedback: Any, changes: dict[str, Any], named: str) -> None:
    made = make_decision()
    written = encode_records([made], [dataclasses.replace(make_outcome(made), **changes)])
    (refused,) = feedback.execute([Request(records=[written])])
    assert refused.error().message().startswith(f"INVALID_ARGUMENT: record {made.decision_id}: {named} ")


def test_a_gateways_signal_is_written(feedback: Any, decision: Decision) -> None:
    written = encode_records(scores=[make_feedback(decision, 0.0, implicit="invalid_output")])
    (response,) = feedback.execute([Request(records=[written])])
    assert response.values("accepted") == [True]
    feedback._deployment.implicit.close()  # written by now
    counted = feedback._deployment.store.counts()[decision.model]
    assert counted == {"decisions": 1, "feedback": 1}


@pytest.mark.parametrize("changes", [{"implicit": ""}, {"score": 1.5}, {"received": -1.0}, {"cost": -1.0}])
def test_a_score_of_records_is_a_signals(feedback: Any, decision: Decision, changes: dict[str, Any]) -> None:
    score = dataclasses.replace(make_feedback(decision, implicit="invalid_output"), **changes)
    (refused,) = feedback.execute([Request(records=[encode_records(scores=[score])])])
    assert refused.error().message().startswith(f"INVALID_ARGUMENT: record {decision.decision_id}: ")


@pytest.mark.parametrize("field", ["completed", "cost", "created"])
@pytest.mark.parametrize("number", ["NaN", "1e999", "Infinity"])
def test_numbers_that_json_does_not_have_are_refused(feedback: Any, field: str, number: str) -> None:
    kind = "decisions" if field == "created" else "outcomes"
    made = make_decision()
    record = orjson.loads(encode_records([made], [make_outcome(made)]))[kind][0]
    text = orjson.dumps({kind: [{**record, field: 12345678}]}).replace(b"12345678", number.encode())
    (refused,) = feedback.execute([Request(records=[text])])
    assert refused.error().message().startswith("INVALID_ARGUMENT: record")


def test_a_cost_that_the_answer_cannot_have_had_is_refused(feedback: Any, decision: Decision) -> None:
    (refused,) = feedback.execute([Request(decision_id=[decision.decision_id], score=[1.0], cost_usd=[1e6])])
    assert "more than this answer can have cost" in refused.error().message()


def test_a_parameter_that_means_nothing_is_refused_by_name(feedback: Any, decision: Decision) -> None:
    given = Request({"socre": 1.0}, decision_id=[decision.decision_id], score=[1.0])
    (refused,) = feedback.execute([given])
    assert "socre" in refused.error().message()


def test_a_request_without_inputs_is_told_what_to_send(feedback: Any) -> None:
    (refused,) = feedback.execute([Request()])
    assert "decision_id and score are required" in refused.error().message()


def asked(*questions: responses.Asked) -> Request:
    return Request(responses=[responses.encode_asked(question) for question in questions])


def test_responses_belong_to_their_key(deployed: Path, feedback: Any) -> None:
    kept = responses.Keep("resp_1", "app", 1.0, '{"a": 1}')
    (refused,) = feedback.execute([asked(kept)])
    assert "responses.store is off" in refused.error().message()
    config = feedback._deployment.config
    feedback._deployment.config = config.model_copy(
        update={"responses": config.responses.model_copy(update={"store": True})}
    )
    questions: list[responses.Asked] = [
        kept,
        responses.Read("resp_1", "app"),
        responses.Read("resp_1", "other"),
        responses.Forget("resp_1", "other"),
        responses.Forget("resp_1", "app"),
        responses.Read("resp_1", "app"),
    ]
    told = [feedback.execute([asked(question)])[0].values("response") for question in questions]
    assert told == [["true"], ['{"a": 1}'], ["null"], ["null"], ["true"], ["null"]]


def test_responses_need_a_seal_as_records_do(sealed_feedback: Any) -> None:
    question = responses.encode_asked(responses.Read("resp_1", "app"))
    (refused,) = sealed_feedback.execute([Request(responses=[question])])
    assert seal.KEY in refused.error().message()
    (told,) = sealed_feedback.execute([Request({seal.SEAL: seal.seal(KEY, question)}, responses=[question])])
    assert told.values("response") == ["null"]


def test_rates_are_drawn_from_the_store(feedback: Any) -> None:
    question = rates.encode(rates.Draw("g", [rates.Use("requests key k", 60, 70.0)]))
    (told,) = feedback.execute([Request(rates=[question])])
    levels = rates.decode_levels(told.values("response")[0])
    assert levels.gateways == 1
    assert -10 <= levels.left["requests key k"] < 0
    (refused,) = feedback.execute([Request(rates=[b"{}"])])
    assert "INVALID_ARGUMENT" in refused.error().message()


def test_rates_need_a_seal_as_records_do(sealed_feedback: Any) -> None:
    question = rates.encode(rates.Draw("g", []))
    (refused,) = sealed_feedback.execute([Request(rates=[question])])
    assert seal.KEY in refused.error().message()
    (told,) = sealed_feedback.execute([Request({seal.SEAL: seal.seal(KEY, question)}, rates=[question])])
    assert rates.decode_levels(told.values("response")[0]).gateways == 1
