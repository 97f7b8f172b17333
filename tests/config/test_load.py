"""`router.yaml`: what is accepted, and what a mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router_backend.config import ConfigError, load_config, parse_config
from router_backend.config.runtime import LOCAL_PROFILE, with_local_upstream

SMALLEST = """\
version: 1
models:
  - name: llama3-8b
    upstream: {kind: openai, base_url: "http://nim-llama3-8b:8000/v1", model: meta/llama3-8b-instruct}
    price: {input: 0.03, output: 0.06}
    context_window: 8192
    capabilities: [tools, json]
  - name: llama3-70b
    upstream: {kind: tensorrtllm, url: "trtllm:8001", model: ensemble, tokenizer: meta-llama/Meta-Llama-3-70B-Instruct}
    price: {input: 0.59, output: 0.79}
    context_window: 8192
default_model: llama3-8b
policy: {name: linucb, alpha: 0.3, epsilon: 0.02, components: 128, reward: {name: difference, lambda: 0.2}}
state: "sqlite:///state.db"
timeouts: {connect: 2, first_token: 30, idle: 30, total: 600}
"""


def test_the_smallest_file_of_the_readme_is_accepted() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    block = re.search(r"```yaml\n(version: 1\n.*?)```", readme, re.DOTALL)
    assert block is not None
    assert parse_config(block[1]).names == ("llama3-8b", "llama3-70b")


def test_values_arrive_under_their_names() -> None:
    config = parse_config(SMALLEST)
    assert config.names == ("llama3-8b", "llama3-70b")
    assert config.policy.reward.lambda_ == 0.2
    assert config.model("llama3-70b").upstream.kind == "tensorrtllm"


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("input: 0.59", "inptu: 0.59", 10, "models[1].price.inptu: no such setting"),
        ("input: 0.59, ", "", 10, "models[1].price.input: is required"),
        ("kind: openai", "kind: opnai", 4, "'openai', 'tensorrtllm'"),
        ("components: 128", "components: 12", 13, "32, 64, 128"),
        ("context_window: 8192\ndefault", "context_window: lots\ndefault", 11, "valid integer"),
        ("default_model: llama3-8b", "default_model: gpt", 1, "default_model names 'gpt'"),
        ("name: llama3-70b", "name: llama3-8b", 1, "listed twice"),
        ("name: llama3-70b", "name: auto", 8, "asks for routing"),
        ("connect: 2", "connect: -2", 15, "greater than 0"),
        ("sqlite:///state.db", "mysql://x", 14, "state"),
        ("price: {input: 0.03, output: 0.06}", "price: {input: 0.03, output: 0.06", 6, "not YAML"),
        ("name: difference", "name: budget", 13, "usd_per_1000"),
    ],
)
def test_a_mistake_is_told_with_its_line(before: str, after: str, line: int, said: str) -> None:
    assert before in SMALLEST
    with pytest.raises(ConfigError) as caught:
        parse_config(SMALLEST.replace(before, after, 1), "router.yaml")
    told = next(text for text in str(caught.value).splitlines() if said in text)
    assert told.startswith(f"router.yaml:{line}:")


def test_every_mistake_is_told_at_once() -> None:
    broken = SMALLEST.replace("0.03", "-1").replace("connect: 2", "connect: never")
    with pytest.raises(ConfigError) as caught:
        parse_config(broken)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "[]", "just words", "version: 1"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_config(tmp_path / "nowhere.yaml")


def test_the_local_profile_is_served_by_the_launchers_model() -> None:
    config = with_local_upstream(load_config(LOCAL_PROFILE), "http://127.0.0.1:1/v1")
    assert {model.upstream.kind for model in config.models} == {"openai"}
    assert {model.name for model in config.models} == {"nemotron-49b", "llama3-70b", "llama3-8b"}
