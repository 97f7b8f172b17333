"""The step in the middle: a prompt's text to what the classifier says about it, in this process."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from router_backend.classifier.artifact import Artifact
from router_backend.classifier.cached import CachedClassifier
from router_backend.classifier.encoding import PromptEncoder
from router_backend.contract import EMBEDDING_DIM, LENGTH_BUCKETS, TASKS, bucket_length
from router_backend.prompts.hints import RoutingHints
from router_backend.routing.router import Classified

log = logging.getLogger(__name__)


class _Loaded(NamedTuple):
    """What belongs to one artifact, and is exchanged as a whole."""

    encoder: PromptEncoder
    classifier: CachedClassifier
    space: int


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
        self._loaded = _Loaded(loaded.encoder, answers, loaded.metadata.embedding_space)
        self.loads += 1

    def classify(self, text: str, hints: RoutingHints) -> tuple[Classified, RoutingHints]:
        """What the router decides by; a prompt that can't be classified is degraded, as its hints then say."""
        encoder, classifier, space = self._loaded
        cause = "tokenizer"
        try:
            encoded = encoder.encode(text)
            cause = "classifier"
            found = classifier.run(encoded.input_ids, encoded.attention_mask)
        except Exception:  # routing trouble is never the user's: the default model answers
            log.exception("a prompt could not be classified: its %s failed", cause)
            nothing = Classified(np.zeros(len(TASKS), np.float32), 0.0, np.zeros(EMBEDDING_DIM, np.float32), space)
            return nothing, replace(hints, degraded=cause)
        return Classified(found.probabilities[0], float(found.complexity[0]), found.embedding[0], space), hints
