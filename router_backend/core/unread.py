"""JSON that is passed on as it came: what a large body holds is read only where somebody asks for it.

A body of eight megabytes becomes a hundred thousand objects, which take several times its bytes, and a single call that
builds them holds up everything else in the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import msgspec

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_read = msgspec.json.Decoder().decode


class Unread:
    """One value. `raw` is a view of the body, which lives as long."""

    __slots__ = ("raw",)

    def __init__(self, raw: msgspec.Raw) -> None:
        self.raw = raw

    def value(self) -> Any:
        """The value itself, read now."""
        return _read(self.raw)


class UnreadList(Unread, Sequence[Any]):
    """A list whose items are read when they are asked for, each time."""

    __slots__ = ("items",)

    def __init__(self, raw: msgspec.Raw) -> None:
        """Raises msgspec.MsgspecError when it is no list."""
        super().__init__(raw)
        self.items = _ITEMS.decode(raw)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> list[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return [_read(item) for item in self.items[at]] if isinstance(at, slice) else _read(self.items[at])

    def __iter__(self) -> Iterator[Any]:
        return map(_read, self.items)

    def rest(self, first: int) -> list[Unread]:
        """The items from `first` on, unread."""
        return [Unread(item) for item in self.items[first:]]


LISTS = (list, UnreadList)
"""What stands for a list in a body."""
