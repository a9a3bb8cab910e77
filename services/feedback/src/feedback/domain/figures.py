"""The figures of a report, from what was counted and what a version predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from summaries.delays import Delays
from summaries.forecast import Forecast
from summaries.intervals import intervals
from summaries.quality import Classification, Regression

from feedback.domain.cells import Classes, Tally, usable
from feedback.domain.size import MAX_BYTES, width
from feedback.domain.task import Task

Quality = Classification | Regression
Status = Literal["ok", "insufficient data"]
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Figures(NamedTuple):
    """How good labelled rows are. Empty where the task is not known, or cannot be measured."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    errors: dict[str, float]
    classes: dict[str, dict[str, float]]
    confusion: dict[str, dict[str, int]] | None
    unusable: int = 0  # rows of a regression without a number
    unknown: int = 0  # rows whose truth is no class of the version


NOTHING = Figures({}, {}, {}, {}, None)


def named(tally: Tally, forecasts: Mapping[Classes, Forecast], task: Task | None) -> Task | None:
    """The task; where it is not known, what the records with the most probabilities say by themselves."""
    if task is not None:
        return task
    rows = {classes: quality.rows for classes, quality in tally.scored.items()}
    for classes, forecast in forecasts.items():
        rows[classes] = max(rows.get(classes, 0), forecast.rows)
    best = max(sorted(rows), key=lambda classes: rows[classes], default=None)
    return None if best is None else Task("classification", best)


def quality_of(tally: Tally, task: Task | None) -> Quality | None:
    """What was counted, read as the task says; None where that cannot be."""
    if task is None:
        return None
    if task.kind == "regression":
        return tally.pairs.regression()
    if task.kind != "classification" or not usable(task.classes):
        return None
    try:
        quality = tally.pairs.classification(task.classes)
    except ValueError:  # more distinct labels than a classification has
        return None
    for classes, scored in sorted(tally.scored.items()):
        quality = quality.merge(scored if classes == task.classes else _without_scores(scored, task.classes))
    return quality


def _without_scores(scored: Classification, classes: Sequence[str]) -> Classification:
    """Rows with probabilities of other classes than the version's: their labels still count."""
    quality = Classification(classes)
    quality.update_counts({(t, p): n for t, row in scored.confusion().items() for p, n in row.items()})
    return quality


def figures(tally: Tally, task: Task | None) -> Figures:
    """The figures of labelled rows."""
    quality = quality_of(tally, task)
    if quality is None:
        return NOTHING
    if isinstance(quality, Regression):
        return Figures(quality.get(), intervals(quality), {}, {}, None, unusable=tally.pairs.unusable)
    return Figures(
        quality.get(),
        intervals(quality),
        quality.errors(),
        quality.by_class(),
        quality.confusion() if _fits(quality) else None,
        unknown=int(quality.counts[-1].sum()),
    )


def estimated(forecasts: Mapping[Classes, Forecast], task: Task | None) -> dict[str, float]:
    """What the metrics of all predicted rows are expected to be; nothing without a calibration."""
    if task is None or task.calibration is None:
        return {}
    forecast = forecasts.get(task.classes)
    return forecast.estimate(task.calibration) if forecast is not None else {}


def delay(delays: Delays) -> dict[str, float]:
    """Quantiles of the label delay, milliseconds."""
    found = delays.quantiles(list(QUANTILES.values()))
    return {name: q for name, q in zip(QUANTILES, found, strict=True) if q is not None}


def status(labelled: int, least: int) -> Status:
    """Whether there are rows enough to say something."""
    return "ok" if labelled >= least else "insufficient data"


def _fits(quality: Classification) -> bool:
    """Whether the confusion fits a record: with hundreds of classes it has cells by the hundred thousand."""
    names = [width(name) for name in (*quality.classes, "(other)")]
    return len(names) * (sum(names) + 12 * len(names)) < MAX_BYTES // 2
