"""Statistics as named arrays, the form in which a checkpoint keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Fields = dict[str, NDArray[Any]]


class FieldsError(ValueError):
    """Arrays that aren't of the statistics that read them; says which."""


def nested(name: str, fields: Mapping[str, NDArray[Any]]) -> Fields:
    """The fields of a part, under its name."""
    return {f"{name}/{key}": value for key, value in fields.items()}


def part(name: str, fields: Mapping[str, NDArray[Any]]) -> Fields:
    """The fields that `nested` put under a name."""
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in fields.items() if key.startswith(start)}


def taken(fields: Mapping[str, NDArray[Any]], name: str, *shape: int) -> NDArray[Any]:
    """An array of a shape, -1 for any length, with finite numbers; a copy, since statistics are written to.

    Raises:
        FieldsError: it is missing, or isn't that.
    """
    value = fields.get(name)
    if value is None:
        raise FieldsError(f"no {name}")
    fits = value.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, value.shape, strict=True))
    if not fits:
        raise FieldsError(f"{name} is {list(value.shape)} instead of {list(shape)}")
    if not np.isfinite(value).all():
        raise FieldsError(f"{name} holds a number that isn't finite")
    return value.copy()
