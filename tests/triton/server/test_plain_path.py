"""Folders whose names a shell would take apart."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from router_backend.triton.server.plain_path import plain_path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))
    return folder


def test_a_plain_path_stays(tmp_path: Path) -> None:
    assert plain_path(tmp_path) == tmp_path


@pytest.mark.parametrize("name", ["my state", "träning", "it's", "a$HOME", "a;b"])
def test_any_other_is_reached_by_a_link(tmp_path: Path, temporary: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    link = plain_path(folder)
    assert link.parent == temporary
    assert link.resolve() == folder.resolve()
    assert plain_path(folder) == link
    assert list(temporary.iterdir()) == [link]


def test_a_link_that_leads_elsewhere_is_not_believed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "my state", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    link = plain_path(folder)
    link.unlink()
    link.symlink_to(elsewhere)
    assert plain_path(folder).resolve() == folder.resolve()
