"""What the test models with TensorRT-LLM's tensors share: runs inside Triton's Python backend."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

UPSTREAM = "TEST_LOCAL_MODEL_PORT"
JOURNAL = "TEST_JOURNAL"


class LocalModel:
    """llama.cpp's native API on loopback; `JOURNAL` gets a line for each trace, cancellation and end."""

    def __init__(self) -> None:
        self._port = int(os.environ[UPSTREAM])

    def count(self, text: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("POST", "/tokenize", json.dumps({"content": text, "parse_special": True}))
        tokens = json.loads(connection.getresponse().read())["tokens"]
        connection.close()
        return len(tokens)

    def generate(self, request: Any, prompt: str, limit: int, options: dict[str, Any]) -> Iterator[str]:
        """The text, token by token; ends at once when the request is cancelled."""
        trace = json.loads(request.parameters() or "{}").get("traceparent")
        if trace:
            with open(os.environ[JOURNAL], "a") as journal:
                journal.write(f"{trace}\n")
        if prompt == "FAIL":
            raise ValueError("scripted failure")
        options = {name: value.item() if hasattr(value, "item") else value for name, value in options.items()}
        options["seed"] %= 2**32
        body = {"prompt": prompt, "n_predict": limit, "stream": True, "cache_prompt": False, **options}
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("POST", "/completion", json.dumps(body))
        ended = "ended"
        try:
            for line in connection.getresponse():
                if request.get_response_sender().is_cancelled():
                    ended = "cancelled"
                    return
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if event["stop"]:
                        return
                    yield event["content"]
        finally:
            connection.close()
            with open(os.environ[JOURNAL], "a") as journal:
                journal.write(ended + "\n")


def serve(request: Any, answer: Callable[[Any, Callable[[dict[str, Any]], None]], None]) -> None:
    """Answer on a thread of its own, as TensorRT-LLM's batching would; the end is an empty final response."""
    sender = request.get_response_sender()

    def send(values: dict[str, Any]) -> None:
        kinds: dict[str, Any] = {"text_output": np.object_, "finish_reason": np.object_}
        tensors = [pb_utils.Tensor(name, np.array(value, kinds.get(name, np.int32))) for name, value in values.items()]
        sender.send(pb_utils.InferenceResponse(tensors))

    def run() -> None:
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        try:
            answer(request, send)
        except Exception as error:
            failure = pb_utils.TritonError(f"Error generating request: {error}")
            sender.send(pb_utils.InferenceResponse(error=failure), flags=final)
        else:
            sender.send(flags=final)

    threading.Thread(target=run, daemon=True).start()


def scalar(request: Any, name: str, default: Any = None) -> Any:
    """The only element of an input, or the default where it is left out."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return default if tensor is None else tensor.as_numpy().reshape(-1)[0]


def strings(request: Any, name: str) -> list[str]:
    """All strings of an input."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [] if tensor is None else [text.decode() for text in tensor.as_numpy().reshape(-1)]
