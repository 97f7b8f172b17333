"""`llm-router doctor`, and `up`'s own look before it starts: what would fail later is found at once, and said once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from router_backend.classifier.repository import MODEL_REPOSITORY
from router_backend.cli.doctor import doctor
from router_backend.contract import TASKS
from router_backend.launcher.settings import NotStarted, UpSettings, check
from tests.support.artifacts import make_artifact
from tests.support.scripted_upstream import ScriptedUpstream

app = typer.Typer()
app.command()(doctor)
PORTS = [word for name in ("http", "grpc", "metrics", "gateway") for word in (f"--{name}-port", "0")]

CONFIG = """\
version: 1
models:
  - name: small
    upstream: {{kind: openai, base_url: "{url}", model: {model}{more}}}
    price: {{input: 0.03, output: 0.06}}
    context_window: 8192
default_model: small
policy: {{name: linucb{prior}}}
"""


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.models = {"data": [{"id": "meta/small"}]}
        yield server


def written(folder: Path, url: str, *, model: str = "meta/small", more: str = "", prior: str = "") -> Path:
    file = folder / "router.yaml"
    file.write_text(CONFIG.format(url=url, model=model, more=more, prior=prior))
    return file


async def run(config: Path, *words: str) -> Result:
    command = ["--config", str(config), "--state-dir", str(config.parent / "state"), *PORTS, *words]
    return await asyncio.to_thread(CliRunner().invoke, app, command)


async def test_an_upstream_that_has_the_model_is_fine_and_nothing_is_left_behind(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    result = await run(written(tmp_path, upstream.base_url))
    assert result.exit_code == 0, result.output
    assert f"{upstream.base_url} answers, with meta/small" in result.output
    assert not list((tmp_path / "state").rglob("*.db"))


async def test_a_model_that_the_server_lacks_is_named_with_those_that_it_has(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    result = await run(written(tmp_path, upstream.base_url, model="meta/large"))
    assert result.exit_code == 1
    assert f"{upstream.base_url} has no model meta/large; it has meta/small" in result.output


async def test_an_address_without_v1_is_told_with_the_right_one(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    address = upstream.base_url.removesuffix("/v1")
    result = await run(written(tmp_path, address))
    assert f"the base URL mostly ends in /v1: {address}/v1" in result.output


async def test_a_mistake_in_the_file_is_said_once(tmp_path: Path) -> None:
    file = written(tmp_path, "http://127.0.0.1:9/v1")
    file.write_text(file.read_text().replace("default_model: small", "default_model: large"))
    result = await run(file)
    assert result.output.count("'large', which is not under models") == 1


LATER = [
    ({"more": ", api_key_env: NO_SUCH_KEY"}, r"variable NO_SUCH_KEY \(api_key_env\) is not set"),
    ({"more": ", api_key_file: nowhere.key"}, r"nowhere\.key \(api_key_file\) can't be read"),
    ({"prior": ", prior: nowhere.npz"}, r"nowhere\.npz: can't be read"),
]


@pytest.mark.parametrize(("changes", "said"), LATER)
async def test_what_would_fail_later_is_found_by_both(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    config = written(tmp_path, "http://127.0.0.1:9/v1", **changes)
    result = await run(config, "--no-ask")
    assert result.exit_code == 1
    folder = tmp_path / "state"
    with pytest.raises(NotStarted, match=said) as refused:
        check(UpSettings(config=config, state_dir=folder, model_repository=MODEL_REPOSITORY))
    assert str(refused.value) in result.output.replace("wrong ", "")
    assert not folder.exists()


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    config = written(tmp_path, "http://127.0.0.1:9/v1", more=", api_key_env: NO_SUCH_KEY", prior=", prior: nowhere.npz")
    with pytest.raises(NotStarted) as refused:
        check(UpSettings(config=config, state_dir=tmp_path / "state", model_repository=MODEL_REPOSITORY))
    assert len(str(refused.value).splitlines()) == 2


OWN = ("billing", "refund")
TASKS_DIFFER = [
    (
        OWN,
        "[]",
        "version 1 of the classifier has billing, refund, which router.yaml doesn't list: neither the file nor feedback"
        " can name them. Write `tasks: [billing, refund]`",
    ),
    (
        TASKS,
        "[billing, math]",
        "router.yaml lists billing, which version 1 of the classifier doesn't have: what names it is never followed."
        " Promote a classifier that has it (`llm-router promote`), or take it out of `tasks`",
    ),
    (
        OWN,
        "[billing, refunds]",
        "version 1 of the classifier has refund, which router.yaml doesn't list: neither the file nor feedback can name it."
        " Write `tasks: [billing, refund]`; router.yaml lists refunds, which version 1 of the classifier doesn't have:"
        " what names it is never followed. Promote a classifier that has it (`llm-router promote`), or take it out of `tasks`",
    ),
]


@pytest.mark.parametrize(("has", "listed", "said"), TASKS_DIFFER)
async def test_tasks_that_differ_from_the_classifiers_are_told_by_both_and_stop_neither(
    has: tuple[str, ...], listed: str, said: str, tmp_path: Path
) -> None:
    # A file with own tasks has to start before their promotion, and after a rollback.
    config = written(tmp_path, "http://127.0.0.1:9/v1")
    config.write_text(config.read_text() + f"tasks: {listed}\n")
    repository = tmp_path / "models"
    make_artifact(repository / "classifier" / "1", tasks=has)

    result = await run(config, "--no-ask", "--model-repository", str(repository))
    assert result.exit_code == 0, result.output
    assert f"note  tasks: {said}\n" in result.output

    told: list[str] = []
    ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0, "gateway_port": 0}
    settings = UpSettings(config=config, state_dir=tmp_path / "state", model_repository=repository, **ports)
    check(settings, told.append)
    assert told == [f"tasks: {said}"]


@pytest.mark.parametrize(("has", "listed"), [(TASKS, "[]"), (TASKS, "[math]"), (OWN, "[refund, billing]")])
async def test_nothing_is_said_of_tasks_that_agree(has: tuple[str, ...], listed: str, tmp_path: Path) -> None:
    config = written(tmp_path, "http://127.0.0.1:9/v1")
    config.write_text(config.read_text() + f"tasks: {listed}\n")
    make_artifact(tmp_path / "models" / "classifier" / "1", tasks=has)
    result = await run(config, "--no-ask", "--model-repository", str(tmp_path / "models"))
    assert "note" not in result.output
    assert f"ok    tasks: {', '.join(sorted(has))}\n" in result.output
