"""The blocks of the pages, and what stands above a block of commands: `<!-- needs: cluster -->` or `<!-- run by: tests/… -->`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.test_names import PAGES, ROOT

COMMANDS = ("sh", "bash", "console", "python")
"""Languages of blocks that a reader types or runs; all others are files, formulas and drawings."""
NEEDS = {
    "cluster": "a Kubernetes cluster",
    "GPU": "a GPU",
    "AWS": "an AWS account, or another cloud's",
    "containers": "a container engine and a registry",
    "public records": "data that the project doesn't hold; docs/data.md says where it is from",
    "hours": "a machine for itself, for a quarter of an hour or more",
}
_BLOCK = re.compile(r"^( *)(?:<!-- (.+?) -->\n *)?```([\w-]*)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_PROGRAM = (
    r"(?:\$ )?(?:\w+=\S+ +)*(?:\S*/)?(?:llm-router|make|pip|python3?|curl|kubectl|helm|docker|aws|terraform|accelerate)"
)
LINE_OF_COMMAND = re.compile(rf"^ *{_PROGRAM} +[\w'./-]", re.MULTILINE)
_GROUPS = ("state", "keys", "bench")  # commands with subcommands
_SEPARATORS = {"|", "||", "&&", ";", "&", "(", ")", "<", ">", ">>", "2>", "$("}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `mark` is the comment on the line above it, without its signs; empty where there is none."""

    page: str
    line: int
    language: str
    text: str
    mark: str

    @property
    def typed(self) -> bool:
        return self.language in COMMANDS

    @property
    def needs(self) -> str:
        return self.mark.removeprefix("needs: ") if self.mark.startswith("needs: ") else ""

    @property
    def run_by(self) -> tuple[str, ...]:
        """Paths of the files that run it."""
        return tuple(self.mark.removeprefix("run by: ").split(", ")) if self.mark.startswith("run by: ") else ()

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(text: str, page: str = "") -> list[Block]:
    found = []
    for match in _BLOCK.finditer(text):
        indent, mark, language, body = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, re.sub(rf"^{indent}", "", body, flags=re.MULTILINE), mark or ""))
    return found


def page_blocks(page: Path) -> list[Block]:
    return blocks(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))


def without_blocks(text: str) -> str:
    return _BLOCK.sub("", text)


def executed() -> dict[str, list[Block]]:
    """By page, the blocks that tests/system/test_pages.py runs: all that are typed and carry no mark."""
    found = {str(page.relative_to(ROOT)): [b for b in page_blocks(page) if b.typed and not b.mark] for page in PAGES}
    return {page: blocks for page, blocks in found.items() if blocks}


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line, without variables before it and what the shell does with its output."""
    reader = shlex.shlex(line.strip().replace("$(", " ( "), posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    try:
        words = list(reader)
    except ValueError:  # a quote that goes on in the next line
        return
    current: list[str] = []
    for word in [*words, ";"]:
        if word in _SEPARATORS or set(word) <= set("();<>|&"):
            if current:
                yield current
            current = []
        elif current or not re.fullmatch(r"[A-Za-z_]+=.*", word):
            current.append(word)


def telling_words(block: Block) -> set[str]:
    """What a file that runs the block must say: programs, subcommands and options; of Python the methods that are called."""
    if block.language == "python":
        return {call.partition(".")[2] for call in re.findall(r"\b[a-z]\w*(?:\.\w+)+(?=\()", block.text)}
    found: set[str] = set()
    for line in re.sub(r"\\\n", " ", block.text).splitlines():
        for words in commands(line):
            program, rest = Path(words[0]).name, words[1:]
            if program == "make":
                found |= {f"make {word}" for word in rest if re.fullmatch(r"[\w./-]+", word)}
            elif program == "llm-router":
                found |= set(rest[: 2 if rest[0] in _GROUPS else 1]) | {word for word in rest if word.startswith("--")}
            elif program.startswith("python") and rest[:1] == ["-m"]:
                found |= {word for word in rest if word.startswith("tests/")} if rest[1] == "pytest" else {rest[1]}
            else:
                found.add(program)
    return found


def says(name: str, word: str) -> bool:
    """Whether a file of the project has the word; a test must have it as a string of its own, as arguments of a command are."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".py") and re.fullmatch(r"[a-z-]+", word):
        return f'"{word}"' in text or f"import {word}" in text
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None
