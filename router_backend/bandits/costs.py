"""What an answer will cost, from the prompt's tokens and a running estimate of the answer's length; and what one taught of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_backend.bandits.charges import ANSWER, COLUMNS, PROMPT, REASONING, USD, rates
from router_backend.bandits.statistics.fields import Fields, taken
from router_backend.config.models import ModelConfig
from router_backend.contract import TASK_PLACES, TASKS
from router_backend.core.observations import Labels
from router_backend.core.pricing import PER_TOKEN

# Tokens of an answer of which nothing is known yet.
PRIOR_TOKENS = 256.0
# How many observations the more general estimate counts for in the more special one.
_SHRINK = 5.0
# An arm's lengths follow a change of its behaviour over about this many answers.
_MEMORY = 2000.0

# Of what is said of an answer's length or cost, over the longest one's.
_TOLERANCE = 2.0


class OutputLengths:
    """Running mean of the tokens that an arm answers with, by task.

    A task's mean is shrunk towards the arm's, and that towards a prior: (Σ tokens + 5·more general mean) / (n + 5).
    One thread observes; others may read `means` at any time.
    """

    def __init__(self, arms: Sequence[str], tasks: Sequence[str] = TASKS) -> None:
        self.arms, self.tasks = tuple(arms), tuple(tasks)
        self._columns = {task: column for column, task in enumerate(tasks)}
        # Of a task that this classifier doesn't know: `other`, or a place that no task has.
        self._other = self._columns.get("other", min(len(tasks), TASK_PLACES - 1))
        self._index = {arm: index for index, arm in enumerate(self.arms)}
        self._sums = np.zeros((len(self.arms), TASK_PLACES))
        self._counts = np.zeros((len(self.arms), TASK_PLACES))
        self.means = np.full((len(self.arms), TASK_PLACES), PRIOR_TOKENS)  # FP64 [arms, tasks], tokens

    def column(self, task: str) -> int:
        """The place of a task in `means`."""
        return self._columns.get(task, self._other)

    def observe(self, arm: str, task: str, tokens: int | None) -> None:
        """Count an answer; one of unknown length, or of an arm that isn't configured any more, is passed over."""
        index = self._index.get(arm)
        if index is not None and tokens is not None:
            self.observe_many(np.array([index]), Labels.of([task]), np.array([float(tokens)]))

    def observe_many(self, arms: NDArray[np.intp], tasks: Labels, tokens: NDArray[np.float64]) -> None:
        """Count n answers in their order: indices of arms, and lengths, NaN where they aren't known."""
        known = tokens >= 0.0  # false for NaN
        if not known.any():
            return
        cells = arms[known] * TASK_PLACES + tasks.places(self._columns, self._other)[known]
        order = np.argsort(cells, kind="stable")
        cells, lengths = cells[order], tokens[known][order]
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(cells)], strict=True):
            self._count(*divmod(int(cells[start]), TASK_PLACES), lengths[start:end])
        for index in np.unique(cells // TASK_PLACES):
            self._average(int(index))

    def _count(self, index: int, column: int, lengths: NDArray[np.float64]) -> None:
        """Count answers of one arm and task: each is added, and beyond `_MEMORY` takes as much of those before it."""
        room = max(0, math.ceil(_MEMORY - self._counts[index, column]))
        total, count = self._sums[index, column] + lengths[:room].sum(), self._counts[index, column]
        count += min(room, len(lengths))
        if len(lengths) > room:
            fading = (1.0 - 1.0 / _MEMORY) ** np.arange(len(lengths) - room, -1, -1)
            total = fading[0] * total + fading[1:] @ lengths[room:]
            count = fading[0] * count + fading[1:].sum()
        self._sums[index, column], self._counts[index, column] = total, count

    def dump(self) -> Fields:
        return {"sums": self._sums.copy(), "counts": self._counts.copy()}

    def load(self, fields: Fields) -> None:
        """Take over what `dump` wrote; FieldsError if it is of other arms or tasks."""
        shape = len(self.arms), TASK_PLACES
        self._sums, self._counts = taken(fields, "sums", *shape), taken(fields, "counts", *shape)
        for index in range(len(self.arms)):
            self._average(index)

    def adopt(self, other: OutputLengths) -> None:
        """Take over what another has counted, for arms of the same name."""
        for index, arm in enumerate(self.arms):
            source = other._index.get(arm)
            if source is not None:
                self._sums[index], self._counts[index] = other._sums[source], other._counts[source]
                self.means[index] = other.means[source]

    def _average(self, index: int) -> None:
        sums, counts = self._sums[index], self._counts[index]
        arm_mean = (sums.sum() + _SHRINK * PRIOR_TOKENS) / (counts.sum() + _SHRINK)
        self.means[index] = (sums + _SHRINK * arm_mean) / (counts + _SHRINK)


class Expected(NamedTuple):
    """Cost of one request, FP64 [arms] USD."""

    total: NDArray[np.float64]
    prompt: NDArray[np.float64]  # of it
    saving: NDArray[np.float64] | None  # that warm caches have taken from both; None: nothing
    cacheable: NDArray[np.float64] | None  # that a cache which held the whole prompt would take; None: nothing
    answer_limit: NDArray[np.float64] | None  # of the longest answer that is allowed; None: no limit


class CostModel:
    """Cost of one request on each arm: before it, and what an answer taught of it."""

    def __init__(self, models: Sequence[ModelConfig], lengths: OutputLengths, highest: float | None = None) -> None:
        """`highest`: USD that an answer may cost, where prices don't say it."""
        self.lengths = lengths
        self._prices = [model.price for model in models]
        self._input = np.array([model.price.input for model in models]) * PER_TOKEN
        # What a prompt token costs less that is read from a cache, and more that one takes.
        self._discount = self._input - np.array(
            [PER_TOKEN * (p.input if p.cached_input is None else p.cached_input) for p in self._prices]
        )
        self._cheaper = bool(self._discount.any())
        self._premium = np.array(
            [0.0 if p.cache_write is None else PER_TOKEN * (p.cache_write - p.input) for p in self._prices]
        )
        self._rates = rates(models)
        self._output = self._rates[:, ANSWER]
        self._caps = np.full((len(models), TASK_PLACES), np.inf)  # [arms, tasks], tokens
        for arm, model in enumerate(models):
            for column, task in enumerate(lengths.tasks):
                self._caps[arm, column] = model.max_tokens_by_task.get(task, np.inf)
        self._capped = bool(np.isfinite(self._caps).any())
        # An answer can't be longer than the window; what somebody says of its cost may be wrong by any factor.
        self._longest = _TOLERANCE * np.array([model.context_window for model in models], np.float64)
        most = self._longest * self._output
        self._most = np.maximum(np.where(most > 0, most, np.inf), highest or 0.0)

    def expected(
        self,
        prompt_tokens: int,
        task: str,
        max_tokens: int | None = None,
        warm: NDArray[np.float64] | None = None,
        writes: NDArray[np.float64] | None = None,
    ) -> Expected:
        """At list price, but for the prompt's tokens that each arm is expected to have in its cache, `warm` [arms]; the others cost
        more where the cache takes them, a share `writes` [arms] of them.

        `max_tokens` is the request's own limit of the answer; an arm's caps by task are known.
        """
        column = self.lengths.column(task)
        tokens, prompt, discount = self.lengths.means[:, column], prompt_tokens * self._input, self._discount
        if writes is not None:
            premium = writes * self._premium
            prompt, discount = prompt + prompt_tokens * premium, discount + premium
        saving = None if warm is None else np.minimum(warm, prompt_tokens) * discount
        cacheable = prompt_tokens * discount if self._cheaper else None
        if saving is not None:
            prompt = prompt - saving
        if max_tokens is None and not self._capped:
            return Expected(prompt + tokens * self._output, prompt, saving, cacheable, None)
        most = self._caps[:, column] if max_tokens is None else np.minimum(self._caps[:, column], max_tokens)
        answer = np.minimum(tokens, most) * self._output
        return Expected(prompt + answer, prompt, saving, cacheable, most * self._output)

    def answer_tokens(self, task: str, max_tokens: int | None = None) -> NDArray[np.float64]:
        """Tokens that each arm is expected to answer with, FP64 [arms]."""
        column = self.lengths.column(task)
        most = self._caps[:, column] if max_tokens is None else np.minimum(self._caps[:, column], max_tokens)
        return np.minimum(self.lengths.means[:, column], most)

    def beyond_prompts(
        self,
        arms: NDArray[np.intp],
        completion: NDArray[np.float64],
        reasoning: NDArray[np.float64],
        costs: NDArray[np.float64],
        prompt_tokens: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """[n] USD of answers without their prompts at list price: `charges` at today's prices."""
        charges = self.charges(arms, completion, reasoning, costs, prompt_tokens)
        return np.asarray((charges * self._rates[arms]).sum(1))

    def charges(
        self,
        arms: NDArray[np.intp],
        completion: NDArray[np.float64],
        reasoning: NDArray[np.float64],
        costs: NDArray[np.float64],
        prompt_tokens: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """[n, COLUMNS]: what is learned of answers' costs, without their prompts at list price.

        Tokens of the usage (those of the completion, and of it those of reasoning); without usage (NaN) `costs` are what they cost, and
        `prompt_tokens` those of their prompts. At most what the longest answer has or, at today's price, costs, so that one absurd number
        can't stand for an arm. What caches have saved is no part of it: that is known before, by conversation.
        """
        known, charges = ~np.isnan(completion), np.zeros((len(arms), COLUMNS))
        tokens = np.where(known, completion, 0.0)
        kept = np.minimum(1.0, self._longest[arms] / np.maximum(tokens, 1.0))
        thought = np.where(known, np.minimum(np.maximum(reasoning, 0.0), tokens), 0.0)
        charges[:, ANSWER], charges[:, REASONING] = kept * (tokens - thought), kept * thought
        most = self._most[arms]
        capped = costs - prompt_tokens * self._input[arms] > most
        charges[:, USD] = np.where(known, 0.0, np.where(capped, most, costs))
        charges[:, PROMPT] = np.where(known | capped, 0.0, prompt_tokens)
        return charges
