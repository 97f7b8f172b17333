"""The step in the middle: a prompt's text to what the classifier says about it, in this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router_backend.classifier.artifact import Artifact
from router_backend.classifier.cached import CachedClassifier, key_of
from router_backend.classifier.encoding import Encoded, PromptEncoder
from router_backend.contract import EMBEDDING_DIM, LENGTH_BUCKETS, TASK_PLACES, bucket_length
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified

log = logging.getLogger(__name__)


Row = tuple[Classified, RoutingHints]
"""What one decision is made of."""

Unclassified = tuple[str, RoutingHints]
"""A text that is still to be classified, and the rest of a row."""


class _Loaded(NamedTuple):
    """What belongs to one artifact, and is exchanged as a whole."""

    encoder: PromptEncoder
    classifier: CachedClassifier
    space: int
    tasks: tuple[str, ...]

    def classified(self, said: NDArray[np.float32]) -> Classified:
        """From what the classifier has said about one prompt."""
        at = TASK_PLACES
        return Classified(said[:at], float(said[at]), said[at + 1 :], self.space, self.tasks)

    def degraded(self, hints: RoutingHints, cause: str) -> Row:
        """Of a prompt with which something has just failed. Routing trouble is never the user's: the default model answers."""
        log.exception("a prompt could not be classified: its %s failed", cause)
        zeros = np.zeros(TASK_PLACES, np.float32), 0.0, np.zeros(EMBEDDING_DIM, np.float32)
        return Classified(*zeros, self.space, self.tasks), replace(hints, degraded=cause)


class TextClassifier:
    """One artifact at a time, and its answers to prompts that come again. Threads may share it."""

    def __init__(self, artifact: Path, cache_bytes: int) -> None:
        """`artifact`: its folder; `cache_bytes`: of answers that are kept. See `load` for what it raises."""
        self._cache_bytes, self.loads = cache_bytes, 0
        self.load(artifact)

    def load(self, artifact: Path) -> None:
        """Classify by this artifact from now on. Those that are being asked meanwhile are answered by the one before.

        Raises:
            ContractError: it is missing, incomplete or of another contract; the one before stays.
        """
        loaded = Artifact(artifact)
        longest = bucket_length(loaded.metadata.max_tokens)
        for width in LENGTH_BUCKETS:  # the first pass of a length allocates its memory: before a request, not in it
            if width <= longest:
                loaded.run(np.zeros((1, width), np.int64), np.ones((1, width), np.int64))
        answers = CachedClassifier(loaded, self._cache_bytes)
        self._loaded = _Loaded(loaded.encoder, answers, loaded.metadata.embedding_space, loaded.metadata.tasks)
        self.loads += 1

    def classify(self, text: str, hints: RoutingHints) -> Row:
        """What the router decides by; a prompt that can't be classified is degraded, as its hints then say."""
        (row,) = self.classify_some([(text, hints)])
        return row

    def classify_some(self, asked: Sequence[Unclassified]) -> list[Row]:
        """Several at once: those that pad to one width are one forward pass, as Triton batches them. In their order."""
        loaded, rows = self._loaded, dict[int, Row]()
        unknown: dict[int, list[tuple[int, bytes, Encoded]]] = {}  # by width
        for at, (text, hints) in enumerate(asked):
            try:
                encoded = loaded.encoder.encode(text)
            except Exception:
                rows[at] = loaded.degraded(hints, "tokenizer")
                continue
            key = key_of(encoded.input_ids, encoded.attention_mask)
            if (said := loaded.classifier.find(key)) is not None:
                rows[at] = loaded.classified(said), hints
            else:
                unknown.setdefault(len(encoded.input_ids), []).append((at, key, encoded))
        for some in unknown.values():
            places, keys, prompts = zip(*some, strict=True)
            try:
                found = loaded.classifier.run(keys, *_batch(prompts))
            except Exception:
                rows |= {at: loaded.degraded(asked[at][1], "classifier") for at in places}
                continue
            for at, said in zip(places, found, strict=True):
                rows[at] = loaded.classified(said), asked[at][1]
        return [rows[at] for at in range(len(asked))]


def _batch(prompts: Sequence[Encoded]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and masks of prompts of one width, INT64 [n, tokens]."""
    if len(prompts) == 1:  # most come alone
        return prompts[0].input_ids[None], prompts[0].attention_mask[None]
    return np.array([prompt.input_ids for prompt in prompts]), np.array([prompt.attention_mask for prompt in prompts])
