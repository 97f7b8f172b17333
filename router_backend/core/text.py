"""Text from outside: made safe for JSON, headers, logs and protobuf before anything keeps it."""

from __future__ import annotations


def bounded(text: str, limit: int) -> str:
    """At most `limit` characters that UTF-8 can hold: a lone surrogate becomes U+FFFD."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
