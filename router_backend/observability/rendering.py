"""The report as text, and as one HTML page with its plots inside (no script, nothing fetched: it can be mailed)."""

from __future__ import annotations

import csv
import html
import io
import math
import time
from collections.abc import Mapping

from router_backend.observability.report import Report, Sums

# Okabe and Ito's palette: told apart by colour-blind readers too.
_COST, _SAVED = "#D55E00", "#009E73"
_COLUMNS = ("requests", "failed", "left", "tokens in", "tokens out", "cost USD", "saved USD", "mean score")


def text(report: Report) -> str:
    """Plain text, for a terminal or a chat message."""
    total = report.total
    lines = [f"llm-router, {_time(report.start)} to {_time(report.end)}", "", *_headline(report), _sentence(report), ""]
    if not total.requests:
        return "\n".join(lines[:-1])
    for title, groups in _groups(report):
        rows = [(title, *_COLUMNS), *((name, *_cells(sums)) for name, sums in groups.items()), ("all", *_cells(total))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
            lines.append("  ".join(cells).rstrip())
        lines.append("")
    if report.not_configured:
        names = ", ".join(report.not_configured)
        lines.append(
            f"not in this configuration, so that nothing is known to be saved: {names} (name its file with --config)"
        )
    lines.append("why: " + ", ".join(f"{reason} {count}" for reason, count in report.reasons.most_common()))
    return "\n".join(lines)


def table(report: Report) -> str:
    """CSV: a row for each model, task, team and key, and for all."""
    rows = [
        ("all", "", report.total),
        *((by, name, sums) for by, groups in _groups(report) for name, sums in groups.items()),
    ]
    written = io.StringIO()
    writer = csv.DictWriter(written, ["by", "name", *report.total.plain()], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"by": by, "name": name, **sums.plain()} for by, name, sums in rows)
    return written.getvalue()


def page(report: Report) -> str:
    """One HTML document."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>llm-router report</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{padding:.3rem .6rem;text-align:right;"
        "border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}tr.all{font-weight:600}"
        "svg{width:100%;height:auto}</style>",
        f"<h1>llm-router</h1><p>{_time(report.start)} to {_time(report.end)}</p><p><strong>{html.escape(' '.join(_headline(report)))}</strong></p><p>{html.escape(_sentence(report))}</p>",
    ]
    if report.total.requests:
        parts.append(_course(report))
        for title, groups in _groups(report):
            parts += [f"<h2>By {title}</h2>", _bars(groups), _table(title, groups, report.total)]
        reasons = ", ".join(f"{html.escape(reason)} {count}" for reason, count in report.reasons.most_common())
        parts.append(f"<p>Why: {reasons}.</p>")
    return "\n".join([*parts, "</html>\n"])


def _groups(report: Report) -> tuple[tuple[str, Mapping[str, Sums]], ...]:
    groups = (("model", report.by_model), ("task", report.by_task), ("team", report.by_team), ("key", report.by_key))
    return tuple((title, sums) for title, sums in groups if sums)


def _headline(report: Report) -> list[str]:
    """Does it pay."""
    return [report.payoff.sentence()] if report.total.requests else []


def _sentence(report: Report) -> str:
    total = report.total
    if not total.requests:
        return "No answers in this time."
    whole = total.cost + total.batch_savings + total.savings
    share = f" ({total.savings / whole:.0%} of what the most expensive model would have cost)" if whole else ""
    score = "no scores" if total.mean_score is None else f"mean score {total.mean_score:.2f} of {total.scored}"
    p50, p95 = report.latency["p50"], report.latency["p95"]
    held = total.cached_tokens / total.prompt_tokens if total.cached_tokens else 0.0
    caches = f"; prompt caches held {held:.0%} of the prompts, and saved ${_usd(total.cache_savings)}" if held else ""
    batches = f"; batch prices took off another ${_usd(total.batch_savings)}" if total.batch_savings else ""
    left = f", {total.clients_left} left by the client" if total.clients_left else ""
    return (
        f"{total.requests} answer{'s' if total.requests != 1 else ''} for ${_usd(total.cost)}, ${_usd(total.savings)} saved{share}{caches}{batches}; {score};"
        f" {total.failed} failed{left}; half within {p50:.2f} s, 95 % within {p95:.2f} s."
    )


def _cells(sums: Sums) -> tuple[str, ...]:
    score = "" if sums.mean_score is None else f"{sums.mean_score:.2f}"
    counts = (sums.requests, sums.failed, sums.clients_left, sums.prompt_tokens, sums.completion_tokens)
    return (*(f"{count:,}" for count in counts), _usd(sums.cost), _usd(sums.savings), score)


def _usd(usd: float) -> str:
    """Three digits that say something, of small sums too: one answer may cost a millionth."""
    if abs(usd) >= 0.1 or abs(usd) < 1e-12:
        return f"{usd:.4f}"
    return f"{usd:.{2 - math.floor(math.log10(abs(usd)))}f}"


def _table(title: str, groups: Mapping[str, Sums], total: Sums) -> str:
    head = "".join(f"<th>{column}</th>" for column in (title, *_COLUMNS))
    rows = [
        f"<tr{mark}><td>{html.escape(name)}</td>" + "".join(f"<td>{cell}</td>" for cell in _cells(sums)) + "</tr>"
        for name, sums, mark in [*((n, s, "") for n, s in groups.items()), ("all", total, " class=all")]
    ]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _bars(groups: Mapping[str, Sums]) -> str:
    """Cost and savings of each group, one bar each."""
    longest = max((sums.cost + sums.savings for sums in groups.values()), default=0.0) or 1.0
    row = 24
    parts = [f'<svg viewBox="0 0 720 {row * len(groups) + 4}" role="img" aria-label="cost and savings">']
    for index, (name, sums) in enumerate(groups.items()):
        top, cost, saved = row * index, 480 * sums.cost / longest, 480 * max(sums.savings, 0.0) / longest
        parts.append(
            f'<text x="0" y="{top + 16}" font-size="13">{html.escape(name[:28])}</text>'
            f'<rect x="220" y="{top + 4}" width="{cost:.1f}" height="16" fill="{_COST}"/>'
            f'<rect x="{220 + cost:.1f}" y="{top + 4}" width="{saved:.1f}" height="16" fill="{_SAVED}"/>'
        )
    return "".join([*parts, "</svg>"])


def _course(report: Report) -> str:
    """Cost and savings over time, stacked, above the times at which the chart begins and ends."""
    course = report.course
    tallest = max((part["cost"] + part["savings"] for part in course), default=0.0) or 1.0
    width = 720 / len(course)
    bars = []
    for index, part in enumerate(course):
        cost, saved = 120 * part["cost"] / tallest, 120 * max(part["savings"], 0.0) / tallest
        left, wide = f"{index * width:.1f}", f"{width - 1:.1f}"
        bars.append(f'<rect x="{left}" y="{124 - cost:.1f}" width="{wide}" height="{cost:.1f}" fill="{_COST}"/>')
        bars.append(
            f'<rect x="{left}" y="{124 - cost - saved:.1f}" width="{wide}" height="{saved:.1f}" fill="{_SAVED}"/>'
        )
    key = (
        f'<p><span style="color:{_COST}">■</span> cost <span style="color:{_SAVED}">■</span> saved against always the'
        f" most expensive model; the highest bar is ${_usd(tallest)}</p>"
    )
    axis = "".join(
        f'<text x="{x}" y="140" font-size="12" text-anchor="{anchor}">{_time(at)}</text>'
        for x, anchor, at in (
            (0, "start", report.start),
            (360, "middle", (report.start + report.end) / 2),
            (720, "end", report.end),
        )
    )
    return f'<svg viewBox="0 0 720 144" role="img" aria-label="cost and savings over time">{"".join(bars)}{axis}</svg>{key}'


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
