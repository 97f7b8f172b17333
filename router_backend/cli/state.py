"""`llm-router state`: what the state store holds, copies of it, and a fresh start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from router_backend.cli.options import DEFAULT_CONFIG, DEFAULT_STATE_DIR, Config, StateDir
from router_backend.config import RouterConfig, load_config
from router_backend.learning.changes import found_in
from router_backend.observability import judging
from router_backend.observability.report import seconds
from router_backend.state.open import open_store
from router_backend.state.store import Store
from router_backend.state.transfer import export_decisions, export_state, import_state

if TYPE_CHECKING:
    from router_backend.classifier.space_map import SpaceMap

state = typer.Typer(add_completion=False, no_args_is_help=True, help="Look at, copy and reset what was learned.")


@state.command()
def show(
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Decisions and feedback by model, the length of the log of learning, when models were found changed, and how far judge and
    signals agree with people.

    Example: llm-router state show --json
    """
    with _store(config, state_dir) as store:
        parsed, counts = load_config(config), store.counts()
        models = {name: counts.get(name, {"decisions": 0, "feedback": 0}) for name in parsed.names}
        models |= counts  # models that were removed from the configuration keep their counts
        if counts and not set(counts) & set(parsed.names):  # it is the state of another configuration
            models = counts
        events, mark = store.event_count(), store.compaction().mark()
        end, readers = store.log_end(), store.compaction().readers()
        with Console(stderr=True).status("reading the log of learning …"):
            all_changes, agreements = found_in(store, parsed, _classifier(state_dir)[1] if mark else None)
            changes = {name: found for name, found in all_changes.items() if found}
    if as_json:
        described = {name: [change._asdict() for change in found] for name, found in changes.items()}
        sources = {name: agreement._asdict() for name, agreement in agreements.items()}
        shown = {
            "models": models,
            "events": events,
            "compacted": mark,
            "routers": [{"name": each.name, "behind": end - each.sequence} for each in readers],
            "changes": described,
            "sources": sources,
        }
        typer.echo(orjson.dumps(shown).decode())
        return
    table = Table(box=None, pad_edge=False)
    for title, justify in (("model", "left"), ("decisions", "right"), ("feedback", "right")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for name, count in models.items():
        table.add_row(name, f"{count['decisions']:,}", f"{count['feedback']:,}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"{events:,} {'observation' if events == 1 else 'observations'} learned from"
        + (f", those up to number {mark:,} are in the archive alone" if mark else "")
    )
    if readers:
        most = max(end - reader.sequence for reader in readers)
        console.print(
            f"read by {len(readers)} {'router' if len(readers) == 1 else 'routers'}; the slowest was {most:,} from the log's end, at most 15 seconds ago"
        )
    for name, found in changes.items():
        for change in found:
            when = datetime.fromtimestamp(change.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
            console.print(
                f"{name} was found changed since {when}: quality {change.shift:+.2f} in {change.observations:,} answers"
            )
    for name, agreement in agreements.items():
        console.print(
            f"{name} agrees with people in {agreement.agreement:.0%} of {agreement.pairs:,} answers that both have scored"
            f" (bias {agreement.bias:+.2f}); one of its scores weighs {agreement.weight:.2f} of somebody's"
        )


@state.command()
def judge(
    since: Annotated[str, typer.Option(help="How far back: a number with m, h, d or w.")] = "4w",
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """How the judge grades: whether the place, the length or the author of an answer moves it.

    Example: llm-router state judge --since 2w
    """
    start = time.time() - seconds(since)
    with _store(config, state_dir) as store:
        report = judging.judge_report(judging.grades_in(store.archive().records(), start))
    typer.echo(orjson.dumps(report.plain()).decode() if as_json else judging.text(report))


@state.command()
def export(
    file: Annotated[Path, typer.Argument(help="JSON lines; compressed if the name ends in .gz.")],
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Only the decision log with its scores, for evaluate-policy.")
    ] = False,
    archived: Annotated[
        bool, typer.Option("--archived", help="With --decisions: from the archive, which goes back further.")
    ] = False,
    since: Annotated[str, typer.Option(help="With --archived: how far back, a number with m, h, d or w.")] = "4w",
) -> None:
    """Copy everything that is kept to a file, while the routers run. Observations that are in the archive alone are part of it.

    Example: llm-router state export backup.jsonl.gz
    """
    if archived:
        if not decisions:
            raise ValueError(
                "--archived needs --decisions: the archive holds decisions, and no store that could be imported"
            )
        typer.echo(f"{file}: {_export_archived(file, load_config(config), state_dir, since):,} decisions", err=True)
        return
    with _store(config, state_dir) as store:
        count = export_decisions(store, file) if decisions else _export(store, file, load_config(config), state_dir)
    # A device or pipe may be standard output itself.
    typer.echo(f"{file}: {count:,} {'decisions' if decisions else 'records'}", err=not file.is_file())


@state.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Written by `llm-router state export`.")],
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
) -> None:
    """Copy an export into an empty store, of either kind: so SQLite moves to Redis and back.

    Example: llm-router state import backup.jsonl.gz
    """
    with _store(config, state_dir, create=True) as store, Console(stderr=True).status("importing …") as status:
        count = import_state(store.archive(), file, lambda done: status.update(f"importing … {done:,}"))
    typer.echo(f"{file}: {count:,} records")


@state.command()
def reset(
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Remove all decisions and all that was learned. Routers that run keep what they know until they restart.

    Example: llm-router state export backup.jsonl && llm-router state reset
    """
    with _store(config, state_dir) as store:
        decided = sum(count["decisions"] for count in store.counts().values())
        question = f"Remove {decided:,} decisions and {store.event_count():,} observations for good?"
        if not yes and not typer.confirm(question):
            raise typer.Exit(1)
        store.archive().clear()
    typer.echo("The state is empty. Restart the routers, so that they forget, too.")


@state.command()
def rebuild(
    config: Config = DEFAULT_CONFIG,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    artifact: Annotated[
        Path | None, typer.Option(help="The classifier's folder; default: the one that is served.", file_okay=False)
    ] = None,
) -> None:
    """Learn everything again by this configuration, from the archive and the store, and leave it as a checkpoint for routers.

    Before or after a change by which old observations are learned otherwise: components, a discount, other models, another classifier.
    Routers take it at their next start, and those that wait for it within half a minute.

    Example: llm-router state rebuild --config router.yaml
    """
    from router_backend.learning.rebuild import rebuild as learn_again

    (space, space_map, tasks), began = _classifier(state_dir, artifact), time.monotonic()
    with _store(config, state_dir) as store, Console(stderr=True).status("learning …") as status:
        done = learn_again(
            store,
            load_config(config),
            state_dir,
            space,
            space_map,
            lambda count: status.update(f"learning … {count:,}"),
            tasks,
        )
    seconds = time.monotonic() - began
    typer.echo(
        f"{done.archived + done.kept:,} observations learned ({done.archived:,} from the archive) in {seconds:.1f} s;"
        + (" a checkpoint is written" if done.written else " there is a checkpoint as late as that already")
    )
    if done.missing:
        typer.echo(f"{done.missing:,} observations are neither in the archive nor in the store", err=True)


def _classifier(state_dir: Path, artifact: Path | None = None) -> tuple[int, SpaceMap | None, tuple[str, ...]]:
    """The embedding space of a classifier, what carries observations of an earlier one over, and its tasks."""
    from router_backend.classifier.artifact import artifact_metadata, newest_artifact
    from router_backend.classifier.repository import served_repository
    from router_backend.classifier.space_map import SPACE_MAP_FILE, SpaceMap

    folder = artifact or newest_artifact(served_repository(state_dir) / "classifier")
    space_map = SpaceMap.load(folder / SPACE_MAP_FILE) if (folder / SPACE_MAP_FILE).is_file() else None
    metadata = artifact_metadata(folder)
    return metadata.embedding_space, space_map, metadata.tasks


def _export(store: Store, file: Path, settings: RouterConfig, state_dir: Path) -> int:
    from router_backend.learning.rebuild import WholeLog

    with Console(stderr=True).status("exporting …") as status:
        log = WholeLog(store, settings, state_dir)

        def progress(done: int) -> None:
            log.renew(log.mark)
            status.update(f"exporting … {done:,}")

        former = (event for events in log.archived() for event in events)
        return export_state(store.archive(), file, progress, former)


def _export_archived(file: Path, settings: RouterConfig, state_dir: Path, since: str) -> int:
    from router_backend.archive.decision_log import export_archived_decisions
    from router_backend.archive.process import archive_place
    from router_backend.archive.reading import tables

    with tables(archive_place(settings, state_dir)) as opened:
        return export_archived_decisions(opened, file, time.time() - seconds(since))


@contextmanager
def _store(config: Path, state_dir: Path, create: bool = False) -> Iterator[Store]:
    parsed = load_config(config)
    store = open_store(parsed.state, state_dir, parsed.retention_days, create)
    try:
        yield store
    finally:
        store.close()
