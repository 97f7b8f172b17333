"""LlamaIndex's connector to TensorRT-LLM on Triton, with its defaults, on the server that TRITON names. Runs in `connectors`."""

from __future__ import annotations

import json
import os
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.nvidia_triton import NvidiaTriton
from tritonclient.utils import InferenceServerException

SHORT = "What is 1+1? Answer with a number only."  # ends before max_tokens
seen = {}
for name in ("llm_router", "llm_router_bls"):
    model = NvidiaTriton(server_url=os.environ["TRITON"], model_name=name, tokens=48)
    deltas = [piece.delta for piece in model.stream_complete(SHORT)]
    seen[name] = {
        "complete": model.complete(SHORT).text,
        "cut": NvidiaTriton(server_url=os.environ["TRITON"], model_name=name, tokens=8)
        .complete("Tell me a story.")
        .text,
        "stream": "".join(deltas),
        "pieces": len(deltas),
        "chat": model.chat([ChatMessage(role="user", content=SHORT)]).message.content,
        "stream_chat": [
            piece.message.content for piece in model.stream_chat([ChatMessage(role="user", content=SHORT)])
        ][-1],
    }
    try:
        NvidiaTriton(server_url=os.environ["TRITON"], model_name=name, beam_width=4).complete(SHORT)
    except InferenceServerException as error:
        seen[name]["refused"] = error.message()
sys.stdout.write(json.dumps(seen))
