"""OpenAI chat messages to the text that is classified.

The turn that is to be answered decides the task, so the last user turn comes alone. One that only asks to go on ("continue", "fix it",
"続けて") is classified by the last one that asks for something: that one alone was classified better than both together (docs/classifier-experiments.md).
One that is merely short ("in Go?") gets it as context. What an agent adds by itself is no request: results of tools, in messages of their own
or in a user's turn, and notes on its surroundings (`turns.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from router_backend.prompts.turns import asked

# A turn of at most so many characters can't be classified by itself.
_NEEDS_CONTEXT = 6
# Nor one of at most so many, if all its words are among those below.
_FOLLOW_UP_CHARACTERS = 60
_WORDS = """
a again ahead all and any as before better can carry change continue correct could do does fine first fix for go good great i it it's just keep
last let's looks make more next no not now of ok okay on once one ones other perfect please proceed redo rest retry run same second so sounds
still sure that that's the them then they third this those to too try very want what whole why will with work works yeah yep yes you
"""
_FOLLOW_UP = frozenset(_WORDS.split())
_FOLLOW_UP_JA = re.compile(
    r"(はい|ええ|うん|いいえ|では|じゃあ|それ|これ|もう(一度|少し)|もっと|次|続き|続けて|進めて|直して|修正して|やり直して|"
    r"やって|ください|お願い(します)?|いい(です)?|ok|[をもでへの、。！？!?.\s])+",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w'’]+")


class BadRequest(ValueError):
    """A request that can't be read; the message says which part and what to send instead."""


def text_of(content: object) -> str:
    """Text of a message's `content`: a string, null, or an array of parts of any type (text parts count, in order)."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n".join(_part_text(part) for part in content if _part_text(part))
    raise BadRequest("messages[].content must be a string, null or an array of content parts")


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        text = part.get("text")
        return text if isinstance(text, str) else ""
    return ""


def routing_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The text to classify: the last user turn that asks for something, or what comes nearest where there is none.

    Raises:
        BadRequest: no messages, or a message that isn't an object.
    """
    if not messages or not all(isinstance(message, Mapping) for message in messages):
        raise BadRequest("messages must be a non-empty array of message objects")
    turns = [turn[0] for turn in turns_of(messages) if turn and turn[0].strip()]
    if not turns:
        texts = (text_of(message.get("content")) for message in reversed(messages))
        return next((text for text in texts if text.strip()), "")
    last = turns[-1]
    if _says_little(last):
        context = next((turn for turn in reversed(turns[:-1]) if not _says_little(turn)), None)
        if context is not None:
            return context if _follows_up(last) else f"{last}\n{context}"
    return last


def turns_of(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool] | None]:
    """Of each message the user's turn as `asked` reads it, None for other roles.

    What stands word for word beside the results of several turns is the agent's ("If you need more tools, …"), and no request.
    """
    turns = [asked(text_of(message.get("content"))) if message.get("role") == "user" else None for message in messages]
    beside = [turn[0] for turn in turns if turn and turn[1] and turn[0]]
    if not beside:
        return turns
    times = Counter(beside)
    return [("", True) if turn and turn[1] and times[turn[0]] > 1 else turn for turn in turns]


def is_step(turn: tuple[str, bool]) -> bool:
    """Whether a user's turn is a tool's result, which a text-only agent sends in the user's name, and asks for nothing new."""
    return turn[1] and _follows_up(turn[0])


def _says_little(turn: str) -> bool:
    """Whether a turn names nothing that could be classified by itself."""
    return len(turn.strip()) <= _NEEDS_CONTEXT or _follows_up(turn)


def _follows_up(turn: str) -> bool:
    """Whether a turn only asks to go on with what was asked before."""
    turn = turn.strip()
    if len(turn) > _FOLLOW_UP_CHARACTERS:
        return False
    if _FOLLOW_UP_JA.fullmatch(turn):
        return True
    words = _WORD.findall(turn.lower().replace("’", "'"))
    return all(word in _FOLLOW_UP for word in words)
