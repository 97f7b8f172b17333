"""A replay written as a decision log: what `evaluate-policy` can be tried on, with the truth at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from router_backend.bandits.query import Choice
from router_backend.core.records import Decision
from router_backend.lab.replay.decision_log import Scored, write_log
from router_backend.lab.replay.procedure import QUERIES_A_DAY
from router_backend.lab.replay.runner import Grid, Replay, Setting, middle

# Under this floor the weights of rare arms would be too large to say anything.
MIN_EPSILON = 0.2


def replayed_log(replay: Replay, grid: Grid, path: Path) -> int:
    """Log the first policy of the grid, at the middle λ and with a floor of at least MIN_EPSILON; how many decisions."""
    tuning = replace(replay.tuning, epsilon=max(replay.tuning.epsilon, MIN_EPSILON))
    logging = Replay(replay.data, replay.contexts, tuning, replay.prior)
    setting = Setting(grid.policies[0], middle(grid.lambdas), grid.components[-1], seed=0)
    rows: list[Scored] = []

    def observe(row: int, choice: Choice, quality: float, cost: float) -> None:
        names, seen = replay.data.models, replay.seen
        probabilities = seen.task_probabilities[row]
        decision = Decision(
            decision_id=f"replay-{len(rows)}",
            created=len(rows) * 86_400.0 / QUERIES_A_DAY,
            kind="routed",
            model=names[choice.arm],
            reason=choice.reason,
            policy=setting.policy,
            task=seen.tasks[int(probabilities.argmax())],
            task_probabilities=tuple(map(float, probabilities)),
            complexity=float(seen.complexity[row]),
            embedding_space=seen.embedding_space,
            context=seen.context[row],
            candidates=tuple(names[arm] for arm in choice.candidates),
            scores=tuple(map(float, choice.scores)),
            propensity=choice.resolve(),
        )
        rows.append(Scored(decision, quality, cost))

    logging.run(grid, setting, observe)
    write_log(path, rows)
    return len(rows)
