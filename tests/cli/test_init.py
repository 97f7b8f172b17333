"""`llm-router init`: a configuration out of what upstreams say of themselves, and do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from router_backend.cli.init import init
from router_backend.config import load_config
from router_backend.config.models import OpenAIUpstream
from tests.support.scripted_upstream import Script, ScriptedUpstream

app = typer.Typer()
app.command()(init)


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        yield server


def text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "router.yaml"


async def run(file: Path, *words: str, **options: Any) -> Result:
    command = [*words, "--output", str(file)]
    return await asyncio.to_thread(CliRunner().invoke, app, command, **options)


async def test_what_the_server_says_and_does_is_written(upstream: ScriptedUpstream, file: Path) -> None:
    upstream.models = {
        "data": [
            {"id": "nvidia/llama-3.3-nemotron-super-49b-v1.5", "max_model_len": 131072},
            {"id": "meta/llama-3.1-8b-instruct", "max_model_len": 16384},
        ]
    }

    def answer(body: Any) -> Script:
        return Script(status=400 if body.get("tools") and "8b" in body["model"] else 200)

    upstream.script_by(answer)
    result = await run(file, "--upstream", upstream.base_url)
    assert result.exit_code == 0, result.output
    config = load_config(file)
    small, large = config.models  # cheapest first
    assert (small.name, large.name) == ("llama-3.1-8b-instruct", "llama-3.3-nemotron-super-49b-v1.5")
    assert config.default_model == small.name
    assert isinstance(small.upstream, OpenAIUpstream)
    assert (small.upstream.base_url, small.upstream.model) == (upstream.base_url, "meta/llama-3.1-8b-instruct")
    assert (small.context_window, large.context_window) == (16384, 131072)
    assert (small.capabilities, large.capabilities) == ({"json"}, {"tools", "json"})
    assert 0 < small.price.blended < large.price.blended
    assert "your own machines cost something else" in text_of(file)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_each_question_has_a_short_answer(upstream: ScriptedUpstream, file: Path, name: str) -> None:
    """A small model that is asked without a limit talks for minutes, and a large one for money."""
    upstream.script_by(lambda body: Script(status=200 if name in body else 400))
    assert (await run(file, "--upstream", upstream.base_url)).exit_code == 0
    asked = [request for request in upstream.requests if name in request]
    assert [sorted({"tools", "response_format"} & set(request)) for request in asked] == [
        [],
        ["tools"],
        ["response_format"],
    ]
    assert all(0 < request[name] <= 64 for request in asked)
    assert load_config(file).models[0].capabilities == {"tools", "json"}


async def test_names_that_are_no_arms_and_prices_that_nobody_knows(upstream: ScriptedUpstream, file: Path) -> None:
    """Whatever a server calls its models, the file is valid, and says what is left to do."""
    names = ["auto", "models/our own: v1", "x/our own: v1", "ünï", 'quo"te', "/", "C:\\models\\a.gguf"]
    upstream.models = {"data": [{"id": name} for name in names]}
    result = await run(file, "--upstream", upstream.base_url, "--no-check")
    assert result.exit_code == 0, result.output
    config = load_config(file)
    assert len(set(config.names)) == len(names)
    sent = [arm.upstream.model or arm.name for arm in config.models if isinstance(arm.upstream, OpenAIUpstream)]
    assert sorted(sent) == sorted(names)
    assert text_of(file).count("UNKNOWN") == len(names)
    assert result.stderr.count("nobody publishes a price") == len(names)
    assert upstream.requests == []


async def test_a_key_is_named_and_never_written(
    upstream: ScriptedUpstream, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.key = "sk-secret"
    monkeypatch.setenv("OUR_KEY", "sk-secret")
    result = await run(file, "--upstream", f"{upstream.base_url}=OUR_KEY")
    assert result.exit_code == 0, result.output
    assert 'api_key_env: "OUR_KEY"' in text_of(file)
    assert "sk-secret" not in text_of(file) + result.output
    assert all(headers["Authorization"] == "Bearer sk-secret" for headers in upstream.request_headers)


async def test_a_model_that_does_not_answer_is_said_to(upstream: ScriptedUpstream, file: Path) -> None:
    upstream.script(Script(status=503, error={"message": "still\nloading #"}))
    result = await run(file, "--upstream", upstream.base_url)
    assert result.exit_code == 0, result.output
    assert "no answer (503: still loading #)" in result.stderr
    assert load_config(file).names == ("upstream-model",)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>\n<title>Sign in\x1b</title>", "application/json: <html> <title>Sign in </title>"),
        (b'{"choices": []}', 'application/json: {"choices": []}'),
        (b'{"choices": [{"text": "yes"}]}', "application/json"),
        (b"[" * 5000, "application/json: [["),
        (b"", "application/json, empty"),
    ],
)
async def test_a_200_without_a_chat_completion_is_no_answer(
    upstream: ScriptedUpstream, file: Path, body: bytes, says: str
) -> None:
    upstream.script(Script(body=body))
    result = await run(file, "--upstream", upstream.base_url)
    assert result.exit_code == 0, result.output
    assert f"no answer (200, with no chat completion, but {says}" in result.stderr
    assert "it didn't answer (200, with no chat completion" in text_of(file)
    assert load_config(file).names == ("upstream-model",)


async def test_what_a_model_answers_with_something_else_it_cannot(upstream: ScriptedUpstream, file: Path) -> None:
    upstream.script_by(lambda body: Script(body=b"{}") if "tools" in body else Script())
    assert (await run(file, "--upstream", upstream.base_url)).exit_code == 0
    assert load_config(file).models[0].capabilities == {"json"}


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ({"data": [{"id": f"m{n}"} for n in range(9)]}, "choose some of its 9 models"),
        ({"data": []}, "no models"),
        ({"error": "no"}, 'no list of models, but application/json: {"error": "no"}'),
        ({"data": {}}, "no list of models"),
        ([{"name": "m"}], "no list of models"),
        ({"data": [{"id": None}]}, "no list of models"),
        ("text", "no list of models"),
        (b"<html>\x1b[31mSign in</html>", "no list of models, but application/json: <html> [31mSign in</html>;"),
        ({"data": [{"id": "\ud800"}]}, "no list of models"),
    ],
    ids=[
        "many",
        "none",
        "no data",
        "no list",
        "no id",
        "a name that is none",
        "no object",
        "a page",
        "half a character",
    ],
)
async def test_lists_that_give_nothing_to_write(upstream: ScriptedUpstream, file: Path, models: Any, says: str) -> None:
    upstream.models = models
    result = await run(file, "--upstream", upstream.base_url)
    assert result.exit_code != 0
    assert says in f"{result.output}{result.exception}"
    assert not text_of(file)


async def test_a_list_that_is_nested_without_end(upstream: ScriptedUpstream, file: Path) -> None:
    upstream.models = b"[" * 5000 + b"]" * 5000
    result = await run(file, "--upstream", upstream.base_url)
    assert f"{upstream.base_url}/models: no list of models" in f"{result.output}{result.exception}"


async def test_a_model_that_is_listed_twice_is_one(upstream: ScriptedUpstream, file: Path) -> None:
    upstream.models = {"data": [{"id": "a", "max_model_len": 4096}, {"id": "b"}, {"id": "a"}]}
    result = await run(file, "--upstream", upstream.base_url, "--no-check")
    assert result.exit_code == 0, result.output
    assert load_config(file).names == ("a", "b")
    assert load_config(file).model("a").context_window == 4096


async def test_servers_that_cannot_be_asked(upstream: ScriptedUpstream, file: Path) -> None:
    upstream.key = "sk-secret"
    for words, says in (
        (["--upstream", upstream.base_url], "refused (401) with no key"),
        (["--upstream", f"{upstream.base_url}=UNSET_KEY"], "$UNSET_KEY isn't set"),
        (["--upstream", upstream.base_url.removesuffix("/v1")], "the base URL mostly ends in /v1"),
        (["--upstream", "http://127.0.0.1:9/v1"], "is the server running"),
        (["--upstream", "ftp://x"], "isn't http://"),
        ([], "name an upstream"),
    ):
        result = await run(file, *words)
        assert result.exit_code != 0
        assert says in " ".join(f"{result.output}{result.exception}".replace("│", "").split()), words
    assert not text_of(file)


async def test_a_file_is_replaced_only_when_asked(upstream: ScriptedUpstream, file: Path) -> None:
    await asyncio.to_thread(file.write_text, "mine")
    assert (await run(file, "--upstream", upstream.base_url, "--no-check")).exit_code == 2
    assert text_of(file) == "mine"
    assert (await run(file, "--upstream", upstream.base_url, "--no-check", "--force")).exit_code == 0
    assert load_config(file).names == ("upstream-model",)


async def test_chosen_models_only(upstream: ScriptedUpstream, file: Path) -> None:
    upstream.models = {"data": [{"id": f"m{n}"} for n in range(9)]}
    chosen = ["--model", "m3", "--model", "m5"]
    assert (await run(file, "--upstream", upstream.base_url, "--no-check", *chosen)).exit_code == 0
    assert load_config(file).names == ("m3", "m5")
    result = await run(file, "--upstream", upstream.base_url, "--no-check", "--force", "--model", "m99")
    assert result.exit_code == 2
    assert "'m99'" in result.output
