"""Values and schemas of strangers: right, wrong, or not decided, at a bounded cost."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from router_backend.learning.conformity import MAX_SECONDS, MAX_STEPS, MAX_VALUES, conforms
from tests.benchmarks.counting import calls

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "friends": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ({"name": "a"}, True),
        ({"name": "a", "friends": [{"name": "b"}]}, True),
        ({"name": "a", "friends": [{}]}, False),
        ({"name": 1}, False),
        ({"name": "a", "age": 3}, False),
        ([], False),
    ],
)
def test_a_recursive_schema(value: Any, right: bool) -> None:
    assert conforms(value, PERSON) is right


def test_the_draft_that_a_schema_names_counts() -> None:
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 5, "exclusiveMaximum": True}
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert conforms(5, draft4) is False
    assert conforms([1], draft7) is False
    assert conforms(5, {"maximum": 5, "exclusiveMaximum": True}) is None  # of an older draft, and doesn't say so


def test_patterns_and_formats_are_not_run() -> None:
    assert conforms("b", {"type": "string", "pattern": "^a$", "format": "date"}) is True
    assert conforms(1, {"type": "string", "pattern": "^a$"}) is False


@pytest.mark.parametrize("around", ["not", "oneOf", "if", "contains"])
def test_what_hangs_on_an_ignored_pattern_is_not_decided(around: str) -> None:
    inner = {"pattern": "^a$"}
    schema = {around: [inner, {"pattern": "^b$"}] if around == "oneOf" else inner, "then": False}
    assert conforms(["a"] if around == "contains" else "c", schema) is None
    assert conforms({"ab": 1}, {"patternProperties": {"^a": {}}, "additionalProperties": False}) is None


DOUBLING: dict[str, Any] = {
    "$ref": "#/$defs/0",
    "$defs": {"40": {}} | {str(level): {"allOf": [{"$ref": f"#/$defs/{level + 1}"}] * 2} for level in range(40)},
}
DEEP: dict[str, Any] = {}
for _ in range(5000):
    DEEP = {"properties": {"a": DEEP}}
WIDE = {f"name{number}": "x" for number in range(4000)}
MOST_CALLS = 30 * MAX_STEPS
"""Of Python's functions in one check: what a hostile schema may cost, on any machine."""
HOSTILE = {
    "doubling references": (1, DOUBLING),
    "a loop of references": (1, {"$ref": "#"}),
    "a remote address": (1, {"$ref": "http://127.0.0.1:9/schema"}),
    "a file": (1, {"$ref": "file:///etc/passwd"}),
    "an unknown anchor": (1, {"$ref": "#nowhere"}),
    "a pattern that takes for ever": ("a" * 5000 + "!", {"pattern": "^(a+)+$", "not": {"type": "integer"}}),
    "deep nesting": ({"a": 1}, DEEP),
    "too many values": ([0] * (MAX_VALUES + 1), {}),
    "too large a schema": (1, {"enum": list(range(MAX_VALUES + 1))}),
    "unique items that can't be sorted": ([[number] for number in range(4000)], {"uniqueItems": True}),
    "no schema": (1, "schema"),
    "no type": (1, {"type": 3}),
    "an unknown type": (1, {"type": "nonsense"}),
    "a schema that isn't text": (1, {"$schema": []}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_or_wrong_is_not_decided(name: str) -> None:
    value, schema = HOSTILE[name]
    assert conforms(value, schema) is None
    assert calls(lambda: conforms(value, schema), times=1) < MOST_CALLS


def test_errors_that_quote_a_large_value_count_too() -> None:
    missing = {"anyOf": [{"required": [f"{number}-{branch}" for number in range(400)]} for branch in range(10)]}
    assert calls(lambda: conforms(WIDE, missing), times=1) < MOST_CALLS


def test_a_check_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def thread_time() -> float:
        """Each look at the clock takes a hundredth of the time that there is."""
        nonlocal looks
        looks += 1
        return looks * MAX_SECONDS / 100

    schema = {"allOf": [{"type": "integer"}] * 1000}
    assert conforms(1, schema) is True
    monkeypatch.setattr(time, "thread_time", thread_time)
    assert conforms(1, schema) is None
    assert looks < 110


_SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "bb"])
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
_TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
_SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {},
        optional={"type": _TYPES, "enum": st.lists(_SCALARS, min_size=1, max_size=3), "minLength": st.integers(0, 2)},
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "required": st.lists(st.sampled_from("abc"), unique=True, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(_VALUES, _SCHEMAS)
@settings(max_examples=200, deadline=None)
def test_within_the_limits_it_says_what_the_library_says(value: Any, schema: Any) -> None:
    assert conforms(value, schema) is Draft202012Validator(schema).is_valid(value)
