"""Quality as it was estimated before the labels came, beside what they showed: by month, and by segment.

From the last revision of each window on ``quality-reports``, and nothing else. Windows of some days do not end with
months, so a window belongs to the month (UTC) that its middle lies in; a run of less than three months is told window by
window. What windows say is pooled by weights: realised figures by their labelled rows, which for an accuracy gives
exactly that of all rows together, and estimates by their predicted rows, because labelled or not all of them are
estimated. A mean of AUCs is no AUC of all rows, which scores of two versions would not have anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from contracts.events import QualityReported, SegmentQuality

from atalaia.demo.story import Story

METRICS = ("accuracy", "auc")  # both within 0 and 1
FEWEST_MONTHS = 3


@dataclass(frozen=True)
class Figure:
    """A metric of ``rows`` labelled rows with its 95% interval, and what it was estimated to be."""

    rows: int
    realised: float
    low: float
    high: float
    estimated: float

    @property
    def difference(self) -> float:
        """Estimated minus realised."""
        return self.estimated - self.realised


@dataclass(frozen=True)
class Period:
    """A month, or a window: its windows' span of event time in ms, and what they say together.

    ``label_delay``: median in ms, the mean of the windows' medians weighted by labelled rows. ``figures`` by metric:
    from the reports that have both it and its estimate.
    """

    name: str
    start: int
    end: int
    predicted: int
    labelled: int
    label_delay: float | None
    figures: dict[str, Figure]

    @property
    def coverage(self) -> float:
        """The share of predicted rows that have a label."""
        return self.labelled / self.predicted if self.predicted else 0.0


@dataclass(frozen=True)
class Segment:
    """The rows of the whole run with one value of a feature."""

    feature: str
    value: str
    predicted: int
    labelled: int
    accuracy: Figure


@dataclass(frozen=True)
class Off:
    """Mean and ``largest`` absolute difference of estimated and realised, in ``of`` periods; the largest was ``at``.

    ``carried``: the mean where the realised figure of the period before is taken for the estimate, once there is one.
    """

    mean: float
    largest: float
    at: str
    of: int
    carried: float | None


@dataclass(frozen=True)
class Told:
    """A run ``by`` month or window; ``off`` by metric, empty where nothing was estimated."""

    by: str
    periods: list[Period]
    segments: list[Segment]
    off: dict[str, Off]


def apart(reports: Iterable[QualityReported]) -> list[QualityReported]:
    """Reports of windows that do not overlap, the earliest first, so that no row counts twice."""
    found: list[QualityReported] = []
    for report in sorted(reports, key=lambda r: r.window_start):
        last = found[-1] if found else report
        if report.window_start == last.window_start or report.window_start >= last.window_end:
            found.append(report)
    return found


def pool(parts: Sequence[QualityReported | SegmentQuality], metric: str) -> Figure | None:
    """A metric over parts whose rows differ; None where no part has it and its estimate.

    The interval is that of a weighted sum of independent figures, from the interval of each (Zou, Huang and Zhang 2009,
    Computational Statistics & Data Analysis 53, 1080-1085). A figure without one may be anything from 0 to 1.
    """
    parts = [p for p in parts if p.labelled and metric in p.metrics and metric in p.estimated]
    rows, predicted = sum(p.labelled for p in parts), sum(p.predicted for p in parts)
    if not rows:
        return None
    realised = below = above = 0.0
    for p in parts:
        value, weight = p.metrics[metric], p.labelled / rows
        low, high = p.intervals.get(metric, (0.0, 1.0))
        realised += weight * value
        below += (weight * (value - low)) ** 2
        above += (weight * (high - value)) ** 2
    estimated = sum(p.predicted * p.estimated[metric] for p in parts) / predicted
    low, high = realised - math.sqrt(below), realised + math.sqrt(above)
    return Figure(rows, realised, max(0.0, low), min(1.0, high), estimated)


def grouped(reports: Sequence[QualityReported]) -> tuple[str, dict[str, list[QualityReported]]]:
    """``month``, or ``window`` where there are few months; and the reports of each by its name, in order of time."""
    by_month: dict[str, list[QualityReported]] = {}
    by_window: dict[str, list[QualityReported]] = {}
    for r in reports:
        by_month.setdefault(f"{_time((r.window_start + r.window_end) / 2):%Y-%m}", []).append(r)
        by_window.setdefault(f"{_time(r.window_start):%Y-%m-%d %H:%M}", []).append(r)
    return ("month", by_month) if len(by_month) >= FEWEST_MONTHS else ("window", by_window)


def _time(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _period(name: str, reports: Sequence[QualityReported]) -> Period:
    labelled = sum(r.labelled for r in reports)
    timed = [r for r in reports if r.labelled and "p50" in r.label_delay]
    rows = sum(r.labelled for r in timed)
    figures = {metric: pool(reports, metric) for metric in METRICS}
    return Period(
        name,
        min(r.window_start for r in reports),
        max(r.window_end for r in reports),
        sum(r.predicted for r in reports),
        labelled,
        sum(r.labelled * r.label_delay["p50"] for r in timed) / rows if rows else None,
        {metric: figure for metric, figure in figures.items() if figure is not None},
    )


def segments(reports: Iterable[QualityReported]) -> list[Segment]:
    """By feature, and of each feature the value with the lowest accuracy first."""
    parts: dict[tuple[str, str], list[SegmentQuality]] = {}
    for r in reports:
        for feature, values in r.segments.items():
            for value, quality in values.items():
                parts.setdefault((feature, value), []).append(quality)
    found = []
    for (feature, value), own in parts.items():
        accuracy = pool(own, "accuracy")
        if accuracy is not None:
            predicted, labelled = sum(p.predicted for p in own), sum(p.labelled for p in own)
            found.append(Segment(feature, value, predicted, labelled, accuracy))
    return sorted(found, key=lambda s: (s.feature, s.accuracy.realised, s.value))


def off(told: Sequence[Period], metric: str) -> Off | None:
    """How far the estimates of a metric were off; None where there are none."""
    known = [(p.figures[metric], p.name) for p in told if metric in p.figures]
    if not known:
        return None
    apart = [(abs(figure.difference), name) for figure, name in known]
    steps = [abs(now.realised - before.realised) for (before, _), (now, _) in pairwise(known)]
    largest, at = max(apart)
    return Off(
        _mean([difference for difference, _ in apart]),
        largest,
        at,
        len(known),
        _mean(steps) if steps else None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def tell(story: Story) -> Told:
    """All of it, of one run."""
    reports = apart(story.final_quality)
    by, groups = grouped(reports)
    told = [_period(name, group) for name, group in groups.items()]
    found = {metric: off(told, metric) for metric in METRICS}
    return Told(by, told, segments(reports), {m: o for m, o in found.items() if o is not None})
