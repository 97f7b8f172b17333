"""What an upstream says of itself, and what its models do when they are asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from router_backend.config import RouterConfig
from router_backend.config.models import OpenAIUpstream

_SECONDS = 10.0  # for a list of models
_ANSWER_SECONDS = 60.0  # for a first answer, which may load the model
_ANSWER_TOKENS = 64
_SHOWN = 80  # characters of what came instead
# Where servers say how long a prompt may be: vLLM and NIM, OpenRouter and Together, Groq, Mistral, llama.cpp.
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length")
_TOOL = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "The time in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server with OpenAI's API."""

    base_url: str
    key_variable: str | None = None
    key_file: str | None = None

    def headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_variable, "") if self.key_variable else ""
        if not key and self.key_file:
            key = Path(self.key_file).read_text(encoding="utf-8").strip()
        if not key and self.key_variable is None:
            return {}
        if not key:
            raise RuntimeError(f"${self.key_variable} isn't set; {self.base_url} needs the key that it holds")
        return {"authorization": f"Bearer {key}"}


@dataclass(frozen=True, slots=True)
class Found:
    """A model of a server; `window` in tokens, where the server says it."""

    server: Server
    id: str
    window: int | None


@dataclass(frozen=True, slots=True)
class Tried:
    """What a model did. `capabilities` are those that it answered with, `error` says why it answered nothing."""

    capabilities: tuple[str, ...] = ()
    error: str = ""

    @property
    def summary(self) -> str:
        if self.error:
            return f"no answer ({self.error})"
        return f"answers; {', '.join(self.capabilities) or 'neither tools nor JSON'}"


def servers_of(config: RouterConfig) -> dict[Server, set[str]]:
    """The servers with OpenAI's API that a configuration names, each with the models that are asked for there."""
    servers: dict[Server, set[str]] = {}
    for model in config.models:
        upstream = model.upstream
        if isinstance(upstream, OpenAIUpstream):
            server = Server(upstream.base_url.rstrip("/"), upstream.api_key_env, upstream.api_key_file)
            servers.setdefault(server, set()).add(upstream.model or model.name)
    return servers


def models_of(server: Server) -> list[Found]:
    """The models of a server, by its `/models`.

    Raises:
        RuntimeError: it can't be asked; the message says what to do.
    """
    url = f"{server.base_url}/models"
    try:
        response = httpx.get(url, headers=server.headers(), timeout=_SECONDS, follow_redirects=True)
    except httpx.HTTPError as error:
        raise RuntimeError(f"{url}: no answer ({error}); is the server running, and the address right?") from error
    if response.status_code in (401, 403):
        key = (
            f"the key in ${server.key_variable}"
            if server.key_variable
            else "no key; name its variable behind the URL: URL=VARIABLE"
        )
        raise RuntimeError(f"{url}: refused ({response.status_code}) with {key}")
    if response.status_code == 404 and not server.base_url.endswith("/v1"):
        raise RuntimeError(f"{url}: not found; the base URL mostly ends in /v1: {server.base_url}/v1")
    if response.status_code != 200:
        raise RuntimeError(f"{url}: status {response.status_code}; is this a server with OpenAI's API?")
    listed = _json(response)
    entries = listed.get("data") if isinstance(listed, dict) else listed  # Together's is a plain list
    found: dict[str, Found] = {}  # of those that are listed twice the first
    if not isinstance(entries, list):
        raise RuntimeError(f"{url}: no list of models, but {_came(response)}; is this a server with OpenAI's API?")
    for entry in entries:
        name = entry.get("id") if isinstance(entry, dict) else None
        # Half a character can stand in no file.
        if not isinstance(name, str) or not name or not _whole(name):
            raise RuntimeError(f"{url}: no list of models, but {_came(response)}: one has no `id`")
        found.setdefault(name, Found(server, name, _window(entry)))
    return list(found.values())


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _window(entry: Mapping[str, Any]) -> int | None:
    meta = entry.get("meta")
    numbers = [entry.get(name) for name in _WINDOWS]
    if isinstance(meta, Mapping):
        numbers += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    return next((number for number in numbers if isinstance(number, int) and number > 0), None)


def ask(model: Found) -> Tried:
    """Ask for an answer, then with a tool, then for JSON. Each costs a few tokens."""
    url = f"{model.server.base_url}/chat/completions"
    with httpx.Client(headers=model.server.headers(), timeout=_ANSWER_SECONDS, follow_redirects=True) as client:

        def post(text: str, limit: str, **fields: Any) -> httpx.Response:
            body = {"model": model.id, "messages": [{"role": "user", "content": text}], limit: _ANSWER_TOKENS, **fields}
            return client.post(url, json=body)

        try:
            limit = "max_tokens"  # some models take one name of it, some the other
            response = post("Say yes.", limit)
            if response.status_code == 400:
                limit = "max_completion_tokens"
                response = post("Say yes.", limit)
            if response.status_code != 200:
                return Tried(error=_reason(response))
            if not _is_answer(response):
                return Tried(error=f"200, with no chat completion, but {_came(response)}")
            tools = _is_answer(post("What time is it in Paris?", limit, tools=[_TOOL]))
            form = {"type": "json_object"}
            json = _is_answer(post("Answer with the JSON object {}.", limit, response_format=form))
        except httpx.HTTPError as error:
            return Tried(error=" ".join(str(error).split()) or type(error).__name__)
    return Tried(tuple(name for name, can in (("tools", tools), ("json", json)) if can))


def _is_answer(response: httpx.Response) -> bool:
    """Whether a chat completion came; its content may be empty, where the model thought or called a tool."""
    body = _json(response) if response.status_code == 200 else None
    choices = body.get("choices") if isinstance(body, dict) else None
    return (
        isinstance(choices, list)
        and bool(choices)
        and isinstance(choices[0], dict)
        and isinstance(choices[0].get("message"), dict)
    )


def _json(response: httpx.Response) -> Any:
    """None: it is none."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _came(response: httpx.Response) -> str:
    """What came in place of what was asked for, in a line."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip() or "an answer without a type"
    text = _line(response.text[: 4 * _SHOWN])
    where = f" from {response.url}" if response.history else ""  # a page to sign in, mostly
    return f"{_line(kind)}{where}: {text[:_SHOWN]}" if text else f"{_line(kind)}{where}, empty"


def _line(text: str) -> str:
    """On one line, without what terminals and files take for commands."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _reason(response: httpx.Response) -> str:
    try:
        message = str(_json(response)["error"]["message"])
    except (KeyError, TypeError):
        message = response.text
    return f"{response.status_code}: {_line(message)[:200]}"
