"""Recorded answers of public collections, in the columns that `llm-router train --routing` reads.

`answers.yaml` names each collection with its licence, where its files are, and their SHA-256. A row is `train` where the SHA-256 of its
prompt, as an integer, modulo 10 is below 5, as in all files behind the project's figures: what is trained here was never measured there.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

_TRAIN_OF_TEN = 5
# Of RouterBench's columns: `<model>` is a score, and this one what its answer cost.
_COST = "|total_cost"


class Answered(NamedTuple):
    """A prompt, the task that its collection gives it, and of each model its score in [0, 1] and its cost in USD, where known."""

    prompt: str
    task: str
    scores: Mapping[str, float]
    costs: Mapping[str, float]


def split_of(prompt: str) -> str:
    """ "train" or "eval": the same for a prompt in every file."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    return "train" if int(digest, 16) % 10 < _TRAIN_OF_TEN else "eval"


def columns(rows: list[Answered]) -> Iterator[list[str | float]]:
    """A header and the rows of a routing file; an empty place where a model's answer isn't known."""
    models = list(dict.fromkeys(model for row in rows for model in row.scores))
    priced = [model for model in models if any(model in row.costs for row in rows)]
    yield ["prompt", "task", "split", *(f"{model}__score" for model in models), *(f"{model}__cost" for model in priced)]
    for row in rows:
        scores = [row.scores.get(model, "") for model in models]
        yield [row.prompt, row.task, split_of(row.prompt), *scores, *(row.costs.get(model, "") for model in priced)]


def _table(text: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(text, newline=""))


def _routellm(text: str, file: str) -> Iterator[Answered]:
    """Columns are the prompt, and of each model whether its answer was right."""
    task = "gsm8k" if file.startswith("gsm8k") else "mmlu"
    for row in _table(text):
        scores = {
            _short(name): float(value == "True")
            for name, value in row.items()
            if name != "prompt" and value in ("True", "False")
        }
        yield Answered(row["prompt"], task, scores, {})


def _routerbench(text: str, _: str) -> Iterator[Answered]:
    """Prompts are written as a Python list of texts, nearly always one; each model has a score and what its answer cost."""
    for row in _table(text):
        models = [name.removesuffix(_COST) for name in row if name.endswith(_COST)]
        scores = {_short(model): min(1.0, max(0.0, float(row[model]))) for model in models if row[model]}
        costs = {_short(model): float(row[model + _COST]) for model in models if row[model + _COST]}
        yield Answered("\n".join(ast.literal_eval(row["prompt"])), row["eval_name"], scores, costs)


def _short(model: str) -> str:
    """The name without its owner, so that both collections mean the same model by the same name."""
    return model.rpartition("/")[2]


ANSWER_READERS: dict[str, Callable[[str, str], Iterator[Answered]]] = {
    "routellm": _routellm,
    "routerbench": _routerbench,
}
