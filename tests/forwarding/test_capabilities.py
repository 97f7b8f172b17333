"""Which arms can take a request."""

from __future__ import annotations

from typing import Any

import pytest

from router_backend.config.models import Capability, ModelConfig
from router_backend.forwarding.capabilities import fits, misfit, required_capabilities
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
    assert fits(arm, {"tools": [{}], "max_tokens": 50}, 50)
    assert not fits(arm, {"max_completion_tokens": 51}, 50)
    assert not fits(arm, {}, 100)
    assert misfit(arm, {"logprobs": True}, 1) == "a has no logprobs"
