"""Settings that `llm-router up` refuses, and those that it takes."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.launcher.ports import PortTaken
from router_backend.launcher.settings import NotStarted, UpSettings, admin_key, check
from tests.support.configs import local_config
from tests.support.running import free_port

Settings = Callable[..., UpSettings]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    def make(**changes: Any) -> UpSettings:
        fields = {
            "config": local_config(tmp_path),
            "state_dir": tmp_path / "state",
            "model_repository": MODEL_REPOSITORY,
        }
        ports = dict.fromkeys(("http_port", "grpc_port", "metrics_port", "gateway_port"), 0)
        return UpSettings(**{**fields, **ports, **changes})

    return make


def test_free_ports_are_taken_and_told(settings: Settings) -> None:
    checked, config = check(settings())
    ports = {checked.http_port, checked.grpc_port, checked.metrics_port, checked.gateway_port, checked.local_port}
    assert len(ports - {0}) == 5
    assert config.default_model in config.names


@pytest.mark.parametrize("flag", ["host", "triton_host"])
def test_an_address_for_everyone_needs_a_word_of_consent(settings: Settings, flag: str) -> None:
    with pytest.raises(NotStarted, match="--allow-unauthenticated"):
        check(settings(**{flag: "0.0.0.0"}))
    checked, _ = check(settings(**{flag: "0.0.0.0"}, allow_unauthenticated=True))
    assert getattr(checked, flag) == "0.0.0.0"


def test_one_port_for_two_parts_is_refused(settings: Settings) -> None:
    port = free_port()
    with pytest.raises((NotStarted, PortTaken)):
        check(settings(http_port=port, metrics_port=port))


def test_a_repository_without_a_classifier_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match=r"no version folder with model\.onnx"):
        check(settings(model_repository=tmp_path / "empty"))
    assert not (tmp_path / "state").exists()  # nothing was started, nothing is left


def test_each_start_has_an_admin_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "triton-admin.key"
    file.write_text("old")
    file.chmod(0o644)
    keys = {admin_key(tmp_path), admin_key(tmp_path)}
    assert len(keys) == 2
    assert file.read_text() in keys
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
