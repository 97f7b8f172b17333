"""The contents of chat messages as Converse's blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from router_backend.core.jsonio import load
from router_backend.forwarding.upstreams.bedrock.refusal import refusal

Json = dict[str, Any]

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", re.I)
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_UNFIT = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")  # in names of documents


def blocks_of(arm: str, where: str, message: Json) -> list[Json]:
    """Of a user's, an assistant's or a tool's message; without texts that are blank, which Bedrock refuses."""
    role = message["role"]
    if role == "tool":
        return list(_result(arm, where, message))
    blocks = list(_thoughts(message)) if role == "assistant" else []
    blocks += _parts(arm, f"{where}.content", message.get("content"))
    if role == "assistant":
        blocks += _calls(arm, where, message)
    blocks += cache_point(message)
    return blocks if any("cachePoint" not in block for block in blocks) else []


def texts_of(arm: str, where: str, message: Json) -> list[Json]:
    """Of a system prompt."""
    blocks = [*_parts(arm, f"{where}.content", message.get("content")), *cache_point(message)]
    if not all("text" in block or "cachePoint" in block for block in blocks):
        raise refusal(f"{where}.content", f"{arm} (Bedrock) takes system prompts of text", True)
    return blocks if any("text" in block for block in blocks) else []


def cache_point(part: Json) -> Iterator[Json]:
    """Where the client marks the end of what is to be cached, as Anthropic's API and OpenRouter have it."""
    mark = part.get("cache_control")
    if isinstance(mark, dict) and mark.get("type") == "ephemeral":
        lasts = {"ttl": mark["ttl"]} if mark.get("ttl") in ("5m", "1h") else {}
        yield {"cachePoint": {"type": "default", **lasts}}


def _parts(arm: str, where: str, content: Any) -> Iterator[Json]:
    if content is None:
        return
    if isinstance(content, str):
        content = [content]
    if not isinstance(content, list):
        raise refusal(where, f"{where} must be text or a list of parts")
    for place, part in enumerate(content):
        here = f"{where}[{place}]"
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if not isinstance(part, dict):
            raise refusal(here, f"{here} must be an object")
        yield from _part(arm, here, part)
        yield from cache_point(part)


def _part(arm: str, where: str, part: Json) -> Iterator[Json]:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        text = part.get(kind)
        if not isinstance(text, str):
            raise refusal(where, f"{where}.{kind} must be text")
        if text.strip():
            yield {"text": text}
    elif kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        media, data = _data(arm, where, url, "images")
        yield {"image": {"format": _known(arm, where, _IMAGES, media), "source": {"bytes": data}}}
    elif kind == "file":
        file = part.get("file")
        file = file if isinstance(file, dict) else {}
        media, data = _data(arm, where, file.get("file_data"), "files")
        name = _UNFIT.sub(" ", str(file.get("filename") or "document")).strip()[:200] or "document"
        yield {"document": {"format": _known(arm, where, _DOCUMENTS, media), "name": name, "source": {"bytes": data}}}
    else:
        raise refusal(where, f"{arm} (Bedrock) can't read a part of type {kind!r}", True)


def _data(arm: str, where: str, url: Any, what: str) -> tuple[str, str]:
    """Media type and base64 text."""
    found = _DATA.match(url) if isinstance(url, str) else None
    if found is None:
        raise refusal(where, f"{arm} (Bedrock) takes {what} as data: URLs with base64, not as addresses", True)
    return found[1].lower(), url[found.end() :]


def _known(arm: str, where: str, formats: dict[str, str], media: str) -> str:
    if media not in formats:
        raise refusal(where, f"{arm} (Bedrock) can't read {media}", True)
    return formats[media]


def _thoughts(message: Json) -> Iterator[Json]:
    """What a model thought, as `thinking_blocks` had it: only with its signature may the model go on from it."""
    given = message.get("thinking_blocks")
    for block in given if isinstance(given, list) else ():
        if not isinstance(block, dict):
            continue
        if block.get("type") == "thinking" and isinstance(block.get("signature"), str):
            thought = {"text": str(block.get("thinking") or ""), "signature": block["signature"]}
            yield {"reasoningContent": {"reasoningText": thought}}
        elif block.get("type") == "redacted_thinking" and isinstance(block.get("data"), str):
            yield {"reasoningContent": {"redactedContent": block["data"]}}


def _calls(arm: str, where: str, message: Json) -> Iterator[Json]:
    if message.get("function_call"):
        raise refusal(f"{where}.function_call", f"{arm} (Bedrock) takes tool_calls, not function_call", True)
    given = message.get("tool_calls")
    for place, call in enumerate(given if isinstance(given, list) else ()):
        here = f"{where}.tool_calls[{place}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise refusal(here, f"{here} must be a call of a function")
        arguments = _arguments(function.get("arguments"), f"{here}.function.arguments")
        yield {"toolUse": {"toolUseId": str(call.get("id")), "name": function["name"], "input": arguments}}


def _arguments(text: Any, where: str) -> Json:
    """The object that Converse wants."""
    value: Any = {}
    if isinstance(text, str) and text.strip():
        try:
            value = load(text.encode())
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise refusal(where, f"{where} must be a JSON object")
    return value


def _result(arm: str, where: str, message: Json) -> Iterator[Json]:
    call = message.get("tool_call_id")
    if not isinstance(call, str):
        raise refusal(f"{where}.tool_call_id", "a tool's message must say which call it answers")
    blocks = [*_parts(arm, f"{where}.content", message.get("content")), *cache_point(message)]
    content = [block for block in blocks if "cachePoint" not in block]
    yield {"toolResult": {"toolUseId": call, "content": content or [{"text": "(nothing)"}]}}
    yield from [block for block in blocks if "cachePoint" in block][-1:]  # a result has none within
