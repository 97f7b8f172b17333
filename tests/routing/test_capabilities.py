"""Which arms can take a request."""

from __future__ import annotations

from typing import Any

import pytest

from router_backend.config.models import Capability, ModelConfig
from router_backend.routing.capabilities import fits, needs, required_capabilities
from tests.support.arms import model

IMAGE = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [{"role": "user", "content": "Hi"}]}, set()),
        ({"messages": [{"role": "user", "content": IMAGE}]}, {"vision"}),
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}]}, {"tools"}),
        ({"response_format": {"type": "json_schema"}, "logprobs": True}, {"json", "logprobs"}),
        ({"response_format": {"type": "text"}, "logprobs": False, "tools": []}, set()),
        ({"logprobs": 0}, {"logprobs"}),
        ({"messages": "garbage", "response_format": [], "tools": None}, set()),
        ({"messages": [None, 3, {"role": "user", "content": [None, "x"]}]}, set()),
    ],
)
def test_what_a_body_asks(body: dict[str, Any], expected: set[Capability]) -> None:
    assert required_capabilities(body) == expected


def test_capabilities_and_context_window() -> None:
    arm = ModelConfig.model_validate(model("a", "http://h/v1", context_window=100, capabilities=["tools"]))
    assert fits(arm, needs({"tools": [{}], "max_tokens": 50}, 50))
    assert not fits(arm, needs({"max_completion_tokens": 51}, 50))
    assert not fits(arm, needs({}, 100))
    assert not fits(arm, needs({"logprobs": True}, 1))


def test_capabilities_that_an_upstream_cannot_have_are_told_at_the_start() -> None:
    upstream = {"kind": "tensorrtllm", "url": "h:8001", "tokenizer": "t"}
    fields = {"name": "a", "upstream": upstream, "price": {"input": 1, "output": 1}, "context_window": 100}
    ModelConfig.model_validate({**fields, "capabilities": ["json"]})
    with pytest.raises(ValueError, match="can't do tools; take it out"):
        ModelConfig.model_validate({**fields, "capabilities": ["json", "tools"]})
