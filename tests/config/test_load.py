"""`router.yaml`: what is accepted, and what a mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router_backend.config import ConfigError, load_config, parse_config
from router_backend.config.runtime import LOCAL_PROFILE, with_local_upstream
from tests.support.running import PROJECT

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
        ("default_model: llama3-8b", "default_model: gpt", 12, "default_model: names 'gpt'"),
        ("name: llama3-70b", "name: llama3-8b", 8, "listed twice"),
        ("name: llama3-70b", "name: auto", 8, "asks for routing"),
        ("connect: 2", "connect: -2", 15, "greater than 0"),
        ("sqlite:///state.db", "mysql://x", 14, "state"),
        ("price: {input: 0.03, output: 0.06}", "price: {input: 0.03, output: 0.06", 6, "can't be read as YAML"),
        ("name: difference", "name: budget", 13, "policy.reward.usd_per_1000: is required"),
        ("name: linucb", "name: linucbb", 13, "policy.name: no policy is called 'linucbb'"),
        ("name: difference", "name: both", 13, "policy.reward.name: no reward is called 'both'"),
        ("alpha: 0.3", "prior_weight: .nan", 13, "policy.prior_weight: input should be greater than or equal to 0"),
        ("alpha: 0.3", "alpha: .nan", 13, "policy.alpha: input should be a finite number"),
        ("output: 0.79", "output: .inf", 10, "models[1].price.output: input should be a finite number"),
        (
            "input: 0.59, output: 0.79}",
            "input: 0.59, output: 0.79}\n    batch: true",
            11,
            "models[1].batch: a tensorrtllm upstream's lines run in idle capacity",
        ),
        ("alpha: 0.3", "table: {poetry: llama3-8b}", 13, "policy.table.poetry: unknown task"),
        ("alpha: 0.3", "table: {math: gpt}", 13, "policy.table.math: names 'gpt'"),
        ("alpha: 0.3", "table: {math: {model: gpt}}", 13, "policy.table.math.model: names 'gpt'"),
    ],
)
def test_a_mistake_is_told_with_its_line(before: str, after: str, line: int, said: str) -> None:
    assert before in SMALLEST
    with pytest.raises(ConfigError) as caught:
        parse_config(SMALLEST.replace(before, after, 1), "router.yaml")
    told = next(text for text in str(caught.value).splitlines() if said in text)
    assert told.startswith(f"router.yaml:{line}:")


@pytest.mark.parametrize(
    ("policy", "setting", "owners"),
    [
        ("name: linucb, thresholds: {llama3-8b: 0.2}", "thresholds", "complexity"),
        ("name: linucb, strong: llama3-70b", "strong", "binary"),
        ("alpha: 0.3, model: llama3-8b", "model", "fixed"),
        ("name: task, alpha: 0.3", "alpha", "linucb, lints, ucb1"),
        ("name: thompson, components: 32", "components", "linucb, lints, binary"),
        ("name: fixed, epsilon: 0.1", "epsilon", "linucb"),
        ("name: random, switch_penalty: 0.1", "switch_penalty", "linucb"),
        ("name: cascade, prior: prior.npz", "prior", "linucb"),
    ],
)
def test_a_setting_of_another_policy_is_refused(policy: str, setting: str, owners: str) -> None:
    """It used to be ignored: a file that has one hears what to delete."""
    text = SMALLEST.replace(SMALLEST.splitlines()[12], f"policy:\n  {{{policy}}}\n")
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    name = policy.split(",")[0].removeprefix("name: ") if policy.startswith("name") else "linucb"
    message = f"router.yaml:14: policy.{setting}: the policy `{name}` has no such setting, only {owners}"
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("; delete it")


def test_a_cascades_settings_are_told_with_their_own_lines() -> None:
    """The policy and one of its settings have the same name."""
    text = SMALLEST.replace(
        SMALLEST.splitlines()[12], "policy:\n  name: cascade\n  cascade:\n    threshold: 2\n  epsilon: 3\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["router.yaml:17", "policy.epsilon"],
        ["router.yaml:16", "policy.cascade.threshold"],
    ]


def test_a_setting_of_another_reward_is_refused() -> None:
    text = SMALLEST.replace("{name: difference, lambda: 0.2}", "{name: ratio, lambda: 0.2}")
    with pytest.raises(ConfigError, match=r":13: policy.reward.lambda: the reward `ratio` has no such setting"):
        parse_config(text)


@pytest.mark.parametrize(
    ("cascade", "message"),
    [
        ("{judge: llama3-70b}", "policy.cascade.judge: the scorer `heuristic` asks no judge"),
        ("{scorer: judge}", "policy.cascade.scorer: the scorer `judge` needs a model"),
        ("{order: [gpt]}", r"policy.cascade.order\[0\]: names 'gpt'"),
    ],
)
def test_a_cascade_is_checked(cascade: str, message: str) -> None:
    text = SMALLEST.replace(SMALLEST.splitlines()[12], f"policy: {{name: cascade, cascade: {cascade}}}")
    with pytest.raises(ConfigError, match=message):
        parse_config(text)


@pytest.mark.parametrize(
    ("other", "line", "message"),
    [
        ("experiments: [{name: linucb, share: 0.5, policy: {name: fixed}}]", 16, "is the name of policy too"),
        ("shadows: [{name: linucb, policy: {name: fixed}}]", 16, "is the name of policy too"),
        (
            "shadows: [{name: a, policy: {name: task}}]\nexperiments: [{name: a, share: 0.5, policy: {name: fixed}}]",
            16,
            r"is the name of experiments\[0\] too",
        ),
        ("shadows:\n- {name: a, policy: {name: task}}\n- {name: a, policy: {name: fixed}}", 18, "give each policy"),
    ],
)
def test_policies_have_names_of_their_own(other: str, line: int, message: str) -> None:
    """An experiment that is called as the main policy would take its place in `x-router-policy` and in the log."""
    with pytest.raises(ConfigError, match=rf":{line}: .*{message}"):
        parse_config(SMALLEST + other + "\n")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("max_tokens_by_task: {poetry: 10}", r"max_tokens_by_task.poetry: unknown task"),
        ("max_tokens_by_task: {math: -5}", r"max_tokens_by_task.math: .* greater than 0"),
        ("max_tokens_by_task: {math: 0}", r"max_tokens_by_task.math: .* greater than 0"),
        ("share: {min: 0.5, max: 0.2}", r"share.min: the smallest share, 0.5, is over the largest"),
        ("max_cost_usd: .nan", r"max_cost_usd: .* finite"),
    ],
)
def test_a_models_numbers_are_checked(setting: str, message: str) -> None:
    text = SMALLEST.replace("capabilities: [tools, json]", f"capabilities: [tools, json]\n    {setting}")
    with pytest.raises(ConfigError, match=rf":8: models\[0\].{message}"):
        parse_config(text)


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", ".nan"])
def test_thresholds_are_complexities(threshold: str) -> None:
    for policy in (
        f"{{name: complexity, thresholds: {{llama3-8b: {threshold}}}}}",
        f"{{name: task, table: {{math: {{model: llama3-8b, above: {{llama3-70b: {threshold}}}}}}}}}",
    ):
        with pytest.raises(ConfigError, match=r":13: policy\..*(less|greater) than|finite"):
            parse_config(SMALLEST.replace(SMALLEST.splitlines()[12], f"policy: {policy}"))


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


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    """PyYAML takes the last one in silence."""
    text = SMALLEST.replace("    context_window: 8192\n", "    context_window: 8192\n    context_window: 4096\n", 1)
    line = text.splitlines().index("    context_window: 4096") + 1
    with pytest.raises(ConfigError, match=rf":{line}: context_window stands here twice"):
        parse_config(text)


def test_an_alias_around_itself_is_an_answer_and_no_endless_search() -> None:
    with pytest.raises(ConfigError):
        parse_config("version: 1\nmodels: &m [*m]\n")


def test_lists_without_end_are_an_answer() -> None:
    with pytest.raises(ConfigError, match=r"router\.yaml:2: can't be read as YAML: nested more than 100 levels deep"):
        parse_config(f"version: 1\nmodels: {'[' * 2000}{']' * 2000}\n")


def test_a_task_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tasks\[1\]: the task 'triage' is listed twice"):
        parse_config(SMALLEST + "\ntasks: [triage, triage]\n")


def test_a_keys_group_is_one_of_the_groups() -> None:
    text = "version: 1\nmodels: [{name: a, upstream: {kind: openai, base_url: 'http://a/v1', model: a}, price: {input: 1, output: 1}, context_window: 9}]\ndefault_model: a\n"
    key = f"security:\n  api_keys:\n    - name: k\n      sha256: '{'0' * 64}'\n      group: team\n"
    team = "  groups:\n    - {name: team, tokens_per_minute: 5}\n"
    assert parse_config(text + key + team).security.groups[0].tokens_per_minute == 5
    with pytest.raises(ConfigError, match=r":8: security.api_keys\[0\].group: names the group 'team'"):
        parse_config(text + key)
    with pytest.raises(ConfigError, match="'team' is listed twice"):
        parse_config(text + key + team + team.partition("\n")[2])


@pytest.mark.parametrize("file", sorted((PROJECT / "deploy/examples").glob("*.yaml")), ids=lambda file: file.name)
def test_examples_are_right(file: Path) -> None:
    assert load_config(file).names
