"""Reads `router.yaml` and says, for each mistake, the line and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from router_backend.config.schema import RouterConfig


class ConfigError(ValueError):
    """`router.yaml` can't be used; one line of the message per mistake, each with file, line and fix."""


def load_config(path: Path) -> RouterConfig:
    """Read and validate a file.

    Raises:
        ConfigError: the file can't be read, isn't YAML, or doesn't fit the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read ({error}); name the file with --config") from error
    return parse_config(text, str(path))


def parse_config(text: str, where: str = "router.yaml") -> RouterConfig:
    """As `load_config`, for text; `where` stands in front of each message."""
    try:
        data = yaml.safe_load(text)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{where}:{line}: not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{where}:1: must be a mapping that starts with `version: 1`")
    try:
        return RouterConfig.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{where}:{_line(tree, item['loc'])}: {_dotted(item['loc'])}{_fix(dict(item))}" for item in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from error


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """Line of the deepest node on the way to `loc`; union tags in `loc` name no node and are passed over."""
    if node is None:
        return 1
    line: int = node.start_mark.line + 1
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            if found is None:
                continue
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def _dotted(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).lstrip(".")
    return f"{path}: " if path else ""


def _fix(item: dict[str, Any]) -> str:
    kind, message = item["type"], str(item["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "no such setting; remove it or correct its name (docs/configuration.md lists all)"
    if kind == "missing":
        return "is required; add it"
    return f"{message[0].lower()}{message[1:]} (found {item['input']!r:.60})" if item["loc"] else message
