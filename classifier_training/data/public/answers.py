"""Recorded answers of public collections, in the columns that `llm-router train --routing` reads.

`answers.yaml` names each collection with its licence, where its files are, and their SHA-256. A row is `train` where the SHA-256 of its
prompt, as an integer, modulo 10 is below 5, as in all files behind the project's figures: what is trained here was never measured there.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from classifier_training.data.public.zeroeval import is_right

_TRAIN_OF_TEN = 5
# Of RouterBench's columns: `<model>` is a score, and this one what its answer cost.
_COST = "|total_cost"
# ZeroEval's data sets as its result files name them, with the names of the tasks.
_ZEROEVAL_TASKS = {"gsm": "gsm8k", "math-l5": "math-l5", "crux": "crux"}
# MMLU-Pro's files are of different months, and these questions were reworded in between. They are left out: a wording would be `train`
# where the other is measured, and each would have the answers of a part of the models.
_REWORDED = frozenset({94, 96, 120, 305, 321, 2129, 2253, 2453, 3983, 5457, 5664, 5666, 6921, 8410, 8582, 8584, 8618})


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


def joined(first: Answered, second: Answered) -> Answered:
    """A prompt of two files: the answers of the first, and those of models that only the second has."""
    new = {model: score for model, score in second.scores.items() if model not in first.scores}
    costs = {model: cost for model, cost in second.costs.items() if model in new}
    return first._replace(scores={**first.scores, **new}, costs={**first.costs, **costs})


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


def _zeroeval(text: str, file: str) -> Iterator[Answered]:
    """A file for each data set and model, `zeroeval_<data set>_<model>.json`: what was asked, the true answer, and what the model wrote."""
    _, dataset, model = Path(file).stem.split("_", 2)
    task = _ZEROEVAL_TASKS[dataset]
    for row in json.loads(text):
        prompt = row["problem" if "problem" in row else "question"]
        right = is_right(row["output"][0], str(row["answer"]), model, numbers=dataset != "crux")
        yield Answered(prompt, task, {model: float(right)}, {})


def _mmlu_pro(text: str, file: str) -> Iterator[Answered]:
    """A file for each model, `mmlu_pro_<model>.zip`: a question with up to ten options, the right letter, and `pred`, the model's."""
    model = Path(file).stem.removeprefix("mmlu_pro_")
    for row in json.loads(text):
        if row["question_id"] in _REWORDED:
            continue
        options = "".join(f"\n{chr(ord('A') + place)}. {option}" for place, option in enumerate(row["options"]))
        yield Answered(row["question"] + options, "mmlu-pro", {model: float(row["pred"] == row["answer"])}, {})


def _llmrouter(text: str, _: str) -> Iterator[Answered]:
    """Prompts of 14 data sets, which aren't named, each with the scores of all models."""
    for row in json.loads(text):
        yield Answered(
            row["question"], "llmrouter", {model: float(score) for model, score in row["scores"].items()}, {}
        )


def _short(model: str) -> str:
    """The name without its owner, so that both collections mean the same model by the same name."""
    return model.rpartition("/")[2]


ANSWER_READERS: dict[str, Callable[[str, str], Iterator[Answered]]] = {
    "routellm": _routellm,
    "routerbench": _routerbench,
    "zeroeval": _zeroeval,
    "mmlu_pro": _mmlu_pro,
    "llmrouter": _llmrouter,
}
