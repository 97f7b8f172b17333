"""`python -m router_backend.cli.smoke`: one streamed routed chat and one feedback against a gateway (`helm test`)."""

from __future__ import annotations

import os
import sys

from llm_router_client import NO_RETRIES, RouterClient, RouterError
from router_backend.config.limits import Timeouts


class SmokeFailed(RuntimeError):
    """The gateway answers, and not as it should."""


def check(url: str, api_key: str) -> str:
    """Chat and score the answer; returns a line that says what happened.

    Raises:
        SmokeFailed, RouterError: what went wrong.
    """
    limits = Timeouts()
    with RouterClient(
        url, api_key=api_key, timeout=limits.total, connect_timeout=limits.connect, retries=NO_RETRIES
    ) as client:
        with client.stream("Say hello.", max_tokens=16) as chunks:
            decision, count = chunks.decision, sum(1 for _ in chunks)
        if decision.reason.startswith("fallback:"):
            raise SmokeFailed(
                f"chat: answered by {decision.model}, but not routed ({decision.reason}); see Triton's log"
            )
        reward = client.feedback(decision.decision_id, 1).reward
    return f"chat: {decision.model} ({decision.reason}), {count} chunks; feedback: reward {reward:.3f}"


def main() -> None:
    try:
        sys.stdout.write(check(os.environ["LLM_ROUTER_URL"], os.environ.get("LLM_ROUTER_API_KEY", "")) + "\n")
    except (SmokeFailed, RouterError, KeyError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
