"""Which model answers when the same request is written otherwise: the share of decisions that stay.

A policy is replayed as usual. When the turn of some of the prompts comes, it is asked about their other forms, too (`classifier_training`'s
perturbations: typos, case, a greeting, instruction and text in the other order, …), with what it knows at that moment. It learns from none of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier_training.data.perturbations import PERTURBATIONS
from router_backend.bandits.query import Choice, Query
from router_backend.bandits.selection import select
from router_backend.lab.replay.encode import Contexts
from router_backend.lab.replay.runner import Grid, Replay, Setting, middle

Encode = Callable[[Sequence[str]], Contexts]


@dataclass(frozen=True, slots=True)
class Forms:
    """Other forms of some evaluated rows.

    Attributes:
        rows: the evaluated rows, INT64 [prompts].
        changed: name of a perturbation to the places in `rows` where it changes the text.
        contexts: of these, in the same order.
    """

    rows: NDArray[np.intp]
    changed: Mapping[str, NDArray[np.intp]]
    contexts: Mapping[str, Contexts]


def forms_of(replay: Replay, encode: Encode, prompts: int) -> Forms:
    """All forms of at most `prompts` evaluated rows, spread evenly; the same texts have the same forms."""
    count = len(replay.evaluated)
    rows = np.unique(np.linspace(0, count - 1, min(prompts, count)).astype(np.intp))
    changed, contexts = {}, {}
    for name, change in PERTURBATIONS.items():
        texts = [str(replay.evaluated.prompts[row]) for row in rows]
        forms = [
            change(text, np.random.default_rng(zlib.crc32(f"{name}:{text}".encode("utf-8", "replace"))))
            for text in texts
        ]
        places = np.array(
            [place for place, (form, text) in enumerate(zip(forms, texts, strict=True)) if form != text], np.intp
        )
        if len(places):
            changed[name] = places
            contexts[name] = encode([forms[place] for place in places])
    return Forms(rows, changed, contexts)


def decisions_that_stay(replay: Replay, grid: Grid, forms: Forms) -> dict[str, object]:
    """Of the grid's first policy, at its middle λ and most components, first seed.

    Returns:
        `policy`, `lambda`, `prompts` (rows of `forms` that were not in the bootstrap), `unchanged` (share of forms that the same model answers),
        `always` (share of prompts whose forms all have it), `by_perturbation` {name: share}.
    """
    setting = Setting(grid.policies[0], middle(grid.lambdas), grid.components[-1], 0)
    course = replay.episode(grid, setting.seed)
    asked: dict[int, dict[str, Query]] = {int(row): {} for row in forms.rows}
    for name, places in forms.changed.items():
        for place, query in zip(places, replay.asked(course, forms.contexts[name]), strict=True):
            asked[int(forms.rows[place])][name] = query
    policy = replay.policy(grid, setting)
    rng = np.random.default_rng(0)  # its own, so that the replay's choices are those without forms
    stays: dict[str, list[bool]] = {name: [] for name in forms.changed}
    always: list[bool] = []

    def observe(row: int, choice: Choice, quality: float, cost: float) -> None:
        if row not in asked:
            return
        same = {name: select(policy, query, rng).arm == choice.arm for name, query in asked[row].items()}
        always.append(all(same.values()))
        for name, is_same in same.items():
            stays[name].append(is_same)

    replay.run(grid, setting, observe, policy)
    every = [is_same for found in stays.values() for is_same in found]
    return {
        "policy": setting.policy,
        "lambda": setting.lambda_,
        "prompts": len(always),
        "unchanged": float(np.mean(every)) if every else None,
        "always": float(np.mean(always)) if always else None,
        "by_perturbation": {name: float(np.mean(found)) for name, found in stays.items() if found},
    }
