"""`Router` and its asynchronous twin."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from router_backend.config import RouterConfig
from router_backend.core.decision import RoutedDecision
from router_backend.core.records import Scored
from router_backend.steps.in_process import InProcess

Messages = str | Sequence[Mapping[str, Any]]
"""A prompt, or OpenAI chat messages."""


class Router:
    """Decides which model answers, and learns from scores. Threads may share it.

    What it learns is in the state store that `state:` names, with every other router of the deployment.
    """

    def __init__(self, steps: InProcess) -> None:
        """See `from_config`."""
        self._steps = steps

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], state_dir: str | os.PathLike[str] | None = None) -> Router:
        """Open the deployment of a router.yaml; returns when what was learned before has been read.

        Args:
            path: of router.yaml. A change of the file is used from the next decision on.
            state_dir: folder of a SQLite store and of the key that hashes prompts; default: `LLM_ROUTER_STATE_DIR`, else
                `~/.local/share/llm-router`.

        Raises:
            ConfigError: router.yaml is wrong.
            ContractError: the classifier can't be used.
            StoreError: the state store can't be opened.
        """
        return cls(InProcess(Path(path), None if state_dir is None else Path(state_dir)))

    @property
    def config(self) -> RouterConfig:
        """The configuration in force."""
        return self._steps.config

    def decide(
        self,
        messages: Messages,
        *,
        request: Mapping[str, Any] | None = None,
        candidates: Sequence[str] | None = None,
        policy: str = "",
        session: str = "",
        previous_model: str = "",
        max_cost: float | None = None,
        min_quality: float | None = None,
        dry_run: bool = False,
    ) -> RoutedDecision:
        """Choose the model for a conversation. The decision is recorded in the background, its text is not.

        Args:
            messages: a prompt, or OpenAI chat messages.
            request: further fields of the chat request that say what the model must be able to do: `tools`,
                `response_format`, `max_tokens`.
            candidates: names of the models allowed; default: all.
            policy: name of a configured policy; default: the main one.
            session: any id of the conversation; only its keyed hash is kept.
            previous_model: the model that answered last in this conversation.
            max_cost: USD that the answer is expected to cost at most.
            min_quality: expected quality at least, from 0 to 1.
            dry_run: decide, and record nothing.

        Raises:
            Refused: `INVALID_ARGUMENT`: the messages are malformed, or no model may take them.
        """
        chat = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        row = {"request": orjson.dumps({**(request or {}), "model": "auto", "messages": chat}).decode()}
        if candidates is not None:
            row["candidates"] = orjson.dumps(list(candidates)).decode()
        wishes = {"policy": policy, "session_id": session, "previous_model": previous_model}
        limits = {"max_cost": max_cost, "min_quality": min_quality, "dry_run": dry_run or None}
        row |= {name: value for name, value in wishes.items() if value}
        return self._steps.decide(row, {name: value for name, value in limits.items() if value is not None})

    def feedback(
        self,
        decision_id: str,
        score: float,
        *,
        cost_usd: float | None = None,
        task: str = "",
        tags: Mapping[str, Any] | Sequence[str] | None = None,
    ) -> Scored:
        """Score the answer that a decision led to, from 0 to 1. It is durable when this returns.

        Args:
            cost_usd: what the answer has cost; default: by the tokens that were expected.
            task: the right task, one of `TASKS`, or of those that `tasks` in router.yaml lists.
            tags: kept with the score.

        Returns:
            The reward that was learned, the score that counts, and whether the decision had one already: then that counts.

        Raises:
            Refused: `NOT_FOUND`: no such decision; `INVALID_ARGUMENT`: a value that can't be; `UNAVAILABLE`: the store
                takes nothing now, score again later.
        """
        row: dict[str, Any] = {"decision_id": decision_id, "score": score, "task": task}
        row |= {} if cost_usd is None else {"cost_usd": cost_usd}
        row |= {} if tags is None else {"tags": orjson.dumps(tags).decode()}
        return self._steps.score(row)

    def close(self) -> None:
        """Write what waits to be written, and end. Nothing can be asked afterwards."""
        self._steps.close()

    def __enter__(self) -> Router:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRouter:
    """`Router` for an event loop: its work is done on threads, and holds the loop up for nothing."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @classmethod
    async def from_config(
        cls, path: str | os.PathLike[str], state_dir: str | os.PathLike[str] | None = None
    ) -> AsyncRouter:
        """See `Router.from_config`."""
        return cls(await asyncio.to_thread(Router.from_config, path, state_dir))

    @property
    def config(self) -> RouterConfig:
        """The configuration in force."""
        return self._router.config

    async def decide(self, messages: Messages, **wishes: Any) -> RoutedDecision:
        """See `Router.decide`."""
        return await asyncio.to_thread(self._router.decide, messages, **wishes)

    async def feedback(self, decision_id: str, score: float, **more: Any) -> Scored:
        """See `Router.feedback`."""
        return await asyncio.to_thread(self._router.feedback, decision_id, score, **more)

    async def aclose(self) -> None:
        """See `Router.close`."""
        await asyncio.to_thread(self._router.close)

    async def __aenter__(self) -> AsyncRouter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
