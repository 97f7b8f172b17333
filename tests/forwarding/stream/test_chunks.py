"""Chunks on their way through: the arm's name in, unasked usage out, everything else as it came."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_backend.core.errors import INVALID_RESPONSE
from router_backend.core.records import Usage
from router_backend.forwarding.failure import Failure
from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.chunks import ChunkReader, read_body, read_usage


def reader(usage_asked: bool = False) -> ChunkReader:
    return ChunkReader(Progress(arm="arm", started=0.0), usage_asked)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **fields: Any) -> bytes:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return orjson.dumps({"id": "c", "created": 1, "model": "theirs", "choices": [choice], **fields})


def test_only_the_model_changes_and_the_bytes_stay() -> None:
    data = (
        b'{"id": "c", "model":"theirs", "created": 1, "choices":'
        b'[{"index":0,"delta":{"content":"say \\"model\\""},"finish_reason":null}],"x":1.0}'
    )
    assert reader().take(data) == data.replace(b'"model":"theirs"', b'"model":"arm"')


def test_all_chunks_of_an_answer_have_the_time_of_the_first() -> None:
    """OpenAI's API reference; llama.cpp stamps each chunk again."""
    read = reader()
    times = [orjson.loads(read.take(chunk({"content": "x"}, created=second)) or b"")["created"] for second in (5, 5, 6)]
    assert times == [5, 5, 5]


@given(content=st.text(), model=st.text(), spaced=st.booleans())
def test_any_content_and_any_model_name_survive(content: str, model: str, spaced: bool) -> None:
    data = {
        "id": "c",
        "model": model,
        "choices": [{"index": 0, "delta": {"content": content, "x": {"model": "theirs"}}, "finish_reason": None}],
    }
    try:
        raw = json.dumps(data, ensure_ascii=spaced, separators=(", ", ": ") if spaced else (",", ":")).encode()
    except UnicodeEncodeError:
        return
    got = reader().take(raw)
    assert got is not None
    assert b"\n" not in got
    assert json.loads(got) == {**data, "model": "arm"}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_usage_nobody_asked_for_is_stripped_and_counted(separators: tuple[str, str]) -> None:
    got = reader()
    for data in ({"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": None, "model": "m"},):
        payload = got.take(json.dumps(data, separators=separators).encode())
        assert payload is not None
        assert "usage" not in orjson.loads(payload)
    assert got.take(json.dumps({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}).encode()) is None
    assert got._progress.usage == Usage(prompt=5, completion=0)
    assert got._progress.usage_known


def test_usage_that_was_asked_for_is_passed_on() -> None:
    got = reader(usage_asked=True)
    assert orjson.loads(got.take(chunk({"content": "x"}, usage=None)) or b"")["usage"] is None
    last = orjson.dumps({"model": "theirs", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    assert orjson.loads(got.take(last) or b"")["usage"]["completion_tokens"] == 2


def test_usage_beside_the_last_choice_is_counted_and_stripped() -> None:
    got = reader()
    payload = got.take(chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 2}))
    assert payload is not None
    assert "usage" not in orjson.loads(payload)
    assert got._progress.usage.completion == 2


def test_chunk_without_choices_is_passed_on() -> None:
    assert reader().take(b'{"id":"c","model":"arm","choices":[],"prompt_filter_results":[]}') is not None
    assert reader().take(b'{"id":"c","model":"arm"}') is not None


def test_reasoning_counts_as_content_and_its_tokens_are_read() -> None:
    got = reader()
    payload = got.take(chunk({"reasoning_content": "hm"}))
    assert got.content == 1
    assert orjson.loads(payload or b"")["choices"][0]["delta"] == {"reasoning_content": "hm"}
    details = {"completion_tokens_details": {"reasoning_tokens": 4}, "prompt_tokens_details": {"cached_tokens": 3}}
    assert read_usage({"prompt_tokens": 5, "completion_tokens": 6, **details}) == Usage(
        prompt=5, cached=3, completion=6, reasoning=4
    )
    assert read_usage({"prompt_tokens": 5, "prompt_tokens_details": None, "completion_tokens": None}) == Usage(prompt=5)


def test_role_alone_is_no_content() -> None:
    got = reader()
    got.take(chunk({"role": "assistant", "content": ""}))
    assert got.content == 0


def test_complete_when_each_choice_has_finished() -> None:
    got = reader()
    got.take(chunk({"content": "a"}, index=0))
    got.take(chunk({"content": "b"}, index=1))
    got.take(chunk({}, "stop", index=0))
    assert not got.complete
    got.take(chunk({}, "length", index=1))
    assert got.complete


@pytest.mark.parametrize(
    "garbage",
    [
        b"not json",
        b"[1]",
        b'"text"',
        b'{"choices":',
        b'{"choices":{}}',
        b'{"choices":["x"]}',
        b"\xff\xfe",
        b"[" * 100000,
    ],
)
def test_garbage_is_a_failure(garbage: bytes) -> None:
    with pytest.raises(Failure) as failure:
        reader().take(garbage)
    assert failure.value.cause is INVALID_RESPONSE


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"error": {"message": "boom", "type": "server_error", "code": 500}}, 502),
        ({"error": {"message": "slow down", "code": 429}}, 429),
        ({"object": "error", "message": "boom", "code": 400}, 400),
        ({"error": "boom"}, 502),
        ({"error": {"message": None}, "choices": []}, 502),
    ],
)
def test_error_object_in_the_stream_is_a_failure(error: dict[str, Any], status: int) -> None:
    with pytest.raises(Failure) as failure:
        reader().take(orjson.dumps(error))
    assert failure.value.error.status == status


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_any_json_is_a_chunk_or_a_failure_and_nothing_else(data: st.DataObject) -> None:
    def odd(value: Any) -> Any:
        if data.draw(st.integers(0, 5)) == 0:
            return data.draw(VALUES)
        if isinstance(value, dict):
            return {key: odd(inner) for key, inner in value.items()}
        return [odd(inner) for inner in value] if isinstance(value, list) else value

    call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": ""}}
    choice = {"index": 0, "delta": {"content": "x", "tool_calls": [call]}, "text": "x", "finish_reason": None}
    usage = {"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 1}, "prompt_tokens_details": {}}
    chunk = {"id": "c", "model": "m", "choices": [choice], "usage": usage, "error": None}
    got = reader(usage_asked=data.draw(st.booleans()))
    for _ in range(3):
        raw = json.dumps(odd(chunk)).encode()
        for read in (got.take, lambda raw: read_body(raw, Progress(arm="arm", started=0.0), "chat/completions")):
            try:
                payload = read(raw)
            except Failure:
                continue
            assert payload is None or json.loads(payload)["model"] == "arm"


def test_multi_line_data_becomes_one_line() -> None:
    got = reader().take(b'{"model":"arm",\n"choices":[]}')
    assert got == b'{"model":"arm","choices":[]}'


def test_nan_and_lone_surrogates_are_no_garbage() -> None:
    assert reader().take(b'{"model":"arm","choices":[{"index":0,"delta":{"content":"\\ud83d"},"logprobs":NaN}]}')
    assert b"\\ud83d" in (reader().take(b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}') or b"")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":{}}'])
def test_whole_body_that_is_no_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(Failure):
        read_body(body, Progress(arm="arm", started=0.0), "chat/completions")


@pytest.mark.parametrize(
    ("fields", "revision"),
    [
        ({"system_fingerprint": "fp_1"}, "theirs@fp_1"),
        ({"system_fingerprint": None}, "theirs"),
        ({"system_fingerprint": ["x"], "model": "y" * 300}, ""),
    ],
)
def test_the_upstreams_revision_is_read_before_the_arms_name_takes_its_place(
    fields: dict[str, Any], revision: str
) -> None:
    streamed, whole = Progress(arm="arm", started=0.0), Progress(arm="arm", started=0.0)
    read = ChunkReader(streamed, usage_asked=False)
    read.take(chunk({"content": "x"}, **fields))
    read.take(chunk({"content": "x"}, "stop", model="another", created=1))
    body = {"model": "theirs", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], **fields}
    read_body(orjson.dumps(body), whole, "chat/completions")
    assert (streamed.revision, whole.revision) == (revision, revision)
