"""What the classifier has said about prompts that come again, within its bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from router_backend.classifier.artifact import Artifact, newest_artifact
from router_backend.classifier.cached import ENTRY_BYTES, CachedClassifier, key_of
from router_backend.classifier.repository import MODEL_REPOSITORY
from tests.benchmarks.counting import kept_bytes

Tokens = NDArray[np.int64]


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return Artifact(newest_artifact(MODEL_REPOSITORY / "classifier"))


def prompts() -> Iterator[tuple[bytes, Tokens, Tokens]]:
    """Others each time: a key, ids and mask of one prompt."""
    mask = np.ones(8, np.int64)
    for number in range(1_000_000):
        ids = np.array([0, 1000 + number // 10_000, 1000 + number % 10_000, 5, 6, 7, 8, 2], np.int64)
        yield key_of(ids, mask), ids, mask


def test_a_prompt_that_comes_again_is_known_by_what_was_said(artifact: Artifact) -> None:
    cache, (key, ids, mask) = CachedClassifier(artifact, 1 << 20), next(prompts())
    assert cache.find(key) is None
    (said,) = cache.run([key], ids[None], mask[None])
    known, alone = cache.find(key), artifact.run(ids[None], mask[None])
    assert known is not None
    assert known.tolist() == said.tolist()
    assert said.tolist() == [*alone.probabilities[0], *alone.complexity, *alone.embedding[0]]


def test_a_mask_tells_padding_from_words() -> None:
    ids = np.array([0, 1000, 1, 1], np.int64)
    assert key_of(ids, np.array([1, 1, 0, 0])) != key_of(ids, np.array([1, 1, 1, 1]))


def test_the_prompt_that_was_asked_longest_ago_is_forgotten_first(artifact: Artifact) -> None:
    cache, asked = CachedClassifier(artifact, 3 * ENTRY_BYTES), list(itertools.islice(prompts(), 4))
    for key, ids, mask in asked[:3]:
        cache.run([key], ids[None], mask[None])
    assert cache.find(asked[0][0]) is not None  # asked again
    key, ids, mask = asked[3]
    cache.run([key], ids[None], mask[None])
    assert [cache.find(key) is not None for key, _, _ in asked] == [True, False, True, True]


def test_it_takes_no_more_than_its_bytes(artifact: Artifact) -> None:
    capacity, others = 400 * ENTRY_BYTES, prompts()
    cache = CachedClassifier(artifact, capacity)

    def another() -> None:
        key, ids, mask = next(others)
        cache.run([key], ids[None], mask[None])

    assert kept_bytes(another, 500) <= capacity
