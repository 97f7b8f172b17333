"""Reads `router.yaml` and says, for each mistake, the line and the fix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from router_backend.config.base import OWN_TASKS, TAG, Mistake, Section
from router_backend.config.policy import POLICY_SECTIONS
from router_backend.config.reward import REWARD_SECTIONS
from router_backend.config.schema import RouterConfig
from router_backend.user_files import read_yaml, repeated

_SECRET = re.compile(r"\b(llmr-|sk-|nvapi-|hf_|gh[pousr]_|AKIA)[\w-]{6,}")
_UNREPEATED = frozenset({"security", "state", "upstream", "telemetry"})  # sections whose values may be secrets


class ConfigError(ValueError):
    """`router.yaml` can't be used; one line of the message per mistake, each with file, line and fix.

    What may be a secret is never repeated: the message goes to logs and to whoever asked for a reload.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_SECRET.sub(lambda key: key[1] + "…", message))


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
        tree, data = read_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ConfigError(
            f"{where}:{line}: can't be read as YAML: {getattr(error, 'problem', None) or error}"
        ) from error
    if twice := sorted(repeated(tree)):
        raise ConfigError("\n".join(f"{where}:{line}: {name} stands here twice; keep one" for line, name in twice))
    if not isinstance(data, dict):
        raise ConfigError(f"{where}:1: must be a mapping that starts with `version: 1`")
    try:
        own = data.get(OWN_TASKS)
        context = {OWN_TASKS: [name for name in own if isinstance(name, str)] if isinstance(own, list) else []}
        return RouterConfig.model_validate(data, context=context)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            loc, tags = _location(item)
            lines.append(f"{where}:{_line(tree, loc)}: {_dotted(loc)}{_fix(dict(item), tags)}")
        raise ConfigError("\n".join(lines)) from None  # pydantic's own message repeats values


def mistake_at(path: Path, mistake: Mistake) -> ConfigError:
    """A mistake that shows only when the configuration is put to use, with the line that it is about."""
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        tree = None
    return ConfigError(f"{path}:{_line(tree, mistake.loc)}: {_dotted(mistake.loc)}{mistake}")


def _location(item: Mapping[str, Any]) -> tuple[tuple[int | str, ...], list[str]]:
    """Where a mistake is, and the names of the union's variants on the way, which are no settings."""
    mistake = item.get("ctx", {}).get("error")
    loc = (*item["loc"], *(mistake.loc if isinstance(mistake, Mistake) else ()))
    tags = [step.removeprefix(TAG) for step in loc if isinstance(step, str) and step.startswith(TAG)]
    return tuple(step for step in loc if step != "[key]" and not str(step).startswith(TAG)), tags


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


def _fix(item: Mapping[str, Any], tags: Sequence[str]) -> str:
    kind, message = item["type"], str(item["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return _superfluous(str(item["loc"][-1]), tags)
    if kind == "missing":
        return "is required; add it"
    if isinstance(item.get("ctx", {}).get("error"), Mistake):
        return message
    if not item["loc"]:
        return message
    if item["loc"][-1] == "sha256":
        return (
            "must be the SHA-256 of a key, 64 hexadecimal digits in lower case, as `llm-router keys new NAME` prints it"
        )
    message = f"{message[0].lower()}{message[1:]}"
    return message if _UNREPEATED.intersection(item["loc"]) else f"{message} (found {item['input']!r:.60})"


def _superfluous(setting: str, tags: Sequence[str]) -> str:
    """What to do about a setting that isn't there; `tags`: the policy, or the policy and the reward, that it was given to."""
    for what, variants in (("reward", REWARD_SECTIONS), ("policy", POLICY_SECTIONS)):
        if tags and tags[-1] in variants:
            owners = [name for name, section in variants.items() if setting in _settings(section)]
            if owners:
                return f"the {what} `{tags[-1]}` has no such setting, only {', '.join(owners)}; delete it"
    return "no such setting; remove it or correct its name (docs/configuration.md lists all)"


def _settings(section: type[Section]) -> set[str]:
    return {info.alias or name for name, info in section.model_fields.items()}
