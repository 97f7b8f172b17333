"""Records to bytes and back."""

from __future__ import annotations

import numpy as np
import pytest

from router_backend.core.records import Decision, LearningEvent, Outcome
from router_backend.state.codec import RecordError, decode, decode_records, encode, encode_records
from tests.state.examples import make_decision, make_outcome


def test_what_gateways_report_comes_back_without_contexts() -> None:
    decisions = [make_decision(0), make_decision(1, context=np.zeros(0, np.float32), kind="named", propensity=None)]
    outcomes = [make_outcome(decision) for decision in decisions]
    decoded_decisions, decoded_outcomes, _ = decode_records(encode_records(decisions, outcomes))
    assert decoded_outcomes == outcomes
    assert [decision.decision_id for decision in decoded_decisions] == [d.decision_id for d in decisions]
    assert [decision.expected_cost for decision in decoded_decisions] == [d.expected_cost for d in decisions]
    assert [decision.context.size for decision in decoded_decisions] == [0, 0]
    assert decisions[0].context.size  # the record itself is as it was


@pytest.mark.parametrize("data", [b"", b"[]", b'{"decisions":[{}]}', b'{"outcomes":[7]}', b'{"songs":[]}', b"\xff"])
def test_records_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(RecordError, match="records: "):
        decode_records(data)


def test_a_context_survives_and_a_field_of_a_newer_router_is_passed_over() -> None:
    decision = make_decision(3)
    data = encode(decision).replace(b"{", b'{"invented_later":[1],', 1)
    decoded = decode(Decision, data)
    assert np.array_equal(decoded.context, decision.context)
    assert decoded.decision_id == decision.decision_id


@pytest.mark.parametrize(
    ("kind", "data"),
    [(Outcome, b"{}"), (Decision, b'{"decision_id":7}'), (LearningEvent, b'{"context":[1.0]}'), (Outcome, b"rubbish")],
)
def test_what_is_no_record_says_which(kind: type, data: bytes) -> None:
    with pytest.raises(RecordError, match=f"not a {kind.__name__}"):
        decode(kind, data)
