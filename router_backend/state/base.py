"""What both stores do alike with feedback: it is checked, joined into groups, and each group is one durable step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from router_backend.core.records import Feedback, FeedbackResult
from router_backend.state.credit import check_feedback
from router_backend.state.group_commit import GroupCommit
from router_backend.state.store import UnknownDecision

GROUP = 500  # feedbacks of a commit: of a transaction, or of a script that holds the server for a few milliseconds


class FeedbackStore(ABC):
    """`Store.add_feedback` and `Store.add_feedback_many`, on a commit of a group."""

    idle_seconds = 0.05  # a look costs nothing

    def __init__(self) -> None:
        self._feedback: GroupCommit[Feedback, FeedbackResult | UnknownDecision] = GroupCommit(
            self._commit_feedback, limit=GROUP
        )

    def add_feedback(self, feedback: Feedback) -> FeedbackResult:
        result = self.add_feedback_many([feedback])[0]
        if isinstance(result, UnknownDecision):
            raise result
        return result

    def add_feedback_many(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        for feedback in feedbacks:
            check_feedback(feedback)
        results: list[FeedbackResult | UnknownDecision] = []
        for start in range(0, len(feedbacks), GROUP):
            results += self._feedback.submit(feedbacks[start : start + GROUP])
        return results

    @abstractmethod
    def _commit_feedback(self, feedbacks: Sequence[Feedback]) -> list[FeedbackResult | UnknownDecision]:
        """Write a group of at most `GROUP`, all or nothing; durable when it returns."""
