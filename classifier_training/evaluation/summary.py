"""A report as a short Markdown table, for the terminal and the card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary(report: Mapping[str, Any]) -> str:
    """The figures that decide whether an artifact is good enough."""
    lines = ["| measure | value |", "|---|---|"]
    task = report["task"]
    lines.append(_row("task accuracy", task["accuracy"]))
    lines.append(_row("task macro-F1", task["macro_f1"]))
    lines.append(_row("calibration error (ECE)", task["ece"]))
    lines.extend(
        _row(f"accuracy of the surest {float(share):.0%}", value)
        for share, value in task.get("accuracy_by_coverage", {}).items()
        if share != "1.0"
    )
    lines.extend(_row(f"accuracy, {language}", value) for language, value in task["by_language"].items())
    lines.extend(_row(f"accuracy, {source}", value) for source, value in task["by_source"].items())
    complexity = report["complexity"]
    if complexity["spearman"] is not None:
        lines.append(_row("complexity, Spearman", complexity["spearman"]))
        lines.append(_row("complexity, mean absolute error", complexity["mae"]))
        lines.extend(
            _row(f"complexity, Spearman, {source}", value) for source, value in complexity["spearman_by_source"].items()
        )
    stable = report.get("stability")
    if stable:
        lines.append(_row("same task after a perturbation", stable["unchanged"]))
        lines.append(_row("same task after all ten", stable["always"]))
        lines.append(_row("cosine of the embedding after a perturbation", stable["cosine"]))
        lines.extend(_row(f"same task, {name}", value) for name, value in stable["by_perturbation"].items())
    for length, times in report.get("latency_ms", {}).get("by_length", {}).items():
        lines.append(f"| {length} tokens, one thread | p50 {times['p50']:.1f} ms, p95 {times['p95']:.1f} ms |")
    if "float32" in report:
        lines.append(_row("accuracy lost by int8", report["float32"]["accuracy_lost_by_int8"]))
    left = report.get("leave_one_source_out")
    if left:
        if left["mean"] is not None:
            lines.append(_row("sources left out, mean accuracy", left["mean"]))
        lines.extend(_row(f"left out: {source}, accuracy", value) for source, value in left["by_source"].items())
        lines.extend(
            _row(f"left out: {source}, complexity, Spearman", value)
            for source, value in left["complexity_spearman"].items()
        )
    return "\n".join(lines)


def _row(name: str, value: float) -> str:
    return f"| {name} | {value:.3f} |"
