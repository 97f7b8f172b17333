"""Whether a value is of a JSON schema, where schema and value are strangers' and may cost a bounded time only.

A schema may be as hostile as a program: references that multiply, patterns that take for ever, remote addresses. So nothing is
fetched, patterns are not run, each step is counted, and what can't be decided within the limits is not decided.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft3Validator, Draft4Validator, Draft202012Validator
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry

MAX_STEPS = 20_000
"""Of one check: keywords that are applied, and mistakes that are found."""
MAX_SECONDS = 0.03
"""Of this thread's processor."""
MAX_VALUES = 5_000
"""Objects, lists and other values of a schema, and of what is checked."""
MAX_DEPTH = 48
_UNIQUE = 200  # items that are compared with each other

_IGNORED = frozenset(
    (
        "pattern",
        "patternProperties",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
        "$recursiveRef",
        "format",
    )
)
# With these an ignored keyword could turn a value that is right into a wrong one.
_SENSITIVE = frozenset(("not", "oneOf", "if", "contains"))


class _TooCostly(Exception):
    """The limit of steps or of time is reached."""


class _Steps(threading.local):
    """Of the check that this thread makes."""

    left = 0
    until = 0.0

    def take(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0 or time.thread_time() > self.until:
            raise _TooCostly


_steps = _Steps()


def conforms(value: Any, schema: Any) -> bool | None:
    """Whether a JSON value is of a schema (draft 4 to 2020-12; without `$schema` 2020-12). None: not decided.

    Formats and patterns aren't checked.
    """
    try:
        if not (_small(value, frozenset()) and _decidable(schema)):
            return None
        kind = _counting(validator_for(schema, default=Draft202012Validator))
        _steps.left, _steps.until = MAX_STEPS, time.thread_time() + MAX_SECONDS
        return bool(kind(schema, registry=Registry()).is_valid(value))
    except Exception:  # a schema that is none fails in as many ways as there are keywords; and the limits
        return None


def _decidable(schema: Any) -> bool:
    names: set[str] = set()
    if not _small(schema, names) or not isinstance(schema, Mapping | bool):
        return False
    loose = names & _IGNORED
    if "patternProperties" in names and "additionalProperties" in names:
        return False
    return not (loose and names & _SENSITIVE)


def _small(value: Any, names: set[str] | frozenset[str]) -> bool:
    """Whether it is within the limits; `names`: collects the names of all fields, if it is a set."""
    level, left = [value], MAX_VALUES
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                if isinstance(names, set):
                    names.update(each)
                below += each.values()
            elif isinstance(each, list):
                below += each
        left -= len(below)
        if left < 0:
            return False
        if not below:
            return True
        level = below
    return False


@cache
def _counting(kind: type[Validator]) -> Any:
    """A kind of validator that counts its steps and passes over what can't be bounded."""
    early = kind in (Draft3Validator, Draft4Validator)
    checks = {name: _counted(name, check, early) for name, check in kind.VALIDATORS.items()}
    return extend(kind, checks | dict.fromkeys(_IGNORED, _nothing))


def _nothing(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    yield from ()


def _counted(name: str, check: Any, early: bool) -> Any:
    """`early`: of a draft whose exclusive limits are true or false; elsewhere that is a schema of another draft."""

    def counted(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _steps.take()
        if name == "uniqueItems" and isinstance(instance, list) and len(instance) > _UNIQUE:
            raise _TooCostly
        if name.startswith("exclusive") and isinstance(wanted, bool) and not early:
            raise TypeError(name)
        for mistake in check(validator, wanted, instance, schema) or ():
            _steps.take()
            yield mistake

    return counted
