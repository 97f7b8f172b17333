"""docs/configuration.md from the schema, so that the page can't disagree with what is validated; docs/generate.py writes it."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Iterator
from typing import Any, Union

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from router_backend.config.base import Section
from router_backend.config.schema import RouterConfig

_HEAD = """# router.yaml

Generated from the schema by `make docs`. A mistake in the file is reported with its line and the fix, before anything
starts. A change of the file, SIGHUP or `POST /admin/reload` reads it again without dropping a request. A change is refused if it is
invalid, would remove the last key of a gateway, or changes its TLS. The message names the line and the reason, and the current
configuration stays.
"""


def sections() -> list[type[Section]]:
    """Every section of the file, in the order of first use."""
    found: list[type[Section]] = [RouterConfig]
    for section in found:
        for info in section.model_fields.values():
            found.extend(inner for inner in dict.fromkeys(_sections(info.annotation)) if inner not in found)
    return found


def render() -> str:
    """The page, as Markdown: a table and an example for each section."""
    parts = [_HEAD]
    for section in sections():
        title = "The file" if section is RouterConfig else section.__name__
        parts.append(f"## {title}\n\n{inspect.cleandoc(section.__doc__ or '')}\n")
        rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
        # The name first: it chooses the section.
        for name, info in sorted(section.model_fields.items(), key=lambda item: item[0] not in ("name", "kind")):
            rows.append(f"| `{info.alias or name}` | {_type(info.annotation)} | {_default(info)} | {_meaning(info)} |")
        parts.append("\n".join(rows) + "\n")
        parts.append(f"```yaml\n{section.example.strip()}\n```\n")
    return "\n".join(parts)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _sections(argument)


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    if origin in (list, frozenset, set, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} → {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    plain = {str: "text", int: "whole number", float: "number", bool: "true, false"}
    return plain.get(annotation, "any value")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.default if info.default is not PydanticUndefined else info.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, Section):
        return "its defaults"
    if isinstance(value, (frozenset, set)):
        value = sorted(value)
    return f"`{json.dumps(value)}`"


def _meaning(info: FieldInfo) -> str:
    bounds = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [
        f"{sign} {getattr(item, key):g}" for item in info.metadata for key, sign in bounds.items() if hasattr(item, key)
    ]
    text = info.description or ""
    return f"{text} ({', '.join(limits)})".strip() if limits else text
