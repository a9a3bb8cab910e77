"""The section that holds quality as estimated before the labels against what they showed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing

from atalaia.demo.estimates import Figure, Off, Period, Segment, Told
from atalaia.demo.report.parts import figure, table
from atalaia.demo.report.plots import date, dates, promotions
from atalaia.demo.report.theme import FROZEN, SERVED, to_svg

LABELS = {"accuracy": "accuracy", "auc": "ROC AUC"}
HOUR = 3_600_000


def section(told: Told, summary: dict[str, Any]) -> str:
    """HTML; empty where no quality was reported at all. Call it within :func:`theme.styled`."""
    if not told.periods:
        return ""
    by = told.by
    head = f"<h2>Estimated against realised, {by} by {by}</h2>"
    if not told.off:
        return (
            f"{head}<p class=faint>No report bears an estimate: that takes probabilities of classes, and a profile with "
            "the quality of held-out rows.</p>"
        )
    drawing = to_svg(draw(told.periods, list(told.off), summary), "estimates")
    how = (
        "A window belongs to the month (UTC) that its middle lies in, so a month here is of whole windows. "
        if by == "month"
        else ""
    )
    return (
        f"{head}<p>{' '.join(_off(metric, o, by) for metric, o in told.off.items())}</p>"
        f"<p class=faint>Estimated: from the calibrated probabilities of all predicted rows, before any label. Realised: "
        f"from the labels, by the last revision of each window's report. {how}Windows are pooled by their rows, AUC as the "
        "mean of theirs. Intervals take rows for independent; those of one day are not quite. Where the "
        "same inputs come to mean another truth, no estimate can know.</p>"
        + figure(drawing, f"Realised with its 95% interval, estimated dashed; ▲ a promotion. A point stands in the middle of its {by}.")
        + table(*_periods(told.periods, list(told.off), by))
        + _segments(told.segments)
    )  # fmt: skip


def _off(metric: str, off: Off, by: str) -> str:
    periods = f"{off.of} {by}{'s' * (off.of != 1)}"
    said = (
        f"The estimate of {LABELS[metric]} is off by {off.mean:.4f} on average over {periods}, "
        f"by {off.largest:.4f} at most ({escape(off.at)})"
    )
    if off.carried is not None:
        said += f"; the realised figure of the {by} before, in its place, by {off.carried:.4f} on average"
    return said + "."


def draw(periods: Sequence[Period], metrics: Sequence[str], summary: dict[str, Any]) -> Drawing:
    """A panel a metric: the realised line in its interval, the estimated one beside it."""
    drawing = Drawing(figsize=(10.5, 2.4 * len(metrics) + 0.6), layout="constrained")
    panels = np.atleast_1d(drawing.subplots(len(metrics), 1, sharex=True))
    for axes, metric in zip(panels, metrics, strict=True):
        known = [(date((p.start + p.end) / 2), p.figures[metric]) for p in periods if metric in p.figures]
        x = [at for at, _ in known]
        axes.fill_between(
            x, [f.low for _, f in known], [f.high for _, f in known], color=SERVED, alpha=0.18, linewidth=0,
            label="95% interval",
        )  # fmt: skip
        axes.plot(
            x, [f.realised for _, f in known], color=SERVED, marker="o", markersize=3, linewidth=1.6, label="realised"
        )  # fmt: skip
        axes.plot(
            x, [f.estimated for _, f in known], color=FROZEN, linestyle=(0, (4, 2)), marker="o", markersize=3,
            linewidth=1.6, label="estimated before the labels",
        )  # fmt: skip
        axes.set_title(LABELS[metric][0].upper() + LABELS[metric][1:])
        dates(axes)
        promotions(axes, summary)
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return drawing


def _cells(f: Figure | None) -> list[str]:
    """Realised, its interval, estimated, and the difference."""
    if f is None:
        return [""] * 4
    return [
        f"{f.realised:.4f}",
        f"{f.low:.4f} to {f.high:.4f}",
        f"{f.estimated:.4f}",
        f"{f.difference:+.4f}",
    ]


def _heads(name: str) -> list[str]:
    return [name, "95%", "estimated", "difference"]


def _periods(
    periods: Sequence[Period], metrics: Sequence[str], by: str
) -> tuple[list[str], list[list[str]], range]:
    rows = [
        [
            f"<span class=t>{escape(p.name)}</span>",
            f"{p.labelled:,}",
            f"{p.coverage:.1%}",
            "" if p.label_delay is None else f"{p.label_delay / HOUR:.1f} h",
            *(cell for metric in metrics for cell in _cells(p.figures.get(metric))),
        ]
        for p in periods
    ]
    head = [by, "labelled rows", "coverage", "median delay", *(h for m in metrics for h in _heads(LABELS[m]))]
    return head, rows, range(1, len(head))


def _segments(segments: Sequence[Segment]) -> str:
    if not segments:
        return ""
    head = ["feature", "value", "labelled rows", "coverage", *_heads("accuracy")]
    rows = [
        [
            escape(s.feature),
            escape(s.value),
            f"{s.labelled:,}",
            f"{s.labelled / s.predicted:.1%}" if s.predicted else "",
            *_cells(s.accuracy),
        ]
        for s in segments
    ]
    return (
        "<h2>Quality by segment</h2><p class=faint>Over the whole run, the least accurate of each feature first.</p>"
        + table(head, rows, range(2, len(head)))
    )
