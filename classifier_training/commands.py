"""`llm-router train`, `evaluate` and `promote`. Heavy imports wait until a command runs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from classifier_training.data.files import Columns
    from classifier_training.training.fit import Progress
    from classifier_training.training.pipeline import Tracker

_LINE_SECONDS = 30.0

Data = Annotated[list[str] | None, typer.Option("--data", help="Labelled prompts: files, globs, or hf:owner/name.")]
TextColumn = Annotated[str, typer.Option(help="Column of the labelled files that holds the prompt.")]
LabelColumn = Annotated[str, typer.Option(help="Column of the labelled files that holds the task.")]
LabelMap = Annotated[
    Path | None,
    typer.Option(
        help="YAML file that says which task a label of the files means: a line `label: task` each, no task to leave its rows out."
    ),
]
Routing = Annotated[list[str] | None, typer.Option("--routing", help="Routing records; only `train` rows are read.")]


@contextmanager
def _bars() -> Iterator[Tracker]:
    """Progress on standard error: a bar for each stage, or a line now and then where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    with Bars(*columns, console=console) as bars:

        def track(name: str) -> Progress:
            bar = bars.add_task(name, total=None, loss="")

            def progress(step: int, steps: int, loss: float) -> None:
                bars.update(bar, completed=step, total=steps, loss="" if loss != loss else f"loss {loss:.3f}")

            return progress

        yield track


def _lines(console: Console) -> Tracker:
    def track(name: str) -> Progress:
        last = time.monotonic()

        def progress(step: int, steps: int, loss: float) -> None:
            nonlocal last
            if step == steps or time.monotonic() - last >= _LINE_SECONDS:
                last = time.monotonic()
                console.print(f"{name}: {step}/{steps}" + ("" if loss != loss else f", loss {loss:.3f}"))

        return progress

    return track


def train(
    out: Annotated[Path, typer.Option(help="Folder for the artifact (and the checkpoint, while it trains).")],
    data: Data = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "task",
    label_map: LabelMap = None,
    routing: Routing = None,
    own_corpus: Annotated[bool, typer.Option(help="Train on the project's own corpus too.")] = True,
    mode: Annotated[str, typer.Option(help="full (fine-tuning) or frozen (heads only, minutes).")] = "full",
    encoder: Annotated[
        str, typer.Option(help="packaged, a Hugging Face name, a folder, or an artifact's.")
    ] = "packaged",
    layers: Annotated[int, typer.Option(help="Encoder layers to keep, from the first; 0 keeps all.", min=0)] = 5,
    vocabulary: Annotated[int, typer.Option(help="Pieces to keep of the packaged vocabulary.", min=1_000)] = 40_000,
    cap: Annotated[int, typer.Option(help="Most rows for each source and task.", min=1)] = 500,
    routing_cap: Annotated[int, typer.Option(help="Most rows for each routing file.", min=1)] = 2500,
    own_weight: Annotated[int, typer.Option(help="How often a row of the own corpus counts.", min=1)] = 2,
    success_share: Annotated[
        float, typer.Option(help="Part of the embedding's variance for predicted success.", min=0, max=1)
    ] = 0.5,
    epochs: Annotated[float, typer.Option(help="Passes over the data, in full mode; 0: none.", min=0, max=1_000)] = 1.0,
    learning_rate: Annotated[float, typer.Option(help="Of the encoder, in full mode.", min=0, max=1)] = 1.5e-4,
    batch_tokens: Annotated[int, typer.Option(help="Padded tokens in a batch.", min=128)] = 1024,
    max_tokens: Annotated[
        int, typer.Option(help="Token budget of a served prompt (at most 256).", min=8, max=256)
    ] = 128,
    train_tokens: Annotated[
        int, typer.Option(help="Token budget of a training text: longer ones cost most.", min=8, max=256)
    ] = 96,
    adapt: Annotated[
        Path | None,
        typer.Option(
            help="Artifact whose tasks are fitted to --data in minutes: its encoder and embedding stay, so it can be promoted."
        ),
    ] = None,
    taxonomy: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with tasks of your own: heads for them are fitted to --data in a minute, on the encoder of --adapt"
            " or of the shipped artifact."
        ),
    ] = None,
    warm_start: Annotated[
        Path | None,
        typer.Option(help="Artifact, or folder of an earlier training: go on from its weights, keep its tokenizer."),
    ] = None,
    average_with: Annotated[
        list[Path] | None,
        typer.Option(help="With --warm-start: begin with the mean of its weights and of these folders' trainings."),
    ] = None,
    student: Annotated[
        bool,
        typer.Option("--student", help="A small and fast encoder that starts from the first --layers of --encoder."),
    ] = False,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Artifact that the training imitates; several are averaged.")
    ] = None,
    teacher_layers: Annotated[
        int, typer.Option(help="Train a teacher of so many layers first, and a --student from it; 0: none.", min=0)
    ] = 0,
    teacher_epochs: Annotated[
        float | None,
        typer.Option(
            help="Passes of the teacher of --teacher-layers over the data; by default --epochs.", min=0, max=1_000
        ),
    ] = None,
    teacher_tasks: Annotated[
        float, typer.Option(help="Weight of the teachers' tasks beside the labels.", min=0, max=100)
    ] = 0.0,
    rank: Annotated[int, typer.Option(help="Of a student: numbers for each piece of the vocabulary.", min=1)] = 240,
    feed_forward: Annotated[int, typer.Option(help="Of a student: neurons of a feed-forward layer.", min=1)] = 768,
    pool_after: Annotated[
        int, typer.Option(help="Of a student: layers before pairs of tokens are pooled; 0: never.", min=0)
    ] = 1,
    perturbed: Annotated[
        float, typer.Option(help="Share of the texts that are read with a typo, a greeting, …", min=0, max=1)
    ] = 0.0,
    constrained: Annotated[
        float,
        typer.Option(
            help="Share of these that also say how the answer should look, where a task is known.", min=0, max=1
        ),
    ] = 0.0,
    consistency: Annotated[
        float, typer.Option(help="Weight of the loss that draws both forms of a text together.", min=0, max=100)
    ] = 1.0,
    average: Annotated[
        float,
        typer.Option(help="Share of the steps, the last ones, over which the weights are averaged.", min=0, max=1),
    ] = 0.0,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Source that nothing is trained or calibrated on.")
    ] = None,
    calibrate_on: Annotated[
        list[str] | None, typer.Option(help="Source that only the temperature is fitted on: honest for unknown ones.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes the order, the fresh heads and the sample.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 uses all cores.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="Where full mode trains: cpu, cuda, cuda:1, mps, …")] = "cpu",
    bf16: Annotated[bool, typer.Option(help="Compute the encoder in bfloat16; weights stay float32.")] = True,
) -> None:
    """Train an artifact: encoder, heads, calibration, PCA, ONNX. Started again, it goes on from its checkpoint.

    Example: llm-router train --data prompts.csv --routing answers.parquet --out artifact
    """
    import torch

    from classifier_training.data.files import Columns
    from classifier_training.encoders.compact import CompactShape
    from classifier_training.model import LossWeights
    from classifier_training.training.fit import FitOptions
    from classifier_training.training.pipeline import TrainOptions
    from classifier_training.training.pipeline import train as run
    from classifier_training.training.taught import train_taught

    if average_with and warm_start is None:
        raise typer.BadParameter("averages with the training that --warm-start names", param_hint="--average-with")
    if mode not in ("full", "frozen"):
        raise typer.BadParameter("full or frozen", param_hint="--mode")
    if threads:
        torch.set_num_threads(threads)
    if taxonomy is not None:
        _own_tasks(taxonomy, adapt, data or [], (text_column, label_column, label_map), out, cap, seed)
        return
    columns = Columns.of(text_column, label_column, label_map)
    if adapt is not None:
        _adapt(adapt, data or [], columns, out, cap, seed)
        return
    options = TrainOptions(
        out=out,
        data=tuple(data or ()),
        columns=columns,
        routing=tuple(routing or ()),
        own_corpus=own_corpus,
        mode="full" if mode == "full" else "frozen",
        encoder=encoder,
        # A student takes its layers from the whole encoder.
        layers=None if student else layers or None,
        vocabulary=vocabulary,
        cap=cap,
        routing_cap=routing_cap,
        own_weight=own_weight,
        success_share=success_share,
        max_tokens=max_tokens,
        warm_start=warm_start,
        averaged=tuple(average_with or ()),
        student=CompactShape(layers, rank, feed_forward, pool_after) if student else None,
        teachers=tuple(teacher or ()),
        left_out=tuple(leave_out or ()),
        calibration_sources=tuple(calibrate_on or ()),
        fit=FitOptions(
            epochs=epochs,
            encoder_rate=learning_rate,
            batch_tokens=batch_tokens,
            max_tokens=train_tokens,
            seed=seed,
            perturbed=perturbed,
            constrained=constrained,
            device=device,
            bfloat16=bf16,
            average=average,
            loss=LossWeights(teacher_tasks=teacher_tasks, consistency=consistency),
        ),
    )
    with _bars() as track:
        result = train_taught(options, teacher_layers, track, teacher_epochs) if teacher_layers else run(options, track)
    if result is None:  # the first of several processes speaks for all
        return
    scores = ", ".join(f"{name} {value:.3f}" for name, value in result.scores.items())
    typer.echo(f"{out}: {scores}; int8 cosine {result.equality.int8_cosine:.3f}; {result.seconds / 60:.1f} minutes")


def _adapt(start: Path, data: list[str], columns: Columns, out: Path, cap: int, seed: int) -> None:
    from classifier_training.training.adapt import adapt, too_few

    with _bars() as track:
        result = adapt(start, data, out, track("reading prompts"), cap, seed, columns)
    figures = f"accuracy on own prompts held out {result.before:.3f} before, {result.after:.3f} after"
    if result.before != result.before:
        figures = too_few(result.held_out)
    typer.echo(f"{out}: {figures}; {result.rows} rows; {result.seconds / 60:.1f} minutes")


def _own_tasks(
    taxonomy: Path,
    start: Path | None,
    data: list[str],
    labels: tuple[str, str, Path | None],
    out: Path,
    cap: int,
    seed: int,
) -> None:
    from classifier_training.data.files import Columns
    from classifier_training.data.taxonomy import load_taxonomy
    from classifier_training.training.adapt import too_few
    from classifier_training.training.own_tasks import fit_own_tasks
    from router_backend.classifier.artifact import newest_artifact
    from router_backend.classifier.repository import MODEL_REPOSITORY

    own = load_taxonomy(taxonomy)
    columns = Columns.of(*labels, own.names)
    start = start or newest_artifact(MODEL_REPOSITORY / "classifier")
    with _bars() as track:
        result = fit_own_tasks(start, own, data, out, track("reading prompts"), cap, seed, columns)
    figures = f"accuracy on prompts held out {result.accuracy:.3f} (the most frequent task: {result.most_frequent:.3f})"
    if result.accuracy != result.accuracy:
        figures = too_few(result.held_out)
    typer.echo(
        f"{out}: {len(own.tasks)} tasks, {figures}; {result.rows} rows; {result.seconds / 60:.1f} minutes\n"
        f"So that router.yaml and feedback may name them: tasks: [{', '.join(own.names)}]"
    )


def evaluate(
    data: Annotated[list[str] | None, typer.Argument(help="Labelled prompts: files or globs (`text`, `task`).")] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "task",
    label_map: LabelMap = None,
    artifact: Annotated[Path | None, typer.Option(help="Artifact folder; default: the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON, and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the report and its plots.")] = None,
    held_out: Annotated[bool, typer.Option(help="Only rows that `train` holds out for tests, by their hash.")] = False,
    routing: Annotated[list[str] | None, typer.Option(help="Routing records: complexity on their `eval` rows.")] = None,
    from_log: Annotated[Path | None, typer.Option(help="Labelled decisions (JSON lines) instead of DATA.")] = None,
    train_data: Annotated[
        list[str] | None, typer.Option(help="Leave-one-source-out: train on these without each source of DATA.")
    ] = None,
    leave_out: Annotated[list[str] | None, typer.Option(help="Only these sources; default: all of DATA.")] = None,
    folds: Annotated[int, typer.Option(help="Leave several sources out at once, in so many groups (cheaper).")] = 0,
    leave_out_cap: Annotated[int, typer.Option(help="Training rows for each source and task when leaving out.")] = 250,
    encoder: Annotated[str, typer.Option(help="Encoder of the leave-one-source-out trainings.")] = "packaged",
    layers: Annotated[int, typer.Option(help="Its layers to keep; 0 keeps all.")] = 5,
    card: Annotated[bool, typer.Option(help="Write the figures into the artifact's card.md.")] = False,
) -> None:
    """Measure an artifact on labelled prompts.

    Example: llm-router evaluate 'classifier_training/corpus/heldout_*.csv' --json
    """
    from classifier_training.data.files import Columns
    from classifier_training.evaluation.run import EvaluateOptions
    from classifier_training.evaluation.run import evaluate as run
    from router_backend.classifier.artifact import artifact_metadata, newest_artifact
    from router_backend.classifier.repository import MODEL_REPOSITORY

    artifact = artifact or newest_artifact(MODEL_REPOSITORY / "classifier")
    options = EvaluateOptions(
        data=tuple(data or ()),
        columns=Columns.of(text_column, label_column, label_map, artifact_metadata(artifact).tasks),
        artifact=artifact,
        out=out,
        held_out=held_out,
        routing=tuple(routing or ()),
        from_log=from_log,
        train_data=tuple(train_data or ()),
        leave_out=tuple(leave_out or ()),
        folds=folds,
        leave_out_cap=leave_out_cap,
        encoder=encoder,
        layers=layers or None,
        card=card,
    )
    with _bars() as track:
        report = run(options, track)
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        from classifier_training.evaluation.summary import summary

        typer.echo(summary(report))


def promote(
    artifact: Annotated[Path | None, typer.Argument(help="Folder of the new artifact.")] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Serve the version before the current one again.")
    ] = False,
    repository: Annotated[
        Path | None,
        typer.Option(
            help="The classifier's folder in the model repository; default: in the copy that `llm-router up` serves."
        ),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(envvar="LLM_ROUTER_STATE_DIR", help="State folder of that `llm-router up`.")
    ] = None,
    triton: Annotated[
        str,
        typer.Option(
            envvar="LLM_ROUTER_TRITON", help="Triton's gRPC address; empty writes the files and loads nothing."
        ),
    ] = "localhost:8001",
    model: Annotated[str, typer.Option(help="Model name in Triton.")] = "classifier",
    admin_key_env: Annotated[
        str, typer.Option(help="Environment variable with the admin key.")
    ] = "LLM_ROUTER_ADMIN_KEY",
    admin_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the admin key instead; default: the state folder's, where the variable isn't set."
        ),
    ] = None,
    admin_key_header: Annotated[
        str, typer.Option(help="gRPC metadata key that carries it.")
    ] = "triton-grpc-protocol-triton-admin-key",
    gate: Annotated[list[str] | None, typer.Option(help="Labelled prompts; default: the own held-out corpus.")] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "task",
    label_map: LabelMap = None,
    tolerance: Annotated[float, typer.Option(help="How much accuracy on the gate set may fall.", min=-1, max=1)] = 0.01,
    carry_state: Annotated[str, typer.Option(help="map (linear map between embedding spaces) or fresh.")] = "map",
) -> None:
    """Put a new artifact into service without downtime, or go back to the one before.

    Refused: an artifact of another contract, with another tokenizer, or worse on the gate set than allowed. One with other tasks can't be
    compared: it is measured alone, on prompts with its own labels that --gate names.

    Example: llm-router promote artifact --carry-state map
    """
    from classifier_training.data.files import Columns
    from classifier_training.promotion.promote import PromoteOptions
    from classifier_training.promotion.promote import promote as run
    from router_backend.classifier.artifact import artifact_metadata
    from router_backend.classifier.repository import copied_repository
    from router_backend.config.runtime import ADMIN_KEY_FILE
    from router_backend.config.runtime import state_dir as usual_state_dir
    from router_backend.contract import TASKS

    if carry_state not in ("map", "fresh"):
        raise typer.BadParameter("map or fresh", param_hint="--carry-state")
    if (artifact is None) == (not rollback):
        raise typer.BadParameter("give either an artifact folder or --rollback")
    state = state_dir or usual_state_dir()
    known = TASKS if artifact is None else artifact_metadata(artifact).tasks
    if admin_key_file is None and not os.environ.get(admin_key_env) and (state / ADMIN_KEY_FILE).is_file():
        admin_key_file = state / ADMIN_KEY_FILE
    typer.echo(
        run(
            PromoteOptions(
                artifact=artifact,
                repository=repository or copied_repository(state) / "classifier",
                triton=triton,
                model=model,
                admin_key_env=admin_key_env,
                admin_key_file=admin_key_file,
                admin_key_header=admin_key_header,
                gate=tuple(gate or ()),
                columns=Columns.of(text_column, label_column, label_map, known),
                tolerance=tolerance,
                carry_state=carry_state,
            )
        )
    )
