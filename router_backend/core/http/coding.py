"""What an answer's body is packed in, although nobody asked for it."""

from __future__ import annotations

import zlib

_GZIP = zlib.MAX_WBITS | 16
_ZLIB_METHOD = 8  # of the first byte of a zlib head; some servers send bare deflate (RFC 9110, section 8.4.1.2)


class Unpacker:
    """One body's. It unpacks as much as is asked for: what is small packed may be larger than memory."""

    def __init__(self, coding: str) -> None:
        """Raises ValueError: it isn't gzip or deflate."""
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise ValueError(f"content-encoding {coding[:50]!r}, which was not asked for")
        self._gzip = coding != "deflate"
        self._packed: zlib._Decompress | None = None
        self._begun = False

    def unpack(self, data: bytes, most: int) -> bytes:
        """Up to `most` bytes of what `data` holds; `rest` is to come back with the next call.

        Raises:
            ValueError: it is broken.
        """
        if self._packed is None:
            if not data:
                return b""
            window = _GZIP if self._gzip else zlib.MAX_WBITS if data[0] & 0xF == _ZLIB_METHOD else -zlib.MAX_WBITS
            self._packed = zlib.decompressobj(window)
        try:
            return self._packed.decompress(data, most)
        except zlib.error as error:
            raise ValueError(str(error)) from None

    @property
    def rest(self) -> bytes:
        """What of the data is still packed."""
        return self._packed.unconsumed_tail if self._packed else b""

    @property
    def ended(self) -> bool:
        """Whether its own end has come."""
        return self._packed is None or self._packed.eof
