"""Large bodies are checked as small ones are, and sent on as they came, without being built."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from router_backend.config.models import ModelConfig
from router_backend.core.jsonio import dump
from router_backend.core.unread import Unread, UnreadList
from router_backend.forwarding.request import ForwardRequest
from router_backend.forwarding.upstreams.body import arm_body
from router_backend.gateway import schemas
from router_backend.gateway.http.errors import ApiError
from router_backend.gateway.large_bodies import LARGE, deeper_than
from router_backend.gateway.plan import _large
from router_backend.gateway.schemas import MAX_DEPTH, Chat, Completion, Route, Shape, parse
from router_backend.gateway.surfaces.messages import MESSAGES as MESSAGES_API
from router_backend.gateway.surfaces.native import translated
from router_backend.gateway.surfaces.responses import RESPONSES
from router_backend.gateway.surfaces.surface import Surface

FILLER = "filler " * (LARGE // 7 + 1)
MESSAGES = [
    {"role": "system", "content": "s"},
    {
        "role": "user",
        "content": [{"type": "text", "text": 'ü "{[\\'}, {"type": "image_url", "image_url": {"url": "u"}}],
    },
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
    {"role": "user", "content": "hi", "extra": [1, {"a": None}]},
]


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "a", "messages": MESSAGES, "filler": FILLER, "temperature": 0.5, "x": {"y": [1]}, **fields}


def test_what_nobody_asks_for_is_not_built() -> None:
    body = parse(orjson.dumps(chat()), Chat)
    assert isinstance(body["messages"], UnreadList)
    assert isinstance(body["filler"], Unread)
    assert body["x"] == {"y": [1]}
    assert list(body["messages"]) == MESSAGES
    assert body["messages"][-1] == MESSAGES[-1]


@pytest.mark.parametrize("fields", [{}, {"messages": [MESSAGES[1]], "tools": [{"type": "function", "function": {}}]}])
def test_it_is_written_as_it_came(fields: dict[str, Any]) -> None:
    body = chat(**fields)
    assert orjson.loads(dump(parse(orjson.dumps(body), Chat))) == body


WRONG = [
    b"{}",
    b"[]",
    b'{"model": "a", "messages": []}',
    b'{"model": "a", "messages": {}}',
    b'{"model": "a", "messages": null}',
    b'{"model": 1, "messages": [{"role": "user", "content": "hi"}]}',
    b'{"model": "a", "messages": [{"role": "user"}]}',
    b'{"model": "a", "messages": [{"role": "assistant"}, {"role": "system", "content": null}]}',
    b'{"model": "a", "messages": [{"role": "user", "content": 1}]}',
    b'{"model": "a", "messages": [{"content": "hi"}]}',
    b'{"model": "a", "messages": [{"role": "user", "content": "hi"}], "temperature": "hot"}',
    b'{"model": "a", "messages": [{"role": "user", "content": "\xff"}]}',
    b'{"model": "a", "messages": [{"role": "user", "content": "hi", "x": "\\ud800"}]}',
    b'{"model": "a", "messages": [{"role": "user", "content": "hi", "x": "\xff"}]}',
    b'{"model": "a", "messages": [{"role": "user", "content": "hi", "x": %b1%b}]}'
    % (b"[" * MAX_DEPTH, b"]" * MAX_DEPTH),
    b'{"model": "a", "messages": [{"role": "user", "content": "hi"}], "x": tru}',
    b'{"model": "a", "messages": [{"role": "user", "content": "hi"}]} x',
]


@pytest.mark.parametrize("raw", WRONG)
@pytest.mark.parametrize("shape", [Chat, Route, Completion])
def test_errors_are_those_of_small_bodies(raw: bytes, shape: Shape) -> None:
    spaces = b" " * LARGE  # JSON's own, so that columns stay
    assert refusal(raw + spaces, shape) == refusal(raw, shape)


def refusal(raw: bytes, shape: Shape) -> tuple[Any, ...] | None:
    try:
        parse(raw, shape)
    except ApiError as error:
        return error.error.status, error.error.message, error.error.code, error.error.param
    return None


NUMBERS = [b"1e999", b"-1e999", b"2e308", b"1E+400", b"1" + b"0" * 400, b"-0.1e0400", b"9" * 150 + b"e299"]
FINITE = [b"1e300", b"1e-999", b"1e12", b"123456789.5", b"0.1e-400", b"1" + b"0" * 300]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_number_that_is_infinite_is_refused_wherever_it_stands(
    number: bytes, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router_backend.gateway.large_bodies._PIECE", 1000 + at)  # so that it lies across pieces
    monkeypatch.setattr("router_backend.gateway.schemas.LARGE", 1000)
    for text in (b"", b'{\\"' * 400, b"1e999 " * 300, b"x" * (990 - at)):
        filler = b'"y": "%b", "x": [%b, "a"]' % (text + b"z" * 200_000, number)
        raw = b'{"model": "a", "messages": [{"role": "user", "content": "hi"}], %b}' % filler
        found = refusal(raw, Chat)
        assert found is not None
        assert found[2] == "invalid_json"


@pytest.mark.parametrize("number", FINITE)
def test_any_other_number_is_passed_on(number: bytes) -> None:
    texts = orjson.dumps(["1e999", '\\"1e999', "e" * 300 + "123", "0" * 300])
    filler = b'"y": "%b", "x": [%b, %b]' % (FILLER.encode(), number, texts)
    raw = b'{"model": "a", "messages": [{"role": "user", "content": "hi"}], %b}' % filler
    assert orjson.loads(dump(parse(raw, Chat)))["x"] == orjson.loads(b"[%b, %b]" % (number, texts))


ASKED = [
    (
        MESSAGES_API,
        {
            "max_tokens": 9,
            "system": "s",
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "2"}]},
                {"role": "user", "content": FILLER},
            ],
        },
    ),
    (
        RESPONSES,
        {
            "instructions": "s",
            "input": [
                {"role": "user", "content": "hi"},
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "2"},
                {"role": "user", "content": [{"type": "input_text", "text": FILLER}]},
            ],
        },
    ),
    (RESPONSES, {"input": FILLER}),
]


@pytest.mark.parametrize(("surface", "fields"), ASKED, ids=["messages", "responses", "a text"])
def test_other_apis_are_translated_without_being_built(surface: Surface, fields: dict[str, Any]) -> None:
    assert surface.codec
    body = {"model": "a", **fields}
    raw = orjson.dumps(body)
    asked = parse(raw, surface.shape)
    items = surface.shape.ITEMS[0]
    assert isinstance(asked[items], UnreadList) == isinstance(body[items], list)
    chat, refused = translated(surface.codec, asked, len(raw))
    assert refused is None
    assert isinstance(chat["messages"], UnreadList)
    assert orjson.loads(dump(chat)) == orjson.loads(dump(translated(surface.codec, body, 0)[0]))
    assert orjson.loads(dump(asked)) == body  # for an upstream that speaks the API


@pytest.mark.parametrize(("surface", "fields"), ASKED[:2], ids=["messages", "responses"])
def test_what_chat_can_t_say_is_left_out_of_a_large_one_as_well(surface: Surface, fields: dict[str, Any]) -> None:
    assert surface.codec
    items = surface.shape.ITEMS[0]
    strange = {"role": "user", "content": [{"type": "strange"}, *_texts("hi", surface)]}
    body = {"model": "a", **fields, items: [*fields[items], strange]}
    small = {"model": "a", **fields, items: [strange]}
    found = [
        translated(surface.codec, parse(orjson.dumps(each), surface.shape), len(orjson.dumps(each)))
        for each in (body, small)
    ]
    (large, refused), (_, other) = found
    assert refused is not None
    assert other is not None
    assert refused.code == other.code
    assert large["messages"][-1] == {"role": "user", "content": "hi"}


def _texts(text: str, surface: Surface) -> list[dict[str, str]]:
    return [{"type": "text" if surface is MESSAGES_API else "input_text", "text": text}]


WRONG_ASKED = [
    (MESSAGES_API, b'{"model": "a", "messages": []}'),
    (MESSAGES_API, b'{"model": "a", "messages": {}}'),
    (MESSAGES_API, b'{"model": "a", "messages": [{"role": "tool", "content": "hi"}]}'),
    (MESSAGES_API, b'{"model": "a", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}'),
    (MESSAGES_API, b'{"model": "a", "messages": [{"role": "user", "content": "hi"}], "tools": 1}'),
    (MESSAGES_API, b'{"model": "a", "messages": [{"role": "user", "content": "hi"}, tru]}'),
    (RESPONSES, b'{"model": "a", "input": [1]}'),
    (RESPONSES, b'{"model": "a", "input": 1}'),
    (RESPONSES, b'{"model": "a"}'),
    (RESPONSES, b'{"model": "a", "input": [{"role": 1e999}]}'),
]


@pytest.mark.parametrize(("surface", "raw"), WRONG_ASKED)
def test_errors_of_other_apis_are_those_of_small_bodies(surface: Surface, raw: bytes) -> None:
    small, large = refusal(raw, surface.shape), refusal(raw + b" " * LARGE, surface.shape)
    assert small is not None
    assert large == small


def test_depth_is_that_of_brackets_outside_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_backend.gateway.large_bodies._PIECE", 7)  # texts and escapes lie across pieces
    draw = random.Random(5)

    def value(levels: int) -> Any:
        if not levels or draw.random() < 0.2:
            return draw.choice(['{"[', "\\", '\\"]}', "", "ü[", 1, None, {}, []])
        inner = [value(levels - 1) for _ in range(draw.randrange(4))]
        return inner if draw.random() < 0.5 else {draw.choice('}\\"a') + str(at): each for at, each in enumerate(inner)}

    def depth(each: Any) -> int:
        inside = each.values() if isinstance(each, dict) else each if isinstance(each, list) else None
        return 0 if inside is None else 1 + max(map(depth, inside), default=0)

    for _ in range(300):
        tree = value(6)
        raw, deep = orjson.dumps(tree), depth(tree)
        assert not deeper_than(raw, deep)
        assert not deep or deeper_than(raw, deep - 1)


def test_routing_reads_the_same_of_both() -> None:
    text = "begin " + "filler " * 200_000 + "end"
    body = chat(
        messages=[
            *MESSAGES,
            *({"role": "user", "content": str(at)} for at in range(99)),
            {"role": "user", "content": text},
        ]
    )
    assert _large(parse(orjson.dumps(body), Chat)) == _large(body)


@pytest.mark.parametrize("first", [0, 1], ids=["a system message", "none"])
def test_an_arms_system_prompt_comes_first(first: int) -> None:
    model = ModelConfig.model_validate(
        {
            "name": "a",
            "upstream": {"kind": "local"},
            "price": {"input": 1, "output": 1},
            "context_window": 9,
            "system_prompt": "Be brief.",
            "defaults": {"filler": {"a": 1}, "x": {"z": 2}},
        }
    )
    body = chat(messages=MESSAGES[first:])
    large = arm_body(model, ForwardRequest(body=parse(orjson.dumps(body), Chat), arms=("a",)))
    assert orjson.loads(dump(large)) == arm_body(model, ForwardRequest(body=body, arms=("a",)))


def test_a_small_body_is_built() -> None:
    assert isinstance(schemas.parse(orjson.dumps({**chat(), "filler": ""}), Chat)["messages"], list)
