"""KServe's HTTP with binary tensors, as far as our gateway speaks it: messages of the gRPC protocol from requests, and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import orjson
from aiohttp import web

Infer = Callable[[str, dict[str, tuple[str, bytes]], dict[str, Any]], Awaitable[dict[str, bytes]]]
_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNAVAILABLE: 503,
}


def application(infer: Infer, refusal: type[Any]) -> web.Application:
    """`infer` gets a model's name, its inputs (datatype, data) and parameters; what it raises of `refusal` is the answer."""

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        at = int(request.headers["Inference-Header-Content-Length"])
        asked = orjson.loads(body[:at])
        inputs = {}
        for tensor in asked["inputs"]:
            size = tensor["parameters"]["binary_data_size"]
            inputs[tensor["name"]] = (tensor["datatype"], body[at : at + size])
            at += size
        try:
            outputs = await infer(request.match_info["model"], inputs, asked["parameters"])
        except refusal as error:
            return web.json_response({"error": error.details}, status=_STATUSES.get(error.code, 500))
        described = [
            {"name": name, "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": len(data)}}
            for name, data in outputs.items()
        ]
        head = orjson.dumps({"model_name": request.match_info["model"], "outputs": described})
        return web.Response(
            body=head + b"".join(outputs.values()), headers={"Inference-Header-Content-Length": str(len(head))}
        )

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v2/models/{model}/infer", answer)
    return app
