from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.support.terraform import running


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], running.Applied]:
    """An example after its first apply; each is applied once."""

    @cache
    def apply(size: str) -> running.Applied:
        return running.applied(running.copied(tmp_path_factory.mktemp(size), size))

    return apply
