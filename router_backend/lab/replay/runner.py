"""Plays the grid of policies × λ × components × seeds × scenarios on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

import numpy as np

from router_backend.bandits.policy import Policy
from router_backend.bandits.query import Query
from router_backend.bandits.statistics.prior import Prior
from router_backend.contract import COMPONENT_CHOICES
from router_backend.lab.replay.baselines import cost_scale
from router_backend.lab.replay.bootstrap import suited_to, without
from router_backend.lab.replay.datasets import RoutingData
from router_backend.lab.replay.encode import Contexts
from router_backend.lab.replay.measures import Run
from router_backend.lab.replay.policies import CONTEXTUAL, REPLAYED, Recipe, Tuning, make
from router_backend.lab.replay.procedure import Episode, Observer, episode, play, queries
from router_backend.lab.replay.scenarios import SCENARIOS, Scenario, paced, paced_by_day, scored_by_a_judge

# Suffix of a policy that starts without the prior that the others have.
NO_PRIOR = "-noprior"
# Suffix of a policy that forgets: half of the evidence in a replay's day.
FORGETS = "-discount"
_DISCOUNT = 0.5
# Suffix of a policy that leaves the best single model only where that surely pays.
GUARDED = "-guard"


@dataclass(frozen=True, slots=True)
class Grid:
    """What is replayed. Names of policies may end in NO_PRIOR, FORGETS or GUARDED, or in some of them."""

    policies: tuple[str, ...]
    lambdas: tuple[float, ...] = (0.1, 0.2, 0.3)
    components: tuple[int, ...] = (32, 64, 128)
    seeds: int = 5
    bootstrap: float = 0.2
    scenarios: tuple[str, ...] = tuple(name for name in SCENARIOS if name != "stationary")
    judge: tuple[float, float] | None = None  # accuracy, and share of the answers; None: no judge is replayed
    budget: float | None = None  # USD per 1,000 requests; None: none is held
    by_day: float | None = None  # USD a day; None: none is held

    def scenario(self, name: str) -> Scenario:
        """By its name; those of a judge and of a budget are the grid's own."""
        own = (
            scored_by_a_judge(*(self.judge or (1.0, 1.0)))
            | paced(self.budget or 1.0)
            | paced_by_day(self.by_day or 1.0)
        )
        return SCENARIOS.get(name) or own[name]


@dataclass(frozen=True, slots=True)
class Setting:
    """One run."""

    policy: str
    lambda_: float
    components: int
    seed: int
    scenario: str = "stationary"


def base_name(policy: str) -> str:
    """The configured name of a policy of the grid."""
    name, *suffixes = policy.split("-")
    known = all(f"-{suffix}" in (NO_PRIOR, FORGETS, GUARDED) for suffix in suffixes)
    return name if known else policy


def middle(values: tuple[float, ...] | tuple[int, ...]) -> float:
    """The value that scenarios and curves are shown at."""
    return sorted(values)[len(values) // 2]


@dataclass(slots=True)
class Replay:
    """Data, contexts and parameters of a replay; `evaluated` are the rows that policies are asked about."""

    data: RoutingData
    contexts: Contexts
    tuning: Tuning
    prior: Prior | None = None
    scale: float = field(init=False)  # USD: what λ is the price of; from `train` rows where there are any
    evaluated: RoutingData = field(init=False)
    seen: Contexts = field(init=False)
    _suited: dict[int, tuple[Prior, float]] = field(init=False, default_factory=dict)  # by seed

    def __post_init__(self) -> None:
        rows = np.flatnonzero(~self.data.train)
        self.evaluated, self.seen = self.data.rows(rows), self.contexts.rows(rows)
        known = self.data.rows(self.data.train) if self.data.train.any() else self.evaluated
        self.scale = cost_scale(known.cost)

    def episode(self, grid: Grid, seed: int) -> Episode:
        return episode(len(self.evaluated), grid.bootstrap, seed)

    def policy(self, grid: Grid, setting: Setting) -> Policy:
        """The policy of a setting as it is before the first query."""
        scenario = grid.scenario(setting.scenario)
        course = self.episode(grid, setting.seed)
        known, seen = self.evaluated.rows(course.bootstrap), self.seen.rows(course.bootstrap)
        prior, weight = self._prior(setting, scenario, course)
        recipe = Recipe(
            name=base_name(setting.policy),  # type: ignore[arg-type]  # checked by the configuration's schema
            lambda_=setting.lambda_,
            components=setting.components,
            prior=prior,
            prior_weight=weight,
            discount_per_day=_DISCOUNT if FORGETS in setting.policy else 1.0,
            guarded=GUARDED in setting.policy,
            budget=scenario.budget,
            by_day=scenario.by_day,
        )
        return make(recipe, self.tuning, known, seen, self.scale, self.priced(course))

    def priced(self, course: Episode) -> RoutingData:
        """The rows whose mean costs stand for the models' prices. Prices are public, so without a bootstrap they are known as well."""
        known = self.evaluated.rows(course.bootstrap)
        return known if len(known) else self.evaluated

    def asked(self, course: Episode, seen: Contexts) -> list[Query]:
        """What policies are asked, for each row of `seen`."""
        return queries(seen, len(self.evaluated.models), self.priced(course).cost.mean(0))

    def run(self, grid: Grid, setting: Setting, observe: Observer | None = None, policy: Policy | None = None) -> Run:
        """Play one setting; an observer that asks the policy itself makes it first, by `policy`."""
        scenario = grid.scenario(setting.scenario)
        course = self.episode(grid, setting.seed)
        policy = policy or self.policy(grid, setting)
        return play(
            policy,
            self.asked(course, self.seen),
            self.evaluated,
            course,
            scenario,
            seed=_stable(setting.policy),
            observe=observe,
        )

    def _prior(self, setting: Setting, scenario: Scenario, course: Episode) -> tuple[Prior | None, float]:
        """The prior that a run starts with, and its weight."""
        if self.prior is None or NO_PRIOR in setting.policy:
            return None, 0.0
        if course.seed not in self._suited:
            self._suited[course.seed] = self._suit(self.prior, course)
        prior, weight = self._suited[course.seed]
        if scenario.joins_at is None:
            return prior, weight
        best = int(self.evaluated.quality[course.online].mean(0).argmax())
        return without(prior, self.evaluated.models[best]), weight

    def _suit(self, prior: Prior, course: Episode) -> tuple[Prior, float]:
        if self.tuning.prior_weight is not None:
            return prior, self.tuning.prior_weight
        known = self.evaluated.rows(course.bootstrap)
        return suited_to(prior, known, self.seen.rows(course.bootstrap))


def _stable(name: str) -> int:
    return int.from_bytes(name.encode(), "big") % (1 << 31)


def parse_grid(
    policies: Sequence[str],
    lambdas: Sequence[str],
    components: Sequence[str],
    seeds: int,
    bootstrap: float,
    scenarios: Sequence[str],
    judge: tuple[float, float] | None = None,
    budget: float | None = None,
    by_day: float | None = None,
) -> Grid:
    """A grid from the command line's lists.

    Raises:
        ValueError: an unknown policy or scenario, or a number out of range.
    """
    names = REPLAYED if list(policies) == ["all"] else tuple(policies)
    if unknown := [name for name in names if base_name(name) not in REPLAYED]:
        raise ValueError(f"--policies: no policy {unknown[0]!r}; there are {', '.join(REPLAYED)}")
    places = tuple(name for name in SCENARIOS if name != "stationary")
    chosen = {"all": places, "none": ()}.get(",".join(scenarios), tuple(scenarios))
    if unknown := [name for name in chosen if name not in places]:
        raise ValueError(f"--scenarios: no scenario {unknown[0]!r}; there are {', '.join(places)}")
    prices = tuple(sorted({float(word) for word in lambdas}))
    sizes = tuple(sorted({int(word) for word in components}))
    if not names or not prices or prices[0] < 0:
        raise ValueError("--policies and --lambdas need at least one value each, and no λ is below 0")
    if not sizes or not set(sizes) <= set(COMPONENT_CHOICES):
        raise ValueError(f"--components: choose of {', '.join(map(str, COMPONENT_CHOICES))}")
    if judge:
        chosen = (*chosen, *scored_by_a_judge(*judge))
    if budget is not None:
        chosen = (*chosen, *paced(budget))
    if by_day is not None:
        chosen = (*chosen, *paced_by_day(by_day))
    return Grid(tuple(dict.fromkeys(names)), prices, sizes, seeds, bootstrap, chosen, judge, budget, by_day)


def settings(grid: Grid) -> list[Setting]:
    """Every run of a grid; policies that read no embedding run once for all components."""
    found = []
    for policy in grid.policies:
        sizes = grid.components if base_name(policy) in CONTEXTUAL else grid.components[-1:]
        found += [
            Setting(policy, lambda_, size, seed)
            for lambda_ in grid.lambdas
            for size in sizes
            for seed in range(grid.seeds)
        ]
        found += [
            Setting(policy, middle(grid.lambdas), sizes[-1], seed, scenario)
            for scenario in grid.scenarios
            for seed in range(grid.seeds)
        ]
    return found


_replay: Replay
_grid: Grid


def _start(replay: Replay, grid: Grid) -> None:
    global _replay, _grid
    _replay, _grid = replay, grid


def _run(setting: Setting) -> Run:
    return _replay.run(_grid, setting)


def run_grid(
    replay: Replay, grid: Grid, workers: int, progress: Callable[[], None] = lambda: None
) -> dict[Setting, Run]:
    """All runs of a grid, in `workers` processes; `progress` is called after each."""
    return dict(_runs(replay, grid, workers, progress))


def _runs(replay: Replay, grid: Grid, workers: int, progress: Callable[[], None]) -> Iterator[tuple[Setting, Run]]:
    todo = settings(grid)
    if workers <= 1:
        for setting in todo:
            yield setting, replay.run(grid, setting)
            progress()
        return
    # The matrices are small: a second BLAS thread per process would only take the core from another run.
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (replay, grid)) as pool:
        waiting = {pool.submit(_run, setting): setting for setting in todo}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
            progress()
