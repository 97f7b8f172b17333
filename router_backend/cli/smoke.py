"""`python -m router_backend.cli.smoke`: one streamed routed chat and one feedback against a gateway (`helm test`)."""

from __future__ import annotations

import os
import sys

import httpx

from router_backend.config.limits import Timeouts


class SmokeFailed(RuntimeError):
    """The gateway answers, and not as it should."""


def check(url: str, api_key: str) -> str:
    """Chat and score the answer; returns a line that says what happened.

    Raises:
        SmokeFailed, httpx.HTTPError: what went wrong.
    """
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 16,
        "stream": True,
    }
    limits = Timeouts()
    with httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(limits.idle, read=limits.total)) as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                raise SmokeFailed(f"chat: HTTP {response.status_code}: {response.read().decode(errors='replace')}")
            lines = [line for line in response.iter_lines() if line]
            decision, reason = response.headers["x-router-decision-id"], response.headers["x-router-reason"]
            model = response.headers["x-router-model"]
        if not lines or lines[-1] != "data: [DONE]":
            raise SmokeFailed(f"chat: the stream did not end with [DONE]: {lines[-1:]}")
        if reason.startswith("fallback:"):
            raise SmokeFailed(f"chat: answered by {model}, but not routed ({reason}); see Triton's log")
        reply = client.post("/v1/feedback", json={"decision_id": decision, "score": 1})
        if reply.status_code != 200:
            raise SmokeFailed(f"feedback: HTTP {reply.status_code}: {reply.text}")
    return f"chat: {model} ({reason}), {len(lines)} events; feedback: reward {reply.json()['reward']:.3f}"


def main() -> None:
    try:
        sys.stdout.write(check(os.environ["LLM_ROUTER_URL"], os.environ.get("LLM_ROUTER_API_KEY", "")) + "\n")
    except (SmokeFailed, httpx.HTTPError, KeyError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
