"""What is learned of each model's prompt cache from the `cached_tokens` of its answers: whether it has one, from which length
on, for how long, how much it takes of what it doesn't hold, and what a prompt that isn't in it waits.

Each answer to a prompt whose beginning the same model has read before is a trial: its tokens and its age are known, and so is
whether they were read from the cache. Rates of hits are kept by powers of two of both. They start at what the providers say
of their caches (OpenAI: from 1,024 tokens, 5 to 10 minutes after the last use, at most an hour; Anthropic: from 1,024 to 4,096 tokens,
5 minutes), and count for two trials.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping

from router_backend.core.records import Outcome
from router_backend.gateway.conversations import Conversation

_PRIOR = 2.0  # trials
_MEMORY = 200.0  # trials that a rate goes back over
_BUCKETS = 24  # powers of two
_CERTAIN = 0.5  # of a rate: under it, a miss is explained by it
_TAKEN = 50.0  # answers that the share goes back over which a cache takes
_LEAST = 64  # tokens under which an answer says nothing
_USUAL_LENGTH = 1024  # tokens
_USUAL_SECONDS, _LONGEST_SECONDS = 300.0, 3600.0
_KNOWN_WAITS = 20.0  # answers from which on waits are estimated
_WAITS = 500.0  # answers that they go back over


class Caches:
    """Of all models; belongs to one process of the gateway."""

    def __init__(self) -> None:
        self._caches: dict[str, _Cache] = {}
        self._waits: dict[str, _Waits] = {}
        self._writes: dict[str, tuple[float, float]] = {}  # share, and answers it is of

    def writes(self, models: Collection[str]) -> dict[str, float]:
        """Share that each model's cache takes of the tokens which it doesn't hold, of long prompts; models of which nothing is
        known, or that write nothing, are left out."""
        return {model: round(share, 3) for model in models if (share := self._writes.get(model, (0.0, 0.0))[0]) > 0}

    def warm(self, conversation: Conversation, models: Collection[str]) -> dict[str, float]:
        """Tokens of the prompt that each model is expected to read from its cache; models without any are left out."""
        now, found = time.monotonic(), {}
        for model, warm in conversation.warm.items():
            if model in models:
                tokens = self.expected(model, warm.tokens, now - warm.at)
                if tokens >= 1:
                    found[model] = round(tokens, 1)
        return found

    def expected(self, model: str, tokens: int, age: float) -> float:
        """Tokens that a model reads from its cache, of so many that it has read `age` seconds ago."""
        cache = self._caches.get(model) or _UNKNOWN
        return tokens * cache.rate(tokens, age)

    def learn(self, conversation: Conversation, started: float, outcome: Outcome) -> None:
        """What an answer's usage says. `started`: time.monotonic() when it was asked for."""
        if not outcome.usage_known:
            return
        usage, model = outcome.usage, outcome.served
        warm = conversation.warm.get(model)
        if warm:
            self.observe(model, warm.tokens, started - warm.at, usage.cached)
        fresh = usage.prompt - usage.cached
        if usage.prompt >= _USUAL_LENGTH and fresh > 0:
            self.take(model, min(1.0, usage.cache_write / fresh))
        if outcome.first_token is not None and usage.prompt:
            self._waits.setdefault(model, _Waits()).learn(fresh, outcome.first_token)

    def observe(self, model: str, tokens: int, age: float, cached: int) -> None:
        """Of so many tokens that a model had read `age` seconds before, so many came from its cache."""
        if tokens >= _LEAST:
            self._caches.setdefault(model, _Cache()).learn(tokens, age, cached)

    def take(self, model: str, share: float) -> None:
        """A model's cache took such a share of what it didn't hold."""
        known, answers = self._writes.get(model, (0.0, 0.0))
        answers = min(answers + 1.0, _TAKEN)
        self._writes[model] = known + (share - known) / answers, answers

    def waits(
        self, paces: Mapping[str, tuple[float, float]], tokens: int, warm: Mapping[str, float]
    ) -> dict[str, tuple[float, float]]:
        """Paces (seconds to the first token, and of each further one) with the wait of a prompt of `tokens` in them."""
        found = dict(paces)
        for model, (first, each) in paces.items() if tokens else ():
            waits = self._waits.get(model)
            if waits:
                found[model] = max(first / 10, first + waits.more(tokens - warm.get(model, 0.0))), each
        return found


class _Rate:
    """Of hits, by power of two."""

    def __init__(self, prior: list[float]) -> None:
        self._prior = prior
        self._hits, self._trials = [0.0] * _BUCKETS, [0.0] * _BUCKETS

    def learn(self, bucket: int, hit: bool) -> None:
        keep = min(1.0, _MEMORY / (self._trials[bucket] + 1.0))
        self._hits[bucket] = self._hits[bucket] * keep + hit
        self._trials[bucket] = self._trials[bucket] * keep + 1.0

    def at(self, bucket: int, scale: float = 1.0) -> float:
        """`scale`: of what is taken for granted before there are trials."""
        return (self._hits[bucket] + _PRIOR * scale * self._prior[bucket]) / (self._trials[bucket] + _PRIOR)

    @property
    def overall(self) -> float:
        """Of all trials, 1 before there are any."""
        return (sum(self._hits) + 2 * _PRIOR) / (sum(self._trials) + 2 * _PRIOR)


class _Cache:
    """Of one model."""

    def __init__(self) -> None:
        self._by_length = _Rate([1.0 if 2**at >= _USUAL_LENGTH else 0.2 for at in range(_BUCKETS)])
        self._by_age = _Rate(
            [1.0 if 2**at < _USUAL_SECONDS else 0.3 if 2**at < _LONGEST_SECONDS else 0.02 for at in range(_BUCKETS)]
        )
        self._share = 1.0  # of the tokens, where there is a hit

    def rate(self, tokens: int, age: float) -> float:
        """Share of the tokens that is expected to be read from the cache."""
        return self._length(tokens) * self._by_age.at(_bucket(age)) * self._share

    def learn(self, tokens: int, age: float, cached: int) -> None:
        share = min(cached / tokens, 1.0)
        hit = share >= _CERTAIN
        young, long = self._by_age.at(_bucket(age)) >= _CERTAIN, self._length(tokens) >= _CERTAIN
        # A hit says that both are enough; a miss is of the one that isn't known to be.
        if hit or young:
            self._by_length.learn(_bucket(tokens), hit)
        if hit or (long and self._by_length.overall >= _CERTAIN):
            self._by_age.learn(_bucket(age), hit)
        if hit:
            self._share += (share - self._share) / 20.0

    def _length(self, tokens: int) -> float:
        # A cache that misses everywhere is expected to miss where it wasn't tried, too.
        return self._by_length.at(_bucket(tokens), self._by_length.overall)


class _Waits:
    """Seconds to the first token against the tokens that no cache held: a line by least squares, over the latest answers."""

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def learn(self, fresh: float, seconds: float) -> None:
        keep = 1.0 - 1.0 / _WAITS
        self._n = self._n * keep + 1.0
        self._x = self._x * keep + fresh
        self._y = self._y * keep + seconds
        self._xx = self._xx * keep + fresh * fresh
        self._xy = self._xy * keep + fresh * seconds

    def more(self, fresh: float) -> float:
        """Seconds that so many fresh tokens wait longer than the usual number."""
        if self._n < _KNOWN_WAITS:
            return 0.0
        mean = self._x / self._n
        spread = self._xx / self._n - mean * mean
        if spread <= 1.0:
            return 0.0
        slope = max(0.0, (self._xy / self._n - mean * self._y / self._n) / spread)
        return slope * (fresh - mean)


def _bucket(value: float) -> int:
    return min(int(math.log2(value)), _BUCKETS - 1) if value >= 1 else 0


_UNKNOWN = _Cache()
