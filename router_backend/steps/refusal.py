"""An answer of a step that is an error."""

from __future__ import annotations

from typing import Literal

Code = Literal["NOT_FOUND", "INVALID_ARGUMENT", "UNAVAILABLE", "OTHER_CONFIGURATION", "INTERNAL"]


class Refused(Exception):
    """`code` is what a gateway maps to an HTTP status; the text of the error begins with it."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Code = code
        self.message = message
