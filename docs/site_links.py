"""A hook of the documentation's site: links to files of the project that are no pages lead to its repository."""

from __future__ import annotations

import re
from posixpath import dirname, join, normpath
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Called by mkdocs for each page, before it is rendered."""

    def leave(found: re.Match[str]) -> str:
        path = normpath(join("docs", dirname(page.file.src_uri), found[2]))
        if path.startswith("docs/"):
            return found[0]
        return f"[{found[1]}]({config.repo_url.rstrip('/')}/blob/main/{path})" if config.repo_url else found[1]

    return _LINK.sub(leave, markdown)
