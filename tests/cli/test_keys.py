"""`llm-router keys`: made, listed, revoked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from router_backend.cli.keys import keys
from router_backend.config import ConfigError, load_config
from tests.config.test_edit import TEXT

RUN = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text(TEXT)
    return path


def test_a_key_is_written_listed_and_revoked(file: Path) -> None:
    limits = ["--usd-per-day", "5", "--expires", "2999-02-03"]
    made = RUN.invoke(keys, ["new", "laptop", *limits, "--config", str(file)])
    assert made.exit_code == 0, made.output
    (stored,) = load_config(file).security.api_keys
    assert hashlib.sha256(made.stdout.strip().encode()).hexdigest() == stored.sha256
    assert RUN.invoke(keys, ["new", "server", "--scope", "admin", "--config", str(file)]).exit_code == 0
    file.write_text(file.read_text().replace("2999-", "2001-"))
    listed = RUN.invoke(keys, ["list", "--config", str(file)], env={"COLUMNS": "200"}).stdout
    assert [
        word in listed for word in ("laptop", "chat, feedback", "5", "2001-02-03 (expired)", "server", "admin")
    ] == [True] * 6
    assert RUN.invoke(keys, ["revoke", "laptop", "--config", str(file)]).exit_code == 0
    assert [key.name for key in load_config(file).security.api_keys] == ["server"]


def test_without_a_file_the_lines_are_shown(file: Path) -> None:
    made = RUN.invoke(keys, ["new", "it's me", "--scope", "chat"])
    shown = yaml.safe_load(made.stderr[made.stderr.index("security:") :])
    (entry,) = shown["security"]["api_keys"]
    assert entry == {
        "name": "it's me",
        "sha256": hashlib.sha256(made.stdout.strip().encode()).hexdigest(),
        "scopes": ["chat"],
    }


@pytest.mark.parametrize(
    "wrong", [["--scope", "root"], ["--expires", "soon"], ["--expires", "2001-02-03"], ["--usd-per-day", "0"]]
)
def test_a_wrong_wish_makes_no_key(file: Path, wrong: list[str]) -> None:
    assert RUN.invoke(keys, ["new", "x", *wrong, "--config", str(file)]).exit_code == 2
    assert file.read_text() == TEXT


def test_a_mistake_is_told_with_the_file_that_was_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(TEXT)
    done = RUN.invoke(keys, ["new", "x", "--group", "nobody's", "--config", str(file)])
    assert isinstance(done.exception, ConfigError)
    assert str(file) in str(done.exception)
    assert "router.yaml" not in str(done.exception)
