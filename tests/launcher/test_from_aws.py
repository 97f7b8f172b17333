"""Containers without files: configuration and keys come from AWS (moto's), then the command takes over."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from router_backend.launcher import from_aws

SHOW = "import os; print(os.environ['A_KEY'], open(os.environ['LLM_ROUTER_CONFIG']).read())"


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """The environment of a process whose AWS is moto."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    yield {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    server.stop()


@pytest.fixture
def environment(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    session = botocore.session.Session()
    ssm, secrets = session.create_client("ssm"), session.create_client("secretsmanager")
    ssm.put_parameter(Name="/r/router.yaml", Value="version: 1", Type="SecureString", Overwrite=True)
    name = f"key-{tmp_path.name}"
    arn = secrets.create_secret(Name=name, SecretString="sk-1")["ARN"]
    return {
        **os.environ,
        from_aws.PARAMETER: "/r/router.yaml",
        from_aws.SECRETS: f"A_KEY={arn}",
        from_aws.CONFIG: str(tmp_path / "router.yaml"),
    }


def start(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router_backend.launcher.from_aws", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_finds_file_and_key(environment: dict[str, str]) -> None:
    done = start(environment, "--", sys.executable, "-c", SHOW)
    assert (done.returncode, done.stdout) == (0, "sk-1 version: 1\n"), done.stderr


def test_the_file_is_its_owners(environment: dict[str, str]) -> None:
    from_aws.environment(environment)
    assert stat.S_IMODE(Path(environment[from_aws.CONFIG]).stat().st_mode) == 0o600
    from_aws.environment(environment)  # a warm start writes it again


def test_nothing_is_asked_where_nothing_is_named() -> None:
    assert from_aws.environment({"A": "b"}) == {"A": "b"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (from_aws.PARAMETER, "/not/there", "/not/there can't be read"),
        (from_aws.SECRETS, "A_KEY=nobody", "nobody can't be read"),
        (from_aws.SECRETS, "A-KEY=x", "is not NAME=ARN"),
        (from_aws.SECRETS, "A_KEY", "is not NAME=ARN"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(environment: dict[str, str], name: str, value: str, told: str) -> None:
    done = start({**environment, name: value}, "--", sys.executable, "-c", "print(1)")
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_command_must_be_named() -> None:
    for words in ([], ["--"], ["python"]):
        with pytest.raises(SystemExit, match="say what to become"):
            from_aws.main(words)
