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


@pytest.mark.parametrize("name", ["a\nb", "a\r", "\x1b[31ma", "a\u2028b", "\x7f", "", "(judge)"])
@pytest.mark.parametrize("written", [False, True])
def test_a_name_that_no_line_can_hold_makes_no_key(file: Path, name: str, written: bool) -> None:
    """A line break became a space: the key's entry then had another name than the one that was asked for."""
    where = ["--config", str(file)] if written else []
    for words in (["new", name], ["new", "x", "--group", name]) if name != "(judge)" else (["new", name],):
        made = RUN.invoke(keys, [*words, *where], env={"COLUMNS": "200"})
        assert made.exit_code == 2
        assert made.stdout == ""
        assert repr(name) in made.stderr
    assert file.read_text() == TEXT


@pytest.mark.parametrize(
    "section", ["api_keys: [{{name: {}, sha256: " + "a" * 64 + "}}]", "groups: [{{name: {}}}]"], ids=["key", "group"]
)
def test_a_file_with_such_a_name_is_refused(file: Path, section: str) -> None:
    for name in (r"a\nb", r"a\e[31m", r"a\Lb"):
        file.write_text(f"{TEXT}security: {{{section.format(chr(34) + name + chr(34))}}}\n")
        with pytest.raises(ConfigError, match=rf"{file.name}:\d+: security\..*name: has a line break"):
            load_config(file)
    for name in ("it's me", "検索　チーム", "équipe de l’été"):
        file.write_text(f"{TEXT}security: {{{section.format(chr(34) + name + chr(34))}}}\n")
        load_config(file)


def test_a_mistake_is_told_with_the_file_that_was_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(TEXT)
    done = RUN.invoke(keys, ["new", "x", "--group", "nobody's", "--config", str(file)])
    assert isinstance(done.exception, ConfigError)
    assert str(file) in str(done.exception)
    assert "router.yaml" not in str(done.exception)
