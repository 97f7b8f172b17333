"""What each of Triton's models opens once: it follows router.yaml, and is closed in the order of writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router_backend.config import RouterConfig
from router_backend.config.load import ConfigError
from tests.support.configs import local_config


@pytest.fixture
def deployment(deployed: Path) -> Iterator[Any]:
    from router_backend.steps.deployment import Deployment

    opened = Deployment()
    yield opened
    opened.close()


def test_a_change_of_the_file_is_applied_and_in_force(deployment: Any, deployed: Path) -> None:
    applied: list[RouterConfig] = []
    deployment.watch(applied.append)
    local_config(deployed, retention_days=7, implicit={"truncated": 0.3})
    deployment.check()
    assert [config.retention_days for config in applied] == [7]
    assert deployment.config.retention_days == 7
    assert deployment.implicit.signals == deployment.config.implicit


def test_a_file_that_is_wrong_leaves_the_one_before_in_force(deployment: Any, deployed: Path) -> None:
    before = deployment.config
    deployment.watch(lambda config: None)
    (deployed / "router.yaml").write_text("version: 1\nmodels: []\n")
    deployment.check()
    assert deployment.config is before


def test_a_model_does_not_start_on_a_wrong_file(deployed: Path) -> None:
    from router_backend.steps.deployment import Deployment

    (deployed / "router.yaml").write_text("version: 1\nretrys: 3\n")
    with pytest.raises(ConfigError, match="retrys"):
        Deployment()


def test_writers_are_closed_while_the_store_still_takes_records(deployed: Path) -> None:
    from router_backend.steps.deployment import Deployment

    opened = Deployment()
    closed: list[str] = []

    class Writer:
        def close(self) -> None:
            opened.store.append([], [])
            closed.append("writer")

    close_store = opened.store.close
    opened.store.close = lambda: (closed.append("store"), close_store())  # type: ignore[method-assign,assign,func-returns-value]
    opened.close(Writer())
    assert closed == ["writer", "store"]
