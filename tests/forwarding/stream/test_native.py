"""What is read of answers in the words of the client's API, beside what the gateway's tests see of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from router_backend.forwarding.progress import Progress
from router_backend.forwarding.stream.native import NativeReader, read_native

BODIES: list[dict[str, Any]] = [
    {"model": "theirs", "output": [], "status": "completed"},
    {"model": "theirs", "content": [], "stop_reason": "end_turn"},
]


@pytest.mark.parametrize("body", BODIES)
def test_the_upstreams_revision_is_read_before_the_arms_name_takes_its_place(body: dict[str, Any]) -> None:
    whole, streamed = Progress(arm="arm", started=0.0), Progress(arm="arm", started=0.0)
    assert orjson.loads(read_native(orjson.dumps(body), whole))["model"] == "arm"
    reader = NativeReader(streamed)
    for kind in ("response.created", "response.completed") if "output" in body else ("message_start",):
        reader.take(orjson.dumps({"type": kind, "response" if "output" in body else "message": body}))
    assert (whole.revision, streamed.revision) == ("theirs", "theirs")


@pytest.mark.parametrize("model", [None, 3, "x" * 300])
def test_what_can_not_name_a_model_is_no_revision(model: Any) -> None:
    progress = Progress(arm="arm", started=0.0)
    read_native(orjson.dumps({**BODIES[0], "model": model}), progress)
    assert progress.revision == ""
