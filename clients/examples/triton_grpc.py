"""tritonclient over gRPC: `llm_router_bls` streams in TensorRT-LLM's dialect; leaving early cancels the model's work.

pip install 'tritonclient[grpc]' 'numpy<2'
"""

import os
from queue import Queue
from typing import Any

import numpy as np
import tritonclient.grpc as triton

DTYPES = {"BYTES": object, "INT32": np.int32, "BOOL": np.bool_, "FP32": np.float32}


def tensor(name: str, value: object, datatype: str) -> triton.InferInput:
    item = triton.InferInput(name, [1, 1], datatype)
    item.set_data_from_numpy(np.array([[value]], DTYPES[datatype]))
    return item


client = triton.InferenceServerClient(os.environ.get("LLM_ROUTER_TRITON", "127.0.0.1:8001"))
answers: Queue[Any] = Queue()
client.start_stream(lambda result, error: answers.put(error or result))
client.async_stream_infer(
    "llm_router_bls",
    [
        tensor("text_input", b"Why is the sky blue?", "BYTES"),
        tensor("max_tokens", 40, "INT32"),
        tensor("stream", True, "BOOL"),
    ],
)
decision_id = model = ""
while True:
    result = answers.get(timeout=600)
    if isinstance(result, Exception):
        raise result
    print(result.as_numpy("text_output")[0].decode(), end="", flush=True)
    decision_id, model = (result.as_numpy(name)[0, 0].decode() for name in ("decision_id", "model"))
    if result.get_response().parameters["triton_final_response"].bool_param:
        break
client.stop_stream()  # stop_stream(cancel_requests=True) in mid-answer stops the model
print(f"\nmodel {model}")

inputs = [tensor("decision_id", decision_id.encode(), "BYTES"), tensor("score", 1, "FP32")]
print(f"reward {client.infer('feedback', inputs).as_numpy('reward')[0, 0]:.3f}")
