"""Conversations, recognised by what is sent again: an agent repeats all that was said with each request.

A prompt has a digest for each of its beginnings: tools and system prompt, then message by message. Each answered prompt is
remembered under its digest, so the longest beginning that is remembered says which conversation goes on, how much of the
prompt which model has read before, and when. A prompt that leaves a remembered one behind at a point where its conversation
has gone on otherwise is a fork. One whose history was replaced by a summary (compaction) begins as its conversation did, or
says so. Digests are keyed by the API key's name; no text is kept.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import orjson

from router_backend.core.records import Usage
from router_backend.gateway.memory import NOBODY, Sessions, Turn
from router_backend.prompts import text_of
from router_backend.prompts.hints import CONVERSATION

_TRIED = 48  # beginnings that are looked up, from the longest: rounds of a loop add two messages and more
_LEAST = 256  # bytes of instructions and tools under which nothing is worth remembering of them alone
_SAID = 4096  # characters at a message's beginning in which a summary says what it is
# What agents put in front of a summary that takes a conversation's place: Claude Code, Codex, and the marks of others.
_SUMMARIES = (
    "This session is being continued from a previous conversation",
    "Another language model started to solve this problem",
    "<conversation_summary>",
    "<state_snapshot>",
    "<compacted_context>",
)
_CHANGING = re.compile(rb'x-anthropic-billing-header:[^"\\]*')
"""A line that Claude Code puts into its system prompt, with a checksum that is another one in each request."""


class Beginning(NamedTuple):
    """Of a prompt."""

    digest: bytes
    size: int  # bytes as JSON


class Warm(NamedTuple):
    """What a model has read before of a prompt."""

    tokens: int
    at: float  # time.monotonic()


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request's place in its conversation."""

    beginnings: tuple[Beginning, ...]  # shortest first; the last one is the whole prompt
    session: bytes
    parent: bytes  # NOBODY: none is known
    previous: str  # the model that answered before; empty: nobody, or it isn't known
    begins: bool  # nobody has answered yet
    tokens: int  # of the prompt, as far as they follow from an earlier one; 0: not known
    warm: Mapping[str, Warm]  # by model
    _known: tuple[bytes, Turn] | None  # the beginning that it goes on from

    @property
    def name(self) -> str:
        return CONVERSATION + self.session.hex()

    @property
    def parent_name(self) -> str:
        return "" if self.parent == NOBODY else CONVERSATION + self.parent.hex()

    def answered(self, sessions: Sessions, model: str, usage: Usage) -> None:
        """Remember that a model has read the prompt."""
        now, whole, continued = time.monotonic(), self.beginnings[-1], False
        if self._known:
            name, before = self._known
            if name == whole.digest:
                continued = before.continued
            else:
                sessions.put(name, before._replace(continued=True))
        turn = Turn(model, self.session, self.parent, usage.prompt or self.tokens, now, continued)
        root = self.beginnings[0]
        if root.size > _LEAST and root is not whole:
            sessions.put(root.digest, turn._replace(tokens=turn.tokens * root.size // whole.size, continued=True))
        sessions.put(whole.digest, turn)


def recognise(key: str, body: Mapping[str, Any], sessions: Sessions) -> Conversation | None:
    """Where a chat request stands; None for what is no chat. `key`: name of the API key."""
    messages = body.get("messages")
    if not messages or not all(isinstance(message, Mapping) for message in messages):
        return None
    lead = _leading(messages)
    answer = next((at for at, m in enumerate(messages) if at >= lead and m.get("role") == "assistant"), None)
    first = max(lead + 1, answer or 0)  # the shortest beginning that an answer may have followed
    beginnings = _beginnings(key, body, messages, lead, first)
    found = [*beginnings.values()]
    whole, known, warm, tokens = found[-1].digest, *_search(found, sessions)
    parent, previous = NOBODY, ""
    if answer is None:
        # Nobody has answered yet: with the same words once more another conversation begins, or this one again.
        session, known = whole, None
        if len(messages) > lead and text_of(messages[-1].get("content"))[:_SAID].lstrip().startswith(_SUMMARIES):
            root = sessions.find(found[0].digest)
            parent, previous = (root.session, root.model) if root else (NOBODY, "")
    elif known is None:  # another replica's, or forgotten: it has the name that it was given at its beginning
        session = beginnings[first].digest
    else:
        name, turn = known
        forked = turn.continued and name != whole
        session, parent, previous = (
            (whole, turn.session, turn.model) if forked else (turn.session, turn.parent, turn.model)
        )
    return Conversation(tuple(found), session, parent, previous, answer is None, tokens, warm, known)


def _leading(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many messages in front are instructions."""
    return next((at for at, m in enumerate(messages) if m.get("role") not in ("system", "developer")), len(messages))


def _beginnings(
    key: str, body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], lead: int, first: int
) -> dict[int, Beginning]:
    """By number of messages: those of `lead` and `first`, and those that are looked up."""
    state, size = hashlib.blake2b(digest_size=len(NOBODY), key=hashlib.sha256(key.encode()).digest()), 0
    found = {}
    for at, part in enumerate(map(_json, chain([body.get("tools")], messages))):  # one at a time: there may be many
        state.update(len(part).to_bytes(8))
        state.update(part)
        size += len(part)
        if at in (lead, first) or at > max(len(messages) - _TRIED, lead):
            found[at] = Beginning(state.digest(), size)
    return found


def _json(value: Any) -> bytes:
    """The part of a prompt, without what agents change in it from one request to the next."""
    data = orjson.dumps(value)
    if b'"cache_control"' in data:
        data = orjson.dumps(_unmarked(value))
    return _CHANGING.sub(b"", data) if b"x-anthropic-billing-header" in data else data


def _unmarked(value: Any) -> Any:
    """Without the marks up to which a prompt is to be cached: they move with each turn."""
    if isinstance(value, dict):
        return {name: _unmarked(each) for name, each in value.items() if name != "cache_control"}
    return [_unmarked(each) for each in value] if isinstance(value, list) else value


def _search(found: Sequence[Beginning], sessions: Sessions) -> tuple[tuple[bytes, Turn] | None, dict[str, Warm], int]:
    """The longest beginning that is remembered beside the root, what each model has read, and the prompt's tokens (0: unknown)."""
    known: tuple[bytes, Turn] | None = None
    warm: dict[str, Warm] = {}
    tokens = 0
    for at in (*range(len(found) - 1, 0, -1)[:_TRIED], 0):
        turn = sessions.find(found[at].digest)
        if turn is None:
            continue
        if known is None and at:
            known = found[at].digest, turn
        tokens = tokens or turn.tokens * found[-1].size // found[at].size
        warm.setdefault(turn.model, Warm(turn.tokens, turn.at))
    return known, warm, tokens
