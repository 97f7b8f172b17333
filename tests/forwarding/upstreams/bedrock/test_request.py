"""OpenAI's chat requests in Converse's words; botocore's own client judges them: it checks each against AWS's model."""

from __future__ import annotations

import base64
import copy
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.validate import ParamValidator

from router_backend.config.models import BedrockUpstream
from router_backend.core.unread import UnreadList
from router_backend.forwarding.failure import Failure
from router_backend.forwarding.upstreams.bedrock.request import converse_body
from tests.forwarding.upstreams.bedrock.conftest import MODEL

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.4").decode()
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}


def converse(messages: Any = (), upstream: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Converse's body, which botocore has found right."""
    chosen = BedrockUpstream(kind="bedrock", model=MODEL, **(upstream or {}))
    messages = messages or [{"role": "user", "content": "hi"}]
    body = converse_body("a", chosen, {"model": "auto", "messages": messages, **fields})
    check(body)
    return body


def check(body: dict[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("ConverseStream")
    assert model.input_shape
    report = ParamValidator().validate({"modelId": MODEL, **with_bytes(copy.deepcopy(body))}, model.input_shape)
    assert not report.has_errors(), report.generate_report()


def with_bytes(value: Any) -> Any:
    """Blobs as botocore takes them: JSON has them as base64 text."""
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item) if name in ("bytes", "redactedContent") else with_bytes(item)
            for name, item in value.items()
        }
    return [with_bytes(item) for item in value] if isinstance(value, list) else value


def test_turns_alternate_and_systems_stand_apart() -> None:
    body = converse(
        [
            {"role": "system", "content": "Be terse."},
            {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
            {"role": "user", "content": "Hi"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PNG}}],
            },
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "Well?"},
        ]
    )
    assert body["system"] == [{"text": "Be terse."}, {"text": "And kind."}]
    (turn,) = body["messages"]
    assert turn["role"] == "user"
    assert [next(iter(block)) for block in turn["content"]] == ["text", "text", "image", "text"]
    assert turn["content"][2] == {"image": {"format": "png", "source": {"bytes": PNG.partition(",")[2]}}}


def test_a_tool_loop_with_its_thoughts() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "aGlkZGVu"}
    body = converse(
        [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "thinking_blocks": [thought, hidden]},
            {"role": "tool", "tool_call_id": "call-1", "content": "sunny"},
            {"role": "user", "content": "And tomorrow?"},
        ],
        tools=[TOOL],
        tool_choice="required",
    )
    user, assistant, result = body["messages"]
    assert [next(iter(block)) for block in assistant["content"]] == ["reasoningContent", "reasoningContent", "toolUse"]
    assert assistant["content"][2]["toolUse"]["input"] == {"city": "Zürich"}
    assert result["content"][0]["toolResult"] == {"toolUseId": "call-1", "content": [{"text": "sunny"}]}
    assert result["content"][1] == {"text": "And tomorrow?"}
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "weather"
    assert user["role"] == "user"


def test_tools_that_a_conversation_has_used_are_declared_though_none_may_be_called() -> None:
    """Bedrock refuses calls in the history whose tools aren't there."""
    said = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call-1", "content": ""},
    ]
    assert converse(said)["toolConfig"]["tools"][0]["toolSpec"]["name"] == "weather"
    assert "toolConfig" in converse(said, tools=[TOOL], tool_choice="none")
    assert "toolConfig" not in converse(tools=[TOOL], tool_choice="none")


def test_options_have_other_names() -> None:
    body = converse(max_completion_tokens=50, temperature=1.5, top_p=0.5, stop="END", reasoning_effort="low")
    assert body["inferenceConfig"] == {"maxTokens": 50, "temperature": 1.0, "topP": 0.5, "stopSequences": ["END"]}
    assert body["outputConfig"] == {"effort": "low"}


def test_an_answer_may_have_a_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, "strict": True}}
    structure = converse(response_format=asked)["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert structure["name"] == "thing"
    assert '"a"' in structure["schema"]


def test_cache_points_are_the_clients_and_the_configurations() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Long.", **mark}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        },
    ]
    body = converse(messages, tools=[TOOL | mark])
    assert body["system"][1] == {"cachePoint": {"type": "default"}}
    assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}
    assert converse(messages, {"cache_points": ["tools", "system", "messages"]}, tools=[TOOL | mark]) == body
    plain = converse(
        [{"role": "system", "content": "Long."}, {"role": "user", "content": "hi"}],
        {"cache_points": ["tools", "system", "messages"]},
        tools=[TOOL],
    )
    for blocks in (plain["system"], plain["toolConfig"]["tools"], plain["messages"][0]["content"]):
        assert blocks[-1] == {"cachePoint": {"type": "default"}}


def test_fields_of_the_model_itself_come_from_the_configuration() -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert converse(upstream={"request_fields": thinking})["additionalModelRequestFields"] == thinking


def test_files_are_documents() -> None:
    part = {"type": "file", "file": {"filename": "räport_2.pdf", "file_data": PDF}}
    (block,) = converse([{"role": "user", "content": [part]}])["messages"][0]["content"]
    assert block["document"]["format"] == "pdf"
    assert block["document"]["name"] == "r port 2 pdf"


def test_a_large_body_is_read_as_it_is_needed() -> None:
    raw = msgspec.json.decode(
        b'[{"role": "user", "content": "hi"}, {"role": "user", "content": "there"}]', type=msgspec.Raw
    )
    assert converse(UnreadList(raw))["messages"] == [{"role": "user", "content": [{"text": "hi"}, {"text": "there"}]}]


@pytest.mark.parametrize(
    ("fields", "param", "falls_back"),
    [
        ({"n": 2}, "n", True),
        ({"logprobs": True}, "logprobs", True),
        ({"logit_bias": {"1": 1}}, "logit_bias", True),
        ({"presence_penalty": 1}, "presence_penalty", True),
        ({"made_up": 1}, "made_up", True),
        ({"response_format": {"type": "json_object"}}, "response_format", True),
        ({"response_format": {"type": "json_schema"}}, "response_format", False),
        ({"messages": []}, "messages", False),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages", False),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0]", True),
        ({"messages": [3]}, "messages[0]", True),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", False),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0]", True),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}
                ]
            },
            "messages[0].content[0]",
            True,
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", False),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]}
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
            False,
        ),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", True),
        ({"tools": [{"type": "web_search"}]}, "tools[0]", True),
        ({"tool_choice": "maybe", "tools": [TOOL]}, "tool_choice", False),
        ({"max_tokens": 0}, "max_tokens", False),
        ({"temperature": "hot"}, "temperature", False),
        ({"stop": [""]}, "stop", False),
    ],
)
def test_what_can_not_be_honoured_is_refused(fields: dict[str, Any], param: str, falls_back: bool) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    with pytest.raises(Failure) as failed:
        converse_body("a", BedrockUpstream(kind="bedrock", model=MODEL), body)
    assert failed.value.error.param == param
    assert failed.value.error.status == 400
    assert failed.value.cause.falls_back == falls_back
