"""Runs of agents: tasks, loops over tools, prompts that grow, pauses; how well models of three sizes do each step; and what
providers bill for it.

Published, and taken from there:

- About 50 calls of tools a task, and about 100 prompt tokens for each token of an answer (manus.im/blog, "Context Engineering for AI Agents", 2025-07-18).
- Runs on one task differ by a factor of up to 30 in tokens, and their prompts drive the cost (Bai et al. 2026, arXiv:2604.22750, SWE-bench Verified).
- Prices and caches: see `OPENAI` and `ANTHROPIC`.

Assumed: how difficulty is spread over tasks and steps, how able the models are, how long a user waits, and that one step in five is
scored, at the end of its run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router_backend.contract import EMBEDDING_DIM, TASKS

MODELS = ("large", "medium", "small")


@dataclass(frozen=True, slots=True)
class Provider:
    """Prices in USD per million tokens, by size, as in `router.yaml`; and how its prompt cache works."""

    name: str
    prices: dict[str, dict[str, float]]
    least: dict[str, int]  # tokens of a prompt from which on it is cached
    seconds: float = 300.0  # that it stays after the last use
    block: int = 1  # tokens: what is read from the cache is a multiple
    rounds: int | None = None  # of a loop after which only the instructions are found again; None: however many


OPENAI = Provider(
    name="openai",
    prices={
        "large": {"input": 2.50, "cached_input": 0.25, "output": 15.0},
        "medium": {"input": 0.75, "cached_input": 0.075, "output": 4.50},
        "small": {"input": 0.20, "cached_input": 0.02, "output": 1.25},
    },
    least=dict.fromkeys(MODELS, 1024),
    block=128,
)
"""GPT-5.4, GPT-5.4-mini, GPT-5.4-nano (developers.openai.com/api/docs/pricing as others quoted it on 2026-03-30 and 2026-04-13; inputs
of the two smaller ones also on OpenAI's page of gpt-5-nano). Cached from 1,024 tokens on, 5 to 10 minutes after the last use, in steps of 128 tokens, and writing costs nothing
(developers.openai.com/api/docs/guides/prompt-caching). Five minutes are taken."""

ANTHROPIC = Provider(
    name="anthropic",
    prices={
        "large": {"input": 5.0, "cached_input": 0.50, "cache_write": 6.25, "output": 25.0},
        "medium": {"input": 2.0, "cached_input": 0.20, "cache_write": 2.50, "output": 10.0},
        "small": {"input": 1.0, "cached_input": 0.10, "cache_write": 1.25, "output": 5.0},
    },
    least={"large": 512, "medium": 1024, "small": 4096},
    rounds=10,
)
"""Claude Opus 5, Sonnet 5, Haiku 4.5 (platform.claude.com/docs/en/about-claude/pricing, November 2026). Cached where the client marks it,
for five minutes after the last use, from 512, 1,024 and 4,096 tokens on; an earlier prompt is looked for up to 20 blocks back
(platform.claude.com/docs/en/build-with-claude/prompt-caching), and a round of a loop adds two, a call and its result. The
instructions have a mark of their own, as coding agents set it."""

PROVIDERS = (OPENAI, ANTHROPIC)
INSTRUCTIONS = 10_000  # tokens of tools and system prompt
_ABILITY = {"large": 3.2, "medium": 2.4, "small": 1.4}  # log odds of doing a step of no difficulty
_DIFFICULTY = {"": 0.8, "read": -1.0, "write": 0.9, "run": 0.1}  # of a user's turn, and after each kind of tool
_FAILED = 0.8  # more, after a tool that failed
_KINDS = ("read", "write", "run")
_SHARES = (0.5, 0.2, 0.3)
_FAILS = 0.12
_GROUPS = 12  # of tasks
_CALLS, _SPREAD = 3.5, 0.9  # of log calls a task: 33 at the median, 50 on average
_RESULT, _RESULT_SPREAD = 6.2, 1.1  # of log tokens of a tool's result: 490 at the median, 900 on average
_ANSWER, _ANSWER_SPREAD = 6.0, 0.8  # of log tokens of an answer
_STEP_SECONDS, _PAUSE_SECONDS = 8.0, 150.0


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a run."""

    depth: int  # rounds of tools since the user spoke
    tool: str
    failed: bool
    prompt: int  # tokens
    answer: int  # tokens
    pause: float  # seconds since the last answer
    quality: NDArray[np.float64]  # [models], probability that it is done well


@dataclass(frozen=True, slots=True)
class Run:
    """One session of an agent."""

    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]  # [tasks]
    complexity: float
    steps: tuple[Step, ...]


def runs(n: int, world: int, seed: int) -> Iterator[Run]:
    """n runs, the same for every strategy. `world`: seed of the groups of tasks; `seed`: of the runs."""
    groups, draw = np.random.default_rng(world), np.random.default_rng(seed)
    centres = groups.normal(size=(_GROUPS, EMBEDDING_DIM)) / EMBEDDING_DIM**0.5
    hardness = groups.normal(0.0, 1.0, _GROUPS)
    for _ in range(n):
        group = int(draw.integers(_GROUPS))
        hard = hardness[group] + draw.normal(0.0, 0.4)
        embedding = (centres[group] + draw.normal(size=EMBEDDING_DIM) * 0.3 / EMBEDDING_DIM**0.5).astype(np.float32)
        probabilities = np.full(len(TASKS), 0.1 / (len(TASKS) - 1), np.float32)
        probabilities[TASKS.index("code_generation")] = 0.9
        complexity = float(1 / (1 + np.exp(-hard + draw.normal(0.0, 0.7))))
        yield Run(embedding, probabilities, complexity, tuple(_steps(draw, hard)))


def _steps(draw: np.random.Generator, hard: float) -> Iterator[Step]:
    ability, tokens = np.array([_ABILITY[model] for model in MODELS]), INSTRUCTIONS
    for turn in range(1 + int(draw.poisson(0.7))):
        calls = int(np.clip(draw.lognormal(_CALLS, _SPREAD), 1, 250)) // (1 + turn)
        tokens += int(draw.integers(50, 600))
        tool, failed, pause = "", False, float(draw.exponential(_PAUSE_SECONDS)) if turn else 3600.0
        for depth in range(calls + 1):
            answer = int(np.clip(draw.lognormal(_ANSWER, _ANSWER_SPREAD), 20, 4000))
            difficulty = hard + _DIFFICULTY[tool] + _FAILED * failed + draw.normal(0.0, 0.5)
            yield Step(depth, tool, failed, tokens, answer, pause, 1 / (1 + np.exp(difficulty - ability)))
            tool, failed = str(draw.choice(_KINDS, p=_SHARES)), bool(draw.random() < _FAILS)
            tokens += answer + int(np.clip(draw.lognormal(_RESULT, _RESULT_SPREAD), 10, 20_000))
            pause = float(draw.exponential(_STEP_SECONDS))


class Bill:
    """What a provider's caches hold of one run, and what its requests cost."""

    def __init__(self, provider: Provider) -> None:
        self._provider, self._requests = provider, 0
        self.read: dict[str, tuple[int, float, int]] = {}  # by model: tokens, when, and which request of the run it was

    def cached(self, model: str, now: float) -> int:
        """Prompt tokens that a model has in its cache."""
        provider = self._provider
        tokens, at, request = self.read.get(model, (0, 0.0, 0))
        if now - at >= provider.seconds or tokens < provider.least[model]:
            return 0
        if provider.rounds is not None and self._requests + 1 - request > provider.rounds:
            tokens = INSTRUCTIONS if provider.least[model] <= INSTRUCTIONS else 0
        return tokens // provider.block * provider.block

    def pay(self, model: str, step: Step, now: float) -> tuple[int, int, float]:
        """(cached tokens, tokens that the cache took, USD) of a request that a model answers now."""
        cached, price = self.cached(model, now), self._provider.prices[model]
        self._requests += 1
        self.read[model] = step.prompt, now, self._requests
        written = step.prompt - cached if "cache_write" in price and step.prompt >= self._provider.least[model] else 0
        usd = (step.prompt - cached - written) * price["input"] + cached * price["cached_input"]
        usd += written * price.get("cache_write", 0.0) + step.answer * price["output"]
        return cached, written, usd / 1e6
