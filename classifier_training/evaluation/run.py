"""What `llm-router evaluate` does with its options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classifier_training.data import DataError, Examples
from classifier_training.data.files import USUAL_COLUMNS, Columns, load_prompts, load_routing, own_corpus
from classifier_training.encoders import load_encoder
from classifier_training.encoders.loading import DEFAULT_LAYERS, PACKAGED
from classifier_training.evaluation.feedback_log import evaluate_log
from classifier_training.evaluation.leave_out import LeaveOutOptions, leave_sources_out
from classifier_training.evaluation.report import evaluate as measure
from classifier_training.evaluation.report import write_report
from classifier_training.evaluation.summary import summary
from classifier_training.export.card import add_measured
from classifier_training.training.fit import FitOptions, Progress
from router_backend.classifier.artifact import Artifact, artifact_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What was asked for."""

    artifact: Path
    data: tuple[str, ...] = ()
    columns: Columns = USUAL_COLUMNS
    out: Path | None = None
    held_out: bool = False
    routing: tuple[str, ...] = ()
    from_log: Path | None = None
    train_data: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    folds: int = 0
    leave_out_cap: int = 250
    leave_out_tokens: int = 64
    seed: int = 0
    encoder: str = PACKAGED
    layers: int | None = DEFAULT_LAYERS
    card: bool = False


def evaluate(options: EvaluateOptions, track: Callable[[str], Progress]) -> dict[str, object]:
    """The report as a JSON object.

    Raises:
        DataError: no data, or unusable data.
        ContractError: no usable artifact.
    """
    if options.from_log is not None:
        return evaluate_log(options.from_log, artifact_metadata(options.artifact).tasks)
    if not options.data:
        raise DataError("nothing to measure on: give files with a text and a task in each row, or --from-log")
    prompts = load_prompts(options.data, options.columns)
    routed = [load_routing(options.routing, split="eval")] if options.routing else []
    rows = prompts.select(prompts.splits() == "test") if options.held_out else prompts
    rows = Examples.join([rows, *routed])
    report = measure(Artifact(options.artifact), rows, track("measuring"), options.out)
    if options.train_data:
        report["leave_one_source_out"] = _leave_out(options, Examples.join([prompts, *routed]), track)
    if options.out is not None:
        write_report(report, options.out)
    if options.card:
        add_measured(options.artifact, summary(report))
    return report


def _leave_out(options: EvaluateOptions, measured: Examples, track: Callable[[str], Progress]) -> dict[str, object]:
    parts = [load_prompts(options.train_data, options.columns), load_prompts(own_corpus())]
    if options.routing:
        parts.append(load_routing(options.routing, split="train"))
    train = Examples.join(parts)
    train = train.select(train.splits() == "train")
    texts = train.balance(options.leave_out_cap, options.seed).texts
    encoder = load_encoder(options.encoder, texts, options.layers)
    fit = FitOptions(max_tokens=options.leave_out_tokens, seed=options.seed)
    return leave_sources_out(
        train,
        measured,
        encoder,
        LeaveOutOptions(sources=options.leave_out, folds=options.folds, cap=options.leave_out_cap, fit=fit),
        track,
    )
