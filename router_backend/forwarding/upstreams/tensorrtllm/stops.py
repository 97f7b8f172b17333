"""Stop sequences in streamed text: OpenAI leaves them out, TensorRT-LLM's `stop_words` may leave them in."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Passes text on, but holds back what may become a stop sequence, and ends at the first one."""

    __slots__ = ("_held", "_longest", "_stops", "stopped")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """The text that can go out now."""
        if not self._stops or self.stopped:
            return "" if self.stopped else text
        text = self._held + text
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = next(
            (
                length
                for length in range(min(self._longest - 1, len(text)), 0, -1)
                if any(stop.startswith(text[-length:]) for stop in self._stops)
            ),
            0,
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def retract(self, count: int) -> None:
        """Forget the last `count` characters, as far as they were held back."""
        if count > 0:
            self._held = self._held[:-count]

    def flush(self) -> str:
        """At the end: what was held back after all."""
        held, self._held = self._held, ""
        return held
