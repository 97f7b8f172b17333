"""OpenAI chat messages to the text that is classified.

The turn that is to be answered decides the task, so the last user turn comes alone. One that only asks to go on ("continue", "fix it",
"続けて") is classified by the last one that asks for something: that one alone was classified better than both together (docs/classifier-experiments.md).
One that is merely short ("in Go?") gets it as context. What an agent adds by itself is no request: results of tools, in messages of their own
or in a user's turn, and notes on its surroundings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

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
# A result that a text-only agent sends in the user's name; the forms of ReAct, OpenHands, Cline, mini-swe-agent, Claude Code and of chat templates.
_RESULT = re.compile(
    r"\s*(Observation:|EXECUTION RESULT|OBSERVATION:|\[\w+ for [^\n]{0,300}\] Result:|<(tool_result|tool_response|tool_output|function_results?|"
    r"observation|returncode|local-command-std(out|err)|bash-std(out|err)|task-notification)\b)"
)
# Notes on surroundings, of Cline, Claude Code, Codex and Cursor.
_NOTES = (
    "environment_details",
    "system-reminder",
    "system_reminder",
    "environment_context",
    "user_instructions",
    "local-command-caveat",
    "ide_opened_file",
    "user_info",
    "git_status",
    "project_layout",
    "open_and_recently_viewed_files",
)
# Marks around what the person typed, where an editor puts files and notes beside it: of Cursor, Copilot and Roo.
_ASKED = ("user_query", "userRequest", "user_message")


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
    turns = [text for message in messages if message.get("role") == "user" and (text := request_of(message))]
    if not turns:
        texts = (text_of(message.get("content")) for message in reversed(messages))
        return next((text for text in texts if text), "")
    last = turns[-1]
    if _says_little(last):
        context = next((turn for turn in reversed(turns[:-1]) if not _says_little(turn)), None)
        if context is not None:
            return context if _follows_up(last) else f"{last}\n{context}"
    return last


def is_result(message: Mapping[str, Any]) -> bool:
    """Whether a user's turn is a tool's result, which a text-only agent sends in the user's name."""
    return _RESULT.match(text_of(message.get("content"))) is not None


def request_of(message: Mapping[str, Any]) -> str:
    """What the user asks for in a turn: "" for a result of a tool."""
    text = text_of(message.get("content"))
    if _RESULT.match(text):
        return ""
    if "<" not in text:  # most texts have no marks at all: fourteen searches less
        return text
    for name in _ASKED:
        if asked := _last_between(text, f"<{name}>", f"</{name}>"):
            return asked
    for name in _NOTES:
        text = _without(text, f"<{name}>", f"</{name}>")
    return text


def _last_between(text: str, opening: str, closing: str) -> str:
    end = text.rfind(closing)
    start = text.rfind(opening, 0, max(end, 0))
    return text[start + len(opening) : end].strip() if start >= 0 else ""


def _without(text: str, opening: str, closing: str) -> str:
    """`text` without its parts between two marks; in linear time, since texts may be long."""
    if opening not in text:
        return text
    kept, end = [], 0
    while (start := text.find(opening, end)) >= 0 and (close := text.find(closing, start)) >= 0:
        kept.append(text[end:start])
        end = close + len(closing)
    return "".join([*kept, text[end:]]).strip()


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
