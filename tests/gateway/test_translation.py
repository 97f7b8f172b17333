"""Requests in the words of three APIs: what two of them can say is kept by the way through the internal request."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router_backend.gateway.surfaces.messages import MESSAGES
from router_backend.gateway.surfaces.responses import RESPONSES

Chat = dict[str, Any]

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
names = st.from_regex(r"[a-z][a-z_]{0,15}", fullmatch=True)
images = words.map(lambda text: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}})
texts = words.map(lambda text: {"type": "text", "text": text})
arguments = st.dictionaries(names, st.integers(0, 9) | words, max_size=3)


@st.composite
def turns(draw: st.DrawFn) -> list[Chat]:
    """A user's turn, and perhaps an assistant's with thoughts and calls whose results follow."""
    content = draw(words | st.lists(texts | images, min_size=2, max_size=3))
    messages: list[Chat] = [{"role": "user", "content": content}]
    calls = draw(st.lists(st.tuples(names, arguments), max_size=2))
    said = draw(words if not calls else st.none() | words)
    answer: Chat = {"role": "assistant", "content": said}
    if draw(st.booleans()):
        answer["reasoning_content"] = draw(words)
    if calls:
        answer["tool_calls"] = [
            {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": compact(fields)}}
            for at, (name, fields) in enumerate(calls)
        ]
    messages.append(answer)
    messages += [{"role": "tool", "tool_call_id": f"c{at}", "content": draw(words)} for at in range(len(calls))]
    return messages


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    """Chat requests with what all three APIs can say."""
    system = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    talk = [message for turn in draw(st.lists(turns(), max_size=3)) for message in turn]
    chat: Chat = {"model": draw(names), "messages": [*system, *talk, {"role": "user", "content": draw(words)}]}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "reasoning_effort": st.sampled_from(["low", "medium", "high"]),
        "parallel_tool_calls": st.booleans(),
        "user": words,
    }
    chat |= {name: draw(values) for name, values in optional.items() if draw(st.booleans())}
    if draw(st.booleans()):
        function = {"name": draw(names), "description": draw(words), "parameters": {"type": "object"}}
        chat["tools"] = [{"type": "function", "function": function}]
        chat["tool_choice"] = draw(
            st.sampled_from(["auto", "required", "none"])
            | st.just({"type": "function", "function": {"name": function["name"]}})
        )
    else:
        chat.pop("parallel_tool_calls", None)
    if draw(st.booleans()):
        schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    if draw(st.booleans()):
        chat |= {"stream": True, "stream_options": {"include_usage": True}}
    return chat


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def as_responses(chat: Chat) -> Chat:
    """Written by hand from OpenAI's reference, and not with the codec's help."""
    same = ("model", "temperature", "top_p", "parallel_tool_calls", "user", "stream")
    body: Chat = {name: chat[name] for name in same if name in chat} | {"input": []}
    for message in chat["messages"]:
        content = message["content"]
        if message["role"] == "system":
            body["instructions"] = content
        elif message["role"] == "tool":
            body["input"].append(
                {"type": "function_call_output", "call_id": message["tool_call_id"], "output": content}
            )
        elif message["role"] == "user":
            body["input"].append({"role": "user", "content": content if isinstance(content, str) else [
                {"type": "input_text", "text": part["text"]} if part["type"] == "text"
                else {"type": "input_image", "image_url": part["image_url"]["url"]} for part in content
            ]})  # fmt: skip
        else:
            if "reasoning_content" in message:
                thought = {"type": "reasoning_text", "text": message["reasoning_content"]}
                body["input"].append({"type": "reasoning", "id": "r", "summary": [], "content": [thought]})
            if content is not None:
                part = {"type": "output_text", "text": content, "annotations": []}
                body["input"].append({"type": "message", "id": "m", "role": "assistant", "content": [part]})
            for call in message.get("tool_calls", ()):
                body["input"].append({"type": "function_call", "call_id": call["id"], **call["function"]})
    if "tools" in chat:
        body["tools"] = [{"type": "function", **tool["function"]} for tool in chat["tools"]]
        choice = chat["tool_choice"]
        body["tool_choice"] = choice if isinstance(choice, str) else {"type": "function", **choice["function"]}
    if "reasoning_effort" in chat:
        body["reasoning"] = {"effort": chat["reasoning_effort"]}
    if "response_format" in chat:
        body["text"] = {"format": {"type": "json_schema", **chat["response_format"]["json_schema"]}}
    return body


def as_messages(chat: Chat) -> Chat:
    """Written by hand from Anthropic's reference, and not with the codec's help."""
    body: Chat = {name: chat[name] for name in ("model", "temperature", "top_p", "stream") if name in chat}
    body["messages"] = []
    for message in chat["messages"]:
        role, content = message["role"], message["content"]
        blocks: list[Chat] = []
        if role == "system":
            body["system"] = content
            continue
        if "reasoning_content" in message:
            blocks.append({"type": "thinking", "thinking": message["reasoning_content"], "signature": ""})
        if role == "tool":
            blocks.append({"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": content})
            role = "user"
        elif isinstance(content, str):
            blocks.append({"type": "text", "text": content})
        for part in content if isinstance(content, list) else ():
            data = part["image_url"]["url"].removeprefix("data:image/png;base64,") if "image_url" in part else ""
            source = {"type": "base64", "media_type": "image/png", "data": data}
            blocks.append({"type": "image", "source": source} if data else part)
        for call in message.get("tool_calls", ()):
            function = call["function"]
            use = {"type": "tool_use", "id": call["id"], "name": function["name"]}
            blocks.append({**use, "input": json.loads(function["arguments"])})
        body["messages"].append({"role": role, "content": blocks})
    if "tools" in chat:
        functions = [tool["function"] for tool in chat["tools"]]
        body["tools"] = [{**function, "input_schema": function["parameters"]} for function in functions]
        for tool in body["tools"]:
            del tool["parameters"]
        choice = chat["tool_choice"]
        kinds = {"auto": "auto", "required": "any", "none": "none"}
        picked = {"type": kinds[choice]} if isinstance(choice, str) else {"type": "tool", **choice["function"]}
        if "parallel_tool_calls" in chat:
            picked["disable_parallel_tool_use"] = not chat["parallel_tool_calls"]
        body["tool_choice"] = picked
    config: Chat = {}
    if "reasoning_effort" in chat:
        config["effort"] = chat["reasoning_effort"]
    if "response_format" in chat:
        config["format"] = {"type": "json_schema", "schema": chat["response_format"]["json_schema"]["schema"]}
    if config:
        body["output_config"] = config
    if "user" in chat:
        body["metadata"] = {"user_id": chat["user"]}
    return body


@given(chats())
def test_a_chat_in_the_words_of_responses_is_the_same_chat(chat: Chat) -> None:
    assert RESPONSES.codec
    assert RESPONSES.codec.request(as_responses(chat)) == chat


@given(chats())
def test_a_chat_in_the_words_of_messages_is_the_same_chat(chat: Chat) -> None:
    assert MESSAGES.codec
    assert MESSAGES.codec.request(as_messages(chat)) == chat


@st.composite
def answers(draw: st.DrawFn) -> tuple[Chat, list[Chat]]:
    """A whole chat answer, and the same as chunks, cut anywhere."""
    message: Chat = {"role": "assistant", "content": draw(words), "reasoning_content": draw(st.just("") | words)}
    calls = draw(st.lists(st.tuples(names, arguments), max_size=3))
    if calls:
        message["tool_calls"] = [
            {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": compact(fields)}}
            for at, (name, fields) in enumerate(calls)
        ]
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    deltas: list[Chat] = [{name: piece} for name in ("reasoning_content", "content") for piece in message[name]]
    pieces: list[list[Chat]] = []
    for at, call in enumerate(message.get("tool_calls", ())):
        text = call["function"]["arguments"]
        cut = draw(st.integers(0, len(text)))
        head = {"index": at, **call, "function": {**call["function"], "arguments": text[:cut]}}
        pieces.append([head, {"index": at, "function": {"arguments": text[cut:]}}])
    order = [piece[0] for piece in pieces] + draw(st.permutations([piece[1] for piece in pieces]))
    deltas += [{"tool_calls": [piece]} for piece in order]
    chunks: list[Chat] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, {"choices": [], "usage": usage}]
    whole = {"model": "a", "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}
    return whole, chunks


@given(answers())
def test_a_streamed_response_ends_as_the_whole_one(answer: tuple[Chat, list[Chat]]) -> None:
    whole, chunks = answer
    codec = RESPONSES.codec
    assert codec
    events = codec.events({}, "a")
    made = [*events.begin(), *(event for chunk in chunks for event in events.add(chunk)), *events.end()]
    expected, last = codec.answer(whole, {}), made[-1]["response"]
    assert [plain(item) for item in last["output"]] == [plain(item) for item in expected["output"]]
    for name in ("status", "incomplete_details", "usage"):
        assert last[name] == expected[name]


@given(answers())
def test_a_streamed_message_ends_as_the_whole_one(answer: tuple[Chat, list[Chat]]) -> None:
    whole, chunks = answer
    codec = MESSAGES.codec
    assert codec
    events = codec.events({}, "a")
    made = [*events.begin(), *(event for chunk in chunks for event in events.add(chunk)), *events.end()]
    expected = codec.answer(whole, {})
    blocks: dict[int, Chat] = {}
    inputs: dict[int, str] = {}
    for event in made:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif event["type"] == "content_block_delta":
            for name, value in event["delta"].items():
                if name == "partial_json":
                    inputs[event["index"]] = inputs.get(event["index"], "") + value
                elif name != "type":
                    blocks[event["index"]][name] += value
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text)
    assert list(blocks.values()) == expected["content"]
    assert made[-2]["delta"] == {name: expected[name] for name in ("stop_reason", "stop_sequence")}
    assert made[-2]["usage"] == expected["usage"]


def plain(item: Chat) -> Chat:
    """An item without its id, which is new each time."""
    return {name: value for name, value in item.items() if name != "id"}
