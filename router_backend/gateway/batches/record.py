"""What is known of a batch, and the states that it goes through (https://platform.openai.com/docs/guides/batch)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
ENDED: frozenset[Status] = frozenset(("failed", "completed", "expired", "cancelled"))
NEXT: Mapping[Status, frozenset[Status]] = {
    "validating": frozenset(("failed", "in_progress", "cancelling")),
    "in_progress": frozenset(("finalizing", "cancelling")),
    "finalizing": frozenset(("completed", "expired")),
    "cancelling": frozenset(("cancelled",)),
    **dict.fromkeys(ENDED, frozenset()),
}
"""What may follow a state."""
WINDOW = "24h"
WINDOW_SECONDS = 86_400


class Counts(msgspec.Struct, frozen=True):
    """Of lines."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class LineError(msgspec.Struct, frozen=True):
    """Why a batch failed; `line`: of its file, from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one batch. Times are Unix seconds."""

    id: str
    key: str  # name of the API key that made it, and whose limits its lines are under
    endpoint: str
    input_file_id: str
    created_at: int
    expires_at: int
    status: Status = "validating"
    output_seconds: int  # that its output files are kept
    metadata: dict[str, str] | None = None
    counts: Counts = Counts()
    errors: tuple[LineError, ...] = ()
    output_file_id: str  # of files that are there when it has ended, where anything is in them
    error_file_id: str
    has_output: bool = False
    has_errors: bool = False
    late: bool = False  # its window is over, lines are left
    at: dict[Status, int] = {}  # when it came to each state
    version: int = 1

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def public(self, counts: Counts | None = None) -> dict[str, Any]:
        """OpenAI's batch object; `counts`: of lines so far, while it runs."""
        counts = counts if counts and not self.ended else self.counts
        errors = [msgspec.to_builtins(error) for error in self.errors]
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": errors} if errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": WINDOW,
            "status": self.status,
            "output_file_id": self.output_file_id if self.ended and self.has_output else None,
            "error_file_id": self.error_file_id if self.ended and self.has_errors else None,
            "created_at": self.created_at,
            "in_progress_at": self.at.get("in_progress"),
            "expires_at": self.expires_at,
            "finalizing_at": self.at.get("finalizing"),
            "completed_at": self.at.get("completed"),
            "failed_at": self.at.get("failed"),
            "expired_at": self.at.get("expired"),
            "cancelling_at": self.at.get("cancelling"),
            "cancelled_at": self.at.get("cancelled"),
            "request_counts": {"total": counts.total, "completed": counts.completed, "failed": counts.failed},
            "metadata": self.metadata,
        }
