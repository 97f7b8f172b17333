"""`/openapi.json`: our surface, written from the types that check requests."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from router_backend.gateway.hints import NAMES
from router_backend.gateway.http.exchange import Exchange
from router_backend.gateway.routes.batches import CreateBatch
from router_backend.gateway.schemas import Chat, Completion, Embedding, FeedbackBody, Route
from router_backend.gateway.surfaces.messages.schema import Messages
from router_backend.gateway.surfaces.responses.schema import Responses

_REF = "#/components/schemas/{name}"
_ERRORS = {
    "400": "The request is malformed; `param` says where.",
    "401": "No API key, or an unknown one.",
    "403": "The key lacks the scope.",
    "404": "No such model, decision, response, file, batch or URL.",
    "405": "The URL knows other methods; `allow` lists them.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is compressed.",
    "429": "A rate, a budget or a queue is full; `retry-after` says when to come back.",
    "499": "The client left.",
    "500": "A mistake of ours.",
    "502": "The model's server failed.",
    "503": "The model's server, or the router, is not available now.",
    "504": "The model's server was too slow.",
}
_ANSWER_HEADERS = {
    "x-router-decision-id": "What /v1/feedback takes.",
    "x-router-model": "The model that answered.",
    "x-router-task": "The task that the prompt was classified as; empty when it was not.",
    "x-router-reason": "Why: policy:…, explore, named, passthrough[:token_ids], fallback:<cause>, …",
    "x-router-switched": "`true` when the session's model changed.",
}

_CHAT = [{"role": "user", "content": "Why is the sky blue?"}]
EXAMPLES: dict[str, dict[str, Any]] = {
    "Chat": {"model": "auto", "messages": _CHAT, "max_tokens": 40},
    "Completion": {"model": "auto", "prompt": "The sky is blue because", "max_tokens": 40},
    "Embedding": {"model": "embed", "input": "Why is the sky blue?"},
    "Responses": {"model": "auto", "input": "Why is the sky blue?", "max_output_tokens": 40},
    "Messages": {"model": "auto", "messages": _CHAT, "max_tokens": 40},
    "Route": {"messages": _CHAT},
    "FeedbackBody": {"decision_id": "ID", "score": 1},
    "CreateBatch": {"input_file_id": "file-ID", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
}
"""A body of each type."""
_TAGS = {
    "Answers": ("/v1/chat/", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"),
    "Models, decisions and scores": ("/v1/models", "/v1/route", "/v1/decisions", "/v1/feedback"),
    "Files and batches": ("/v1/files", "/v1/batches"),
    "Operation": ("/v1/admin", "/admin/", "/metrics", "/health"),
}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    made = _untagged()
    for path, operations in made["paths"].items():
        (tag,) = (tag for tag, beginnings in _TAGS.items() if path.startswith(beginnings))
        for operation in operations.values():
            operation["tags"] = [tag]
    return made | {"tags": [{"name": tag} for tag in _TAGS]}


def _untagged() -> dict[str, Any]:
    types = (Chat, Completion, Embedding, Messages, Responses, Route, FeedbackBody, CreateBatch)
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    for schema in components.values():
        if "properties" in schema and schema.get("title") != "FeedbackBody":
            schema["additionalProperties"] = True  # forwarded as it is
    components["Chat"]["properties"]["messages"]["minItems"] = 1
    components["Route"]["properties"]["messages"]["minItems"] = 1
    components["Messages"]["properties"]["messages"]["minItems"] = 1
    components["FeedbackBody"]["additionalProperties"] = False
    components["FeedbackBody"]["properties"]["decision_id"] |= {"minLength": 1, "maxLength": 64}
    components["FeedbackBody"]["properties"]["score"] |= {"minimum": 0, "maximum": 1}
    components["Error"] = _error()
    components["MessagesError"] = _messages_error()
    models = {"200": _json("The models, `auto` first.", {"type": "object", "required": ["object", "data"]})}
    model = {"200": _json("One model.", {"type": "object", "required": ["id", "object", "created", "owned_by"]})}
    decision = {"type": "object", "required": ["decision_id", "model", "reason", "task_probabilities", "answer"]}
    reward = {"type": "object", "required": ["decision_id", "accepted", "reward", "score", "duplicate"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "llm-router gateway",
            "version": "1",
            "description": "OpenAI's API; the model `auto` lets the router choose.",
        },
        "security": [{"key": []}, {}],
        "paths": {
            "/v1/chat/completions": {"post": _completion("Chat", "Chat, routed with the model `auto`.")},
            "/v1/completions": {"post": _completion("Completion", "Text completions, routed with the model `auto`.")},
            "/v1/embeddings": {"post": _completion("Embedding", "Embeddings, passed through.")},
            "/v1/responses": {"post": _completion("Responses", "OpenAI's Responses, routed with the model `auto`.")},
            "/v1/messages": {
                "post": _completion("Messages", "Anthropic's Messages, routed with the model `auto`.", "MessagesError")
            },
            "/v1/messages/count_tokens": {"post": _count("Messages", "MessagesError")},
            "/v1/responses/input_tokens": {"post": _count("Responses")},
            "/v1/responses/{id}": {
                "get": _operation("A stored response.", _stored("It."), path="id"),
                "delete": _operation("Remove a stored response.", _stored("It is removed."), path="id"),
            },
            "/v1/responses/{id}/cancel": {
                "post": _operation("A stored response, which has ended.", _stored("It."), path="id")
            },
            "/v1/responses/{id}/input_items": {
                "get": _operation("What a stored response answers.", _stored("A page of items."), path="id")
            },
            "/v1/chat/completions/input_tokens": {"post": _count("Chat")},
            **_batches(),
            "/v1/models": {"get": _operation("All models.", models)},
            "/v1/models/{id}": {"get": _operation("One model.", model, path="id")},
            "/v1/route": {"post": _operation("A decision alone.", {"200": _json("It.", decision)}, body="Route")},
            "/v1/decisions/{id}": {
                "get": _operation("A recent decision in full.", {"200": _json("It.", decision)}, path="id")
            },
            "/v1/feedback": {
                "post": _operation(
                    "A score for an answer; durable when it is answered.",
                    {"200": _json("The reward that was learned.", reward)},
                    body="FeedbackBody",
                )
            },
            "/health/live": {"get": _operation("The process runs.", {"200": _json("It does.", {"type": "object"})})},
            "/health": {
                "get": {
                    "summary": "A routed request would succeed.",
                    "responses": {
                        "200": _json("It would.", {"type": "object"}),
                        "503": _json("It would not.", {"type": "object"}),
                    },
                }
            },
            "/health/ready": {
                "get": {
                    "summary": "A routed request would succeed.",
                    "responses": {
                        "200": _json("It would.", {"type": "object"}),
                        "503": _json("It would not.", {"type": "object"}),
                    },
                }
            },
            "/metrics": {"get": {"summary": "Metrics for Prometheus.", "responses": {"200": _metrics()}}},
            **_console(),
            "/admin/reload": {"post": _operation("Read the configuration again.", _reload())},
            "/admin/config": {
                "get": _operation(
                    "The configuration in use, without secrets.", {"200": _json("It.", {"type": "object"})}
                )
            },
        },
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


class OpenAPIHandler:
    """GET of the document."""

    def __init__(self) -> None:
        self._data = orjson.dumps(document())

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.respond(200, self._data)


def _console() -> dict[str, Any]:
    """What operators read, each for a time."""
    since = _query("since", "How far back: a number with m, h, d or w.")
    text = ("key", "model", "task", "reason", "cost_from", "score_from", "score_to", "limit", "before")
    filters = [_query(name, "See docs/api.md.") for name in text]
    page = {"200": _json("A page.", {"type": "object", "required": ["object", "data", "next"]})}
    record = {"200": _json("It.", {"type": "object", "required": ["decision_id", "arms", "answer", "feedback"]})}
    sums = {"200": _json("Sums.", {"type": "object", "required": ["object", "start", "end", "complete"]})}
    pages = {"200": _json("Their paths.", {"type": "object", "required": ["pages"]})}
    return {
        "/v1/admin": {"get": _operation("What operators may read.", pages)},
        "/v1/admin/decisions": {
            "get": _operation("The latest decisions of all gateways.", page) | {"parameters": [since, *filters]}
        },
        "/v1/admin/decisions/{id}": {"get": _operation("One with what became of it.", record, path="id")},
        **{
            f"/v1/admin/{name}": {"get": _operation(summary, sums) | {"parameters": [since]}}
            for name, summary in (
                ("models", "Health, speed, cost and share of models."),
                ("learning", "Quality and cost by model and task."),
                ("spending", "What API keys have spent, and may."),
            )
        },
    }


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}, "description": description}


def _completion(schema: str, summary: str, error: str = "Error") -> dict[str, Any]:
    hints = [
        {"name": header.decode(), "in": "header", "schema": {"type": "string"}, "description": f"Or metadata.{key}."}
        for header, key in NAMES.values()
    ]
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in _ANSWER_HEADERS.items()}
    content = {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {"schema": {"type": "string"}}}
    answer = {"description": "The API's answer, streamed if asked for.", "headers": headers, "content": content}
    operation = _operation(summary, {"200": answer}, body=schema, error=error)
    return operation | {"parameters": hints}


def _operation(
    summary: str, answers: dict[str, Any], *, body: str = "", path: str = "", error: str = "Error"
) -> dict[str, Any]:
    refused = {"$ref": _REF.format(name=error)}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": answers | {status: _json(text, refused) for status, text in _ERRORS.items()},
    }
    if body:
        schema = {"$ref": _REF.format(name=body)}
        content = {"application/json": {"schema": schema, "example": EXAMPLES[body]}}
        operation["requestBody"] = {"required": True, "content": content}
    if path:
        operation["parameters"] = [{"name": path, "in": "path", "required": True, "schema": {"type": "string"}}]
    return operation


def _count(body: str, error: str = "Error") -> dict[str, Any]:
    answer = {"200": _json("It.", {"type": "object", "required": ["input_tokens"]})}
    return _operation("An estimate of a prompt's tokens.", answer, body=body, error=error)


def _batches() -> dict[str, Any]:
    file, batch, page = ({"type": "object", "required": ["id", "object"]},) * 2 + ({"type": "object"},)
    deleted = {"type": "object", "required": ["id", "deleted"]}
    form = {
        "type": "object",
        "required": ["file", "purpose"],
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            "purpose": {"const": "batch"},
            "expires_after": {"type": "string", "contentMediaType": "application/json"},
            "expires_after[anchor]": {"const": "created_at"},
            "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
        },
    }
    upload = _operation("A file of requests.", {"200": _json("It.", file)})
    upload["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    content = {"description": "It.", "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
    return {
        "/v1/files": {"post": upload, "get": _operation("Files of batches.", {"200": _json("A page.", page)})},
        "/v1/files/{id}": {
            "get": _operation("A file's data.", {"200": _json("It.", file)}, path="id"),
            "delete": _operation("Remove a file.", {"200": _json("It is removed.", deleted)}, path="id"),
        },
        "/v1/files/{id}/content": {"get": _operation("What is in a file.", {"200": content}, path="id")},
        "/v1/batches": {
            "post": _operation(
                "Answer the requests of a file within a day.", {"200": _json("It.", batch)}, body="CreateBatch"
            ),
            "get": _operation("Batches.", {"200": _json("A page.", page)}),
        },
        "/v1/batches/{id}": {"get": _operation("A batch.", {"200": _json("It.", batch)}, path="id")},
        "/v1/batches/{id}/cancel": {"post": _operation("Cancel a batch.", {"200": _json("It.", batch)}, path="id")},
    }


def _stored(description: str) -> dict[str, Any]:
    return {"200": _json(description, {"type": "object", "required": ["object"]})}


def _metrics() -> dict[str, Any]:
    return {"description": "The text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}


def _reload() -> dict[str, Any]:
    error = {"$ref": _REF.format(name="Error")}
    status = {"type": "object", "required": ["status", "models"]}
    return {
        "200": _json("It is in use from the next request on.", status),
        "409": _json("It can't be used; the one in use stays.", error),
    }


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _error() -> dict[str, Any]:
    text, optional = {"type": "string"}, {"type": ["string", "null"]}
    fields = {"message": text, "type": text, "param": optional, "code": optional}
    inner = {"type": "object", "required": list(fields), "properties": fields, "additionalProperties": False}
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}


def _messages_error() -> dict[str, Any]:
    text = {"type": "string"}
    inner = {"type": "object", "required": ["type", "message"], "properties": {"type": text, "message": text}}
    return {
        "type": "object",
        "required": ["type", "error", "request_id"],
        "properties": {"type": {"const": "error"}, "error": inner, "request_id": text},
    }
