"""Every command that a page shows is one that its reader can type: the command, its options and the targets of make exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router_backend.cli.main import app
from tests.docs.blocks import blocks, commands
from tests.docs.test_names import PAGES, ROOT

# Commands within a sentence.
_INLINE = re.compile(r"`((?:\.venv/bin/)?llm-router [^`\n]+|make [a-z-]+[^`\n]*)`")
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def shown_commands(text: str) -> Iterator[list[str]]:
    """The words of each `llm-router` and `make` command of a page, without what the shell does with its output."""
    lines = [
        line
        for block in blocks(text)
        if block.typed and block.language != "python"
        for line in re.sub(r"\\\n", " ", block.text).splitlines()
    ]
    for line in (*lines, *_INLINE.findall(text)):
        yield from (words for words in commands(line) if Path(words[0]).name in ("llm-router", "make"))


def refusal(words: list[str]) -> str:
    """What the command line answers to a command or an option that doesn't exist; empty where it takes them.

    `--help` behind them is acted on when all options are known, so nothing runs.
    """
    ends = ([], ["1"]) if words[-1].startswith("--") else ([],)  # a sentence names an option without its value
    results = [CliRunner().invoke(app, [*words[1:], *end, "--help"]) for end in ends]
    return "" if any(result.exit_code == 0 for result in results) else results[0].output


def shown(text: str) -> bool:
    return any(shown_commands(text))


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md" and shown(page.read_text())],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_what_a_page_tells_to_type_exists(page: Path) -> None:
    wrong = []
    for words in shown_commands(page.read_text(encoding="utf-8")):
        if words[0] == "make":
            targets = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)]
            wrong += [f"make {target}" for target in targets if target not in _TARGETS]
            continue
        if "…" in words or "..." in words or len(words) == 1:
            continue
        if told := refusal(words):
            wrong.append(f"{' '.join(words)}: {told}")
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\nllm-router upp\n```", "Did you mean up?"),
        ("```sh\nA=1 llm-router up --gateway-prot 1 | tee log\n```", "No such option: --gateway-prot"),
        ("Type `llm-router state shw` now.", "No such command 'shw'"),
        ("```sh\necho x | .venv/bin/llm-router chat --modell a -\n```", "No such option: --modell"),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, told: str) -> None:
    (words,) = shown_commands(text)
    assert told in refusal(words)
