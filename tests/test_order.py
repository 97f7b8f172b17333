"""The order in which the suite's processes take files."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests import conftest
from tests.support.running import PROJECT


def test_long_files_come_first_and_stay_together() -> None:
    names = ["tests/a.py::1", f"{conftest.LONGEST[1]}::1", "tests/a.py::2", f"{conftest.LONGEST[0]}::1[a::b]"]
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in [*names, f"{conftest.LONGEST[1]}::2"]]
    conftest.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == [names[3], names[1], f"{conftest.LONGEST[1]}::2", names[0], names[2]]


def test_the_files_that_are_named_exist() -> None:
    assert conftest.LONGEST
    assert [name for name in conftest.LONGEST if not (PROJECT / name).is_file()] == []
    assert len(set(conftest.LONGEST)) == len(conftest.LONGEST)
