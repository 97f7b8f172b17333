"""Objects against a table of the fields of their kind: for CRDs whose schemas no package index has.

A table has a line for each path: the fields that are known there, those that must be there marked with `!`. `[]` stands for
the items of a list. Below a path without a line anything goes.
"""

from __future__ import annotations

from typing import Any

Table = dict[str, str]


def check_fields(table: Table, node: Any, path: str) -> None:
    """Raises AssertionError with the path of a field that is unknown or missing."""
    if isinstance(node, list):
        for item in node:
            check_fields(table, item, f"{path}[]")
        return
    if path not in table or not isinstance(node, dict):
        return
    names = table[path].split()
    known, needed = {name.rstrip("!") for name in names}, {name[:-1] for name in names if name.endswith("!")}
    assert set(node) <= known, f"{path}: unknown {set(node) - known}"
    assert needed <= set(node), f"{path}: without {needed - set(node)}"
    for key, value in node.items():
        check_fields(table, value, f"{path}.{key}")
