"""`llm-router replay`, `bootstrap` and `evaluate-policy`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from router_backend.bandits.statistics.prior import Prior
    from router_backend.lab.replay.datasets import RoutingData
    from router_backend.lab.replay.encode import Contexts
    from router_backend.lab.replay.log_policy import LogEvaluation
    from router_backend.lab.replay.runner import Grid, Replay

DataFile = Annotated[
    Path, typer.Argument(help="CSV or Parquet: prompt, task, <model>__score, <model>__cost.", exists=True)
]
Models = Annotated[str, typer.Option(help="Models of the file, by comma; default: all of them.")]
ContextOption = Annotated[
    str, typer.Option(help="The artifact's folder (default: the one that is served), or `tfidf` for the baseline.")
]
Workers = Annotated[int, typer.Option(help="Processes; default: one per core.", min=1)]
CORES = os.cpu_count() or 1


def replay(
    data: DataFile,
    models: Models = "",
    policies: Annotated[
        str, typer.Option(help="By comma, or `all`. NAME-noprior starts without the prior, NAME-guard is guarded.")
    ] = "linucb,ucb1",
    lambdas: Annotated[str, typer.Option(help="Prices of cost, by comma.")] = "0.1,0.2,0.3",
    components: Annotated[str, typer.Option(help="Components of the embedding, by comma.")] = "32,64,128",
    bootstrap: Annotated[
        float, typer.Option(help="Share of the evaluated rows that is given in full.", min=0, max=0.9)
    ] = 0.2,
    seeds: Annotated[int, typer.Option(help="Orders of the rows.", min=1)] = 5,
    out: Annotated[Path, typer.Option(help="Folder of report.json, report.md and the plots.")] = Path("replay"),
    context: ContextOption = "",
    prior: Annotated[
        str, typer.Option(help="`train` (the file's train rows), `none`, or a file of `bootstrap`.")
    ] = "train",
    prior_weight: Annotated[
        float | None,
        typer.Option(
            help="Observations that the prior counts for at most, per arm; default: what suits the bootstrap rows."
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Width of the confidence bound.", min=0)] = 0.1,
    epsilon: Annotated[float, typer.Option(help="Exploration floor.", min=0, max=1)] = 0.0,
    scenarios: Annotated[str, typer.Option(help="By comma, `all` or `none`.")] = "all",
    judge_accuracy: Annotated[
        float | None, typer.Option(help="Also replay a judge that gets this share of its grades right.", min=0, max=1)
    ] = None,
    judge_share: Annotated[float, typer.Option(help="Share of the answers that it grades.", max=1)] = 0.1,
    budget: Annotated[
        float | None, typer.Option(help="Also hold a budget in USD per 1,000 requests, while prompts double half-way.")
    ] = None,
    budget_per_day: Annotated[
        float | None,
        typer.Option(
            help="Also hold a budget in USD a day of 1,000 requests, while prompts double and then requests do."
        ),
    ] = None,
    perturbed: Annotated[
        int, typer.Option(help="Also say how many decisions on so many prompts stay when they are written otherwise.")
    ] = 0,
    log: Annotated[
        Path | None, typer.Option(help="Also write a decision log of the first policy, for evaluate-policy.")
    ] = None,
    workers: Workers = CORES,
) -> None:
    """Replay recorded answers: policies, baselines, the hull of the single models, scenarios.

    Rows with split == train are learned from beforehand, all others are evaluated.

    Example: llm-router replay answers.parquet --models small,large --policies linucb,lints,ucb1
    """
    from router_backend.lab.replay.datasets import load_routing_data
    from router_backend.lab.replay.output import learning_curves, write_report
    from router_backend.lab.replay.policies import Tuning
    from router_backend.lab.replay.replayed_log import replayed_log
    from router_backend.lab.replay.runner import Replay, parse_grid, run_grid, settings
    from router_backend.lab.replay.summary import summarise

    routing = load_routing_data(data, words(models) or None)
    judge = None if judge_accuracy is None else (judge_accuracy, judge_share)
    grid = parse_grid(
        words(policies),
        words(lambdas),
        words(components),
        seeds,
        bootstrap,
        words(scenarios),
        judge,
        budget,
        budget_per_day,
    )
    with progress_bar() as bar:
        contexts, described = encoded(routing, context, bar, workers)
        setup = Replay(
            routing, contexts, Tuning(alpha, epsilon, prior_weight=prior_weight), _prior(prior, routing, contexts)
        )
        task = bar.add_task("replaying", total=len(settings(grid)))
        runs = run_grid(setup, grid, workers, lambda: bar.advance(task))
        task = bar.add_task("intervals and plots", total=None)
        report = summarise(setup, grid, runs)
        report["data"] |= {"context": described, "title": routing.name}
        if perturbed:
            report["stability"] = _stability(setup, grid, context, perturbed, workers)
        write_report(report, learning_curves(setup, grid, runs), out)
        if log is not None:
            replayed_log(setup, grid, log)
        bar.update(task, total=1, completed=1)
    _print_headline(report)
    typer.echo(f"{out / 'report.md'}, report.json and plots written")


def _stability(setup: Replay, grid: Grid, context: str, prompts: int, workers: int) -> dict[str, object]:
    from router_backend.lab.replay.encode import artifact_contexts
    from router_backend.lab.replay.perturbed import decisions_that_stay, forms_of

    if context == "tfidf":
        raise ValueError("--perturbed needs an artifact as the context: TF-IDF is fitted on the file's own texts")
    folder = Path(context) if context else _served_artifact()
    forms = forms_of(setup, lambda texts: artifact_contexts(texts, folder, workers=workers), prompts)
    return decisions_that_stay(setup, grid, forms)


def bootstrap(
    data: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet: prompt, task, <model>__score, <model>__cost.", exists=True)
    ] = None,
    models: Models = "",
    out: Annotated[Path, typer.Option(help="The file that `policy.prior` names.")] = Path("prior.npz"),
    context: ContextOption = "",
    ridge: Annotated[float | None, typer.Option(help="Ridge penalty; default: by cross-validation.", min=1e-9)] = None,
    rename: Annotated[str, typer.Option(help="Arms' names for the file's models: `model=arm`, by comma.")] = "",
    workers: Workers = CORES,
    archived: Annotated[
        bool, typer.Option("--archived", help="From the observations in the archive of --config, in place of a file.")
    ] = False,
    since: Annotated[str, typer.Option(help="With --archived: how far back, a number with m, h, d or w.")] = "520w",
    config: Annotated[Path | None, typer.Option(help="router.yaml: the models and the archive.", exists=True)] = None,
) -> None:
    """Fit the prior of a policy on a benchmark's training split (rows with split == train), or on what a deployment has archived.

    Its weight is capped where it is used: `policy.prior_weight`, 50 observations an arm by default.

    Example: llm-router bootstrap answers.parquet --models small,large --rename small=llama3-8b,large=llama3-70b
    """
    from dataclasses import replace

    from router_backend.lab.replay.bootstrap import fit_prior
    from router_backend.lab.replay.datasets import load_routing_data

    if archived == (data is not None):
        raise ValueError("give a file of recorded answers, or --archived: one of both")
    if data is None:
        fitted, rows, described = _archived_prior(config, since, context, ridge)
        names = fitted.arms
    else:
        routing = load_routing_data(data, words(models) or None)
        learned = routing.rows(routing.train)
        if not len(learned):
            raise ValueError(f"{data}: no row has split == train; mark those that the prior may learn from")
        rows, names = len(learned), routing.models
    pairs = dict(pair.split("=", 1) for pair in words(rename) if "=" in pair)
    if unknown := sorted(set(pairs) - set(names)):
        raise ValueError(f"--rename names {unknown[0]!r}, which is none of {', '.join(names)}")
    if data is not None:
        with progress_bar() as bar:
            contexts, described = encoded(learned, context, bar, workers)
        fitted = fit_prior(learned, contexts, ridge)
    replace(fitted, arms=tuple(pairs.get(name, name) for name in fitted.arms)).save(out)
    typer.echo(
        f"{out}: prior of {', '.join(pairs.get(name, name) for name in fitted.arms)} from {rows:,} rows,"
        f" ridge {fitted.ridge:g}, context {described}"
    )


def _archived_prior(config: Path | None, since: str, context: str, ridge: float | None) -> tuple[Prior, int, str]:
    """The prior, the number of observations, and what made their contexts."""
    import time

    from router_backend.archive.events import archived_observations, latest_log
    from router_backend.archive.process import archive_place
    from router_backend.classifier.artifact import artifact_metadata
    from router_backend.config import load_config
    from router_backend.config.runtime import config_path, state_dir
    from router_backend.core.ahead import read_ahead
    from router_backend.lab.replay.archived_prior import prior_of
    from router_backend.observability.report import seconds

    settings = load_config(config or config_path())
    place = archive_place(settings, state_dir())
    space = artifact_metadata(Path(context) if context else _served_artifact()).embedding_space
    parts = read_ahead(archived_observations(place, latest_log(place)))
    sums = prior_of(parts, settings.models, space, time.time() - seconds(since))
    fitted = sums.prior(ridge)
    return fitted, sum(sums.counts[arm] for arm in fitted.arms), f"of embedding space {space}"


def evaluate_policy(
    log: Annotated[
        Path, typer.Argument(help="Decision log, JSON lines (`llm-router state export FILE --decisions`).", exists=True)
    ],
    policy: Annotated[str, typer.Option(help="Policy to judge; default: the one of --config.")] = "",
    config: Annotated[
        Path | None, typer.Option(help="router.yaml: models and the policy's parameters.", exists=True)
    ] = None,
    price: Annotated[float | None, typer.Option("--lambda", help="Price of cost.", min=0)] = None,
    alpha: Annotated[float | None, typer.Option(help="Width of the confidence bound.", min=0)] = None,
    taught: Annotated[
        float, typer.Option(help="Share of the log that teaches the policy first.", min=0, max=0.9)
    ] = 0.5,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    workers: Workers = CORES,
) -> None:
    """Estimate what a policy would have earned on logged decisions, without serving it: IPS, SNIPS, clipped IPS, direct
    method, doubly robust, each with its 95 % interval.

    Example: llm-router evaluate-policy decisions.jsonl --policy ucb1 --lambda 0.2
    """
    from router_backend.config import load_config
    from router_backend.config.policy import POLICY_SECTIONS, LinUCBPolicyConfig, policy_config
    from router_backend.lab.replay.decision_log import read_log
    from router_backend.lab.replay.log_policy import evaluate_on_log
    from router_backend.lab.replay.offpolicy import PropensityError

    loaded = load_config(config) if config else None
    fields = (loaded.policy if loaded else LinUCBPolicyConfig()).model_dump(by_alias=True)
    if policy in POLICY_SECTIONS:  # the file's settings, as far as this policy has them
        fields = {name: value for name, value in fields.items() if name in POLICY_SECTIONS[policy].model_fields}
    if policy:
        fields["name"] = policy
    if alpha is not None:
        fields["alpha"] = alpha
    if price is not None:
        fields["reward"]["lambda"] = price
    found = read_log(log)
    try:
        models = loaded.models if loaded else None
        result = evaluate_on_log(found.rows, policy_config(fields), models, taught, workers)
    except PropensityError as error:
        raise PropensityError(f"{log}: {error}") from error
    for reason, count in found.left_out.items():
        typer.echo(f"left out: {count} {reason}", err=True)
    _print_evaluation(str(fields["name"]), result, json)


def words(text: str) -> list[str]:
    """The values of an option that takes several, by comma."""
    return [word.strip() for word in text.split(",") if word.strip()]


def progress_bar() -> Progress:
    """A bar; without a terminal a line for each tenth of a task."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    class Told(Progress):
        tenths: dict[TaskID, int] = {}

        def update(self, task_id: TaskID, **changes: Any) -> None:
            super().update(task_id, **changes)
            self.tell(task_id)

        def advance(self, task_id: TaskID, advance: float = 1) -> None:
            super().advance(task_id, advance)
            self.tell(task_id)

        def tell(self, task_id: TaskID) -> None:
            task = self._tasks[task_id]
            if self.console.is_terminal or not task.total:
                return
            tenth = int(10 * task.completed / task.total)
            if tenth > self.tenths.get(task_id, 0):
                self.tenths[task_id] = tenth
                self.console.print(f"{task.description}: {task.completed:.0f} of {task.total:.0f}")

    return Told(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def encoded(data: RoutingData, wanted: str, bar: Progress, workers: int) -> tuple[Contexts, str]:
    """Contexts of all rows, and what made them."""
    import numpy as np

    from router_backend.lab.replay.encode import artifact_contexts, tfidf_contexts

    prompts = list(data.prompts)
    if wanted == "tfidf":
        fit_on = np.flatnonzero(data.train) if data.train.any() else np.arange(len(data))
        return tfidf_contexts(prompts, fit_on), "TF-IDF and SVD"
    folder = Path(wanted) if wanted else _served_artifact()
    task = bar.add_task("encoding", total=len(prompts))
    contexts = artifact_contexts(
        prompts, folder, workers=workers, progress=lambda done: bar.update(task, completed=done)
    )
    return contexts, f"artifact, embedding space {contexts.embedding_space}"


def _served_artifact() -> Path:
    from router_backend.classifier.artifact import newest_artifact
    from router_backend.classifier.repository import served_repository
    from router_backend.config.runtime import state_dir

    return newest_artifact(served_repository(state_dir()) / "classifier")


def _prior(wanted: str, data: RoutingData, contexts: Contexts) -> Prior | None:
    from router_backend.bandits.statistics.prior import Prior
    from router_backend.lab.replay.bootstrap import fit_prior

    if wanted == "none" or (wanted == "train" and not data.train.any()):
        return None
    return fit_prior(data, contexts) if wanted == "train" else Prior.load(Path(wanted))


def _print_headline(report: dict) -> None:  # type: ignore[type-arg]
    from rich.console import Console
    from rich.table import Table

    from router_backend.lab.replay.verdict import sentence

    Console(highlight=False, soft_wrap=True).print(f"[bold]{sentence(report['verdict'])}[/bold]")
    table = Table("policy", "points above hull", "95 %", title="mean over λ")
    for name, mean in report["above_hull_mean"].items():
        table.add_row(name, f"{mean['value']:+.2f}", f"{mean['ci95'][0]:+.2f} … {mean['ci95'][1]:+.2f}")
    for name, value in report["apgr"].items():
        table.add_row(f"{name}, APGR", f"{value:.3f}", "")
    Console(highlight=False).print(table)
    if stability := report.get("stability"):
        typer.echo(
            f"{stability['policy']} at λ = {stability['lambda']:g}: {stability['unchanged']:.1%} of the decisions on"
            f" {stability['prompts']} prompts stay when these are written otherwise"
        )


def _print_evaluation(name: str, result: LogEvaluation, as_json: bool) -> None:
    from dataclasses import asdict

    import orjson
    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2).decode())
        return
    table = Table(
        "estimator",
        *result.estimates,
        title=f"{name} on {result.evaluated:,} decisions, {result.taught:,} before them taught it",
    )
    for estimator in result.estimates["reward"]:
        cells = [result.estimates[measure][estimator] for measure in result.estimates]
        table.add_row(estimator, *(f"{cell.value:.4g}  [{cell.low:.4g}, {cell.high:.4g}]" for cell in cells))
    table.add_row("the log itself", *(f"{value:.4g}" for value in result.logged.values()))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"effective sample: {result.effective:.0f} decisions")
