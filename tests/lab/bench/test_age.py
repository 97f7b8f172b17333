"""The benchmark of a long past, on a short one."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_backend.lab.bench import age


def test_a_past_is_left_behind_and_learned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age, "_PAGE", 100)
    found = age.measure(1000, tmp_path)
    assert found.rebuilt == 1000
    assert len(found.hot) == 10
    assert found.archive > 0
    redis = age.InRedis(caught_up=3.0, alone=1.0, beside=2.0)
    lines = age.markdown(found, 4.0, redis)
    assert any("`state rebuild`" in line for line in lines)
    assert "| the same, Redis | 3 observations/s |" in lines


def test_a_learner_that_is_behind_catches_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age, "_PAGE", 100)
    assert age.catch_up("sqlite:///behind.db", tmp_path, 300) > 0


def test_feedback_beside_an_archiver_is_all_archived(tmp_path: Path) -> None:
    alone, beside = age.feedback(200, tmp_path)
    assert alone > 0
    assert beside > 0
    assert list((tmp_path / "beside").rglob("*.parquet"))
