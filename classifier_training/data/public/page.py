"""docs/collections.md, written from the lists: `make docs`."""

from __future__ import annotations

from collections.abc import Iterable

from classifier_training.data.public.lists import Source, answer_sources, sources

_HEAD = """# Public collections

<!-- Written by `make docs` from classifier_training/data/public. -->

What `python -m classifier_training.data.public` reads ([how to get them](data.md#get-them)), under the names that `--source` takes. The lists in `classifier_training/data/public` have the address and the SHA-256 of each file.

Licences are as far as we know them. Read them before you train for others.
"""


def render() -> str:
    """The page."""
    prompts = sources()
    usual = [source for source in prompts if not source.only_by_name]
    named = [source for source in prompts if source.only_by_name]
    parts = [_HEAD, "## Labelled prompts\n", _table(usual)]
    if named:
        parts += [
            "## Labelled prompts, with `--source` only\n",
            "The shipped artifact is not trained on these.\n",
            _table(named),
        ]
    return "\n".join([*parts, "## Recorded answers\n", _table(answer_sources())])


def _table(listed: Iterable[Source]) -> str:
    rows = [
        f"| {source.name} | [{source.page.removeprefix('https://')}]({source.page}) | {source.licence} | {len(source.files)} |"
        for source in listed
    ]
    return "\n".join(["| name | where | licence | files |", "|---|---|---|--:|", *rows, ""])
