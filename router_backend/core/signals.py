"""What stands for a score when nobody gave one, and which of two such scores an answer keeps."""

from __future__ import annotations

from typing import NamedTuple

THANKED, COMPLAINED = "thanked", "complained"
JUDGE_SIGNAL = "judge"
COMPARED_SIGNAL = "compared"
"""A judge's grade of an answer that it has seen beside the reference model's."""
GRADES = (JUDGE_SIGNAL, COMPARED_SIGNAL)
"""Sources of opinions: their scores take any value, those of other signals one."""

ORDER = (
    "ended_well",
    "truncated",
    "asked_again",
    "regenerated",
    THANKED,
    COMPLAINED,
    "refusal",
    "tool_error",
    JUDGE_SIGNAL,
    COMPARED_SIGNAL,
    "empty",
    "invalid_tool_call",
    "invalid_output",
    "upstream_error",
)
"""Names, from the weakest evidence to the strongest: that nothing was wrong, what the client did next, a judge's opinion, facts."""

_PRECEDENCE = {name: place for place, name in enumerate(ORDER, 1)}
_EXPLICIT = len(ORDER) + 1
_UNKNOWN = 1  # a name of another release


class Agreement(NamedTuple):
    """Of the scores of a source with people's."""

    pairs: int  # answers that both have scored
    agreement: float  # 1 − the mean difference, in [0, 1]: of right-or-wrong scores, the share on which both agree
    bias: float  # the source's mean score less people's
    weight: float  # of one of its scores, where one of somebody's is 1


def precedence(signal: str) -> int:
    """While a score is pending, one of higher precedence takes its place. Empty: somebody gave it, which beats every signal."""
    return _PRECEDENCE.get(signal, _UNKNOWN) if signal else _EXPLICIT
