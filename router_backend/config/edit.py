"""Changes of `router.yaml` by commands: comments and layout stay, and a file that would not load is not written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from router_backend.config.load import ConfigError, load_config, parse_config


def add_key(path: Path, entry: Mapping[str, Any]) -> None:
    """Add an API key.

    Raises:
        ConfigError: the file can't be read, or has a key of this name.
    """
    yaml, document = _read(path)
    security = document.setdefault("security", {})
    keys = security.setdefault("api_keys", [])
    if any(str(key["name"]) == entry["name"] for key in keys):
        raise ConfigError(f"{path}: there is an API key {entry['name']!r}; revoke it first, or take another name")
    keys.append(dict(entry))
    _write(path, yaml, document)


def remove_key(path: Path, name: str) -> None:
    """Take an API key out.

    Raises:
        ConfigError: there is none of the name, or it is the last one: the gateway would be open to everybody then.
    """
    yaml, document = _read(path)
    keys = (document.get("security") or {}).get("api_keys") or []
    names = [str(key["name"]) for key in keys]
    if name not in names:
        known = f"; it has {', '.join(names)}" if names else ""
        raise ConfigError(f"{path}: no API key {name!r}{known}")
    if len(names) == 1:
        raise ConfigError(
            f"{path}: {name!r} is the last API key, and without keys the gateway asks for none; add another one first"
        )
    del keys[names.index(name)]
    _write(path, yaml, document)


def _read(path: Path) -> tuple[YAML, Any]:
    load_config(path)  # its mistakes are told with their lines
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml, yaml.load(path.read_text(encoding="utf-8"))


def _write(path: Path, yaml: YAML, document: Any) -> None:
    stream = StringIO()
    yaml.dump(document, stream)
    text = stream.getvalue()
    parse_config(text, str(path))
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(path.stat().st_mode)
    os.replace(part, path)
