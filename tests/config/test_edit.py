"""Commands change router.yaml and leave the rest of it alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from router_backend.config import ConfigError, load_config
from router_backend.config.edit import add_key, remove_key

TEXT = """\
# Ours.
version: 1
models:
  - {name: small, upstream: {kind: local}, price: {input: 0.01, output: 0.02}, context_window: 1000}   # the cheap one
default_model: small
gateway:
  max_body_bytes: 1048576  # "large" attachments
"""
KEY = {"name": "team", "sha256": "1" * 64, "scopes": ["chat"], "expires": date(2030, 1, 31), "usd_per_day": 2.5}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("begun", ["", "security:\n  api_keys: []\n"])
def test_a_key_is_added_and_everything_else_stays(file: Path, begun: str) -> None:
    file.write_text(TEXT + begun)
    add_key(file, KEY)
    assert file.read_text().startswith(TEXT)
    (key,) = load_config(file).security.api_keys
    assert (key.name, key.scopes, key.expires, key.usd_per_day) == ("team", {"chat"}, date(2030, 1, 31), 2.5)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["router.yaml"]


def test_a_revoked_key_is_gone_and_the_last_one_stays(file: Path) -> None:
    add_key(file, KEY)
    add_key(file, {**KEY, "name": "other", "sha256": "2" * 64})
    remove_key(file, "team")
    assert [key.name for key in load_config(file).security.api_keys] == ["other"]
    with pytest.raises(ConfigError, match="last API key"):
        remove_key(file, "other")
    with pytest.raises(ConfigError, match=r"no API key 'nobody'; it has other"):
        remove_key(file, "nobody")


def test_a_name_twice_or_a_key_that_would_not_load_changes_nothing(file: Path) -> None:
    add_key(file, KEY)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="there is an API key 'team'"):
        add_key(file, KEY)
    with pytest.raises(ConfigError):
        add_key(file, {"name": "bad", "sha256": "short"})
    assert file.read_bytes() == before
