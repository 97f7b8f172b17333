"""The chart's README.md from its values.yaml: each value with its comment (`# --`) and default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

_HEAD = """# llm-router

Sends each LLM request to the model with the best quality for its cost, on NVIDIA Triton. `make docs` generates this page from
`values.yaml`. For the installation, see [docs/kubernetes.md](../../docs/kubernetes.md).

<!-- needs: cluster -->
```sh
helm install router helm/llm-router --namespace llm --values helm/llm-router/examples/one-gpu.yaml
helm test router --namespace llm
```

| example | |
|---|---|
{examples}

If values contradict each other, rendering fails with a message that says what to set. Examples are several Triton replicas on
SQLite, `replicas` together with an autoscaler, access from outside without API keys, a model without a server or with two, a
password in a URL, and an image tagged `latest` (`templates/_refusals.tpl` has all of them).

## Values

| value | default | meaning |
|---|---|---|
"""


def rows(node: yaml.MappingNode, lines: list[str], path: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, default, meaning): a row for each value, and for each section that has a comment."""
    for key, value in node.value:
        name = f"{path}{key.value}"
        meaning = _comment(lines, key.start_mark.line)
        section = isinstance(value, yaml.MappingNode) and not value.flow_style and value.value
        if not section:
            yield name, _default(value), meaning
            continue
        if meaning:
            yield name, "", meaning
        yield from rows(value, lines, f"{name}.")


def _comment(lines: list[str], line: int) -> str:
    """The comment right above a line, if it begins with `# --`."""
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].strip().removeprefix("#").strip())
        if found[0].startswith("-- "):
            return " ".join([found[0].removeprefix("-- "), *found[1:]])
    return ""


def _default(node: yaml.Node) -> str:
    value = yaml.constructor.SafeConstructor().construct_object(node, deep=True)
    if isinstance(value, list) and value and isinstance(value[0], dict) and "name" in value[0]:
        return ", ".join(item["name"] for item in value)
    return "" if value in (None, "") else f"`{json.dumps(value)}`"


def render(chart: Path) -> str:
    """The page of the chart in this folder."""
    text = (chart / "values.yaml").read_text()
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(tree, yaml.MappingNode)
    examples = []
    for file in sorted((chart / "examples").glob("*.yaml")):
        about = file.read_text().partition("\n")[0].removeprefix("# ")
        examples.append(f"| [{file.name}](examples/{file.name}) | {about} |")
    table = [
        f"| `{name}` | {_cell(default)} | {_cell(meaning)} |"
        for name, default, meaning in rows(tree, text.splitlines())
    ]
    return _HEAD.replace("{examples}", "\n".join(examples)) + "\n".join(table) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
