"""No page shows a command that nothing runs: a block of commands is executed as written (tests/system/test_pages.py), names the test that
runs the same, or says what it needs that no test has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import (
    COMMANDS,
    LINE_OF_COMMAND,
    NEEDS,
    Block,
    blocks,
    page_blocks,
    says,
    telling_words,
    without_blocks,
)
from tests.docs.test_names import PAGES, ROOT

SHOWN = [page for page in PAGES if page.name not in ("CHANGELOG.md", "card.md")]
ids = [str(page.relative_to(ROOT)) for page in SHOWN]


def fault(block: Block) -> str:
    """What is wrong with a block's mark; empty where it is right."""
    if not block.mark:
        return ""  # executed
    if block.needs:
        return "" if block.needs in NEEDS else f"needs {block.needs!r}: not one of {', '.join(NEEDS)}"
    if not block.run_by:
        return f"<!-- {block.mark} -->: write `needs: …` or `run by: …`"
    if missing := [name for name in block.run_by if not (ROOT / name).is_file()]:
        return f"no file {', '.join(missing)}"
    unsaid = {
        word for word in telling_words(block) if not any(name == word or says(name, word) for name in block.run_by)
    }
    return f"{', '.join(block.run_by)} says nothing of {', '.join(sorted(unsaid))}" if unsaid else ""


@pytest.mark.parametrize("page", SHOWN, ids=ids)
def test_every_block_of_commands_is_run_or_says_why_not(page: Path) -> None:
    assert {str(block): said for block in page_blocks(page) if block.typed and (said := fault(block))} == {}


@pytest.mark.parametrize("page", SHOWN, ids=ids)
def test_commands_stand_in_blocks_of_commands(page: Path) -> None:
    """So that none is passed over: no command is in an indented block, or in one of another language."""
    text = page.read_text(encoding="utf-8")
    others = [block for block in page_blocks(page) if not block.typed and LINE_OF_COMMAND.search(block.text)]
    indented = [
        line for line in without_blocks(text).splitlines() if line.startswith("    ") and LINE_OF_COMMAND.match(line)
    ]
    assert (others, indented) == ([], [])
    assert {block.language for block in page_blocks(page)} <= {*COMMANDS, "", "text", "yaml", "json", "hcl", "mermaid"}


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("", ""),
        ("<!-- needs: cluster -->\n", ""),
        ("<!-- needs: time -->\n", "needs 'time': not one of"),
        ("<!-- later -->\n", "write `needs: …` or `run by: …`"),
        ("<!-- run by: tests/docs/test_gone.py -->\n", "no file tests/docs/test_gone.py"),
        ("<!-- run by: tests/cli/test_keys.py -->\n", "says nothing of --json, route"),
        ("<!-- run by: tests/system/test_cli.py -->\n", ""),
    ],
)
def test_a_block_that_nothing_runs_is_found(mark: str, said: str) -> None:
    (block,) = blocks(f'{mark}```sh\nA=1 llm-router route "Hi" --json\n```\n')
    assert said in fault(block)
    assert bool(said) == bool(fault(block))
