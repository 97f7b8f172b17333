"""`python -m router_backend.observability.send FILE`: posts a report to the webhook that `REPORT_WEBHOOK` names.

Text goes as `{"text": …}`, which Slack, Mattermost and Teams workflows take; HTML and JSON go as they are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import orjson


def send(url: str, content: str) -> None:
    """Post a report.

    Raises:
        httpx.HTTPError: it wasn't taken.
    """
    if content.startswith("<!doctype html>"):
        body, kind = content.encode(), "text/html; charset=utf-8"
    elif content.startswith("{"):
        body, kind = content.encode(), "application/json"
    else:
        body, kind = orjson.dumps({"text": f"```\n{content}\n```"}), "application/json"
    httpx.post(url, content=body, headers={"content-type": kind}, timeout=30).raise_for_status()


if __name__ == "__main__":
    try:
        send(os.environ["REPORT_WEBHOOK"], Path(sys.argv[1]).read_text(encoding="utf-8"))
    except KeyError:
        sys.exit("REPORT_WEBHOOK is not set: put the webhook's URL into it")
    except httpx.HTTPError as error:
        sys.exit(f"the report was not taken: {error}")
