"""How good the predictions were, window by window, and the errors of what was labelled."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from contracts.events import QualityReported

from atalaia.drift.plots import number
from atalaia.watch.domain.memory import Memory
from atalaia.watch.domain.words import metric_name

METRICS = (
    "accuracy", "log_loss", "auc", "f1", "balanced_accuracy", "precision", "recall", "brier", "pr_auc",
    "mae", "rmse", "r2", "mape", "bias",
)  # fmt: skip


Span = tuple[str, int, int]
LESS_IS_BETTER = {"log_loss", "brier", "mae", "rmse", "mape"}


class Figure(msgspec.Struct, frozen=True):
    """A metric of one window: realised with its interval, and estimated before the labels."""

    realised: float | None
    low: float | None
    high: float | None
    estimated: float | None


class Quality(msgspec.Struct, frozen=True):
    """How good one window's predictions were; ``enough``: its labels are; ``worse``: an alert of quality is about it."""

    start: int
    end: int
    version: str
    predicted: int
    labelled: int
    coverage: float
    enough: bool
    figures: dict[str, Figure]
    worse: bool


class Error(msgspec.Struct, frozen=True):
    """The mean error of what a boundary's labels brought."""

    at: int
    version: str
    error: float | None
    drift: bool


def reports_of(memory: Memory) -> list[QualityReported]:
    """One report a window, in order of time: of the version that predicted most of it."""
    chosen: dict[tuple[int, int], QualityReported] = {}
    for key in sorted(memory.quality):
        report = memory.quality[key]
        known = chosen.get(key[:2])
        if report.predicted and (known is None or report.predicted >= known.predicted):
            chosen[key[:2]] = report
    return list(chosen.values())


def metrics_of(quality: Sequence[QualityReported]) -> list[str]:
    """Those that are told of, the one with an estimate first."""
    told = [m for m in METRICS if any(m in q.metrics for q in quality)]
    estimated = {m for q in quality for m in q.estimated}
    return sorted(told, key=lambda m: m not in estimated)


def worse_spans(memory: Memory) -> list[Span]:
    """Of each alert of quality its version, and from when to when windows did worse, by the concept reports."""
    found: dict[str, Span] = {}
    for _, report in sorted(memory.concepts.items()):
        if (
            report.quality_alert_id is not None
            and report.quality_state == "drift"
            and report.quality_since is not None
        ):
            found[report.quality_alert_id] = (report.version, report.quality_since, report.as_of)
    return list(found.values())


def quality_of(q: QualityReported, metrics: Sequence[str], worse: Sequence[Span]) -> Quality:
    """The figures of these metrics in one report."""
    figures = {}
    for name in metrics:
        low, high = q.intervals.get(name, (None, None))
        if name in q.metrics or name in q.estimated:
            figures[name] = Figure(q.metrics.get(name), low, high, q.estimated.get(name))
    return Quality(
        q.window_start,
        q.window_end,
        q.version,
        q.predicted,
        q.labelled,
        q.coverage,
        q.status == "ok",
        figures,
        any(version == q.version and since <= q.window_start < until for version, since, until in worse),
    )


def worse_than_estimated(reports: Sequence[QualityReported]) -> str:
    """That the two newest windows with labels enough are worse than estimated, beyond their intervals; else empty.

    One in forty is by chance.
    """
    enough = [q for q in reports if q.status == "ok" and q.metrics]
    if len(enough) < 2:
        return ""
    newest = enough[-1]
    for name in metrics_of([newest]):
        if all(_is_worse(q, name) for q in enough[-2:]):
            return (
                f"The two newest windows with labels did worse than estimated, the last with {metric_name(name)} "
                f"{number(round(newest.metrics[name], 3))} against {number(round(newest.estimated[name], 3))}; "
                "there is no alert of it."
            )
    return ""


def _is_worse(q: QualityReported, name: str) -> bool:
    if name not in q.estimated or name not in q.intervals:
        return False
    low, high = q.intervals[name]
    return low > q.estimated[name] if name in LESS_IS_BETTER else high < q.estimated[name]


def errors_of(memory: Memory) -> list[Error]:
    """In order of label time."""
    return [
        Error(key[0], e.version, e.error, e.state == "drift") for key, e in sorted(memory.concepts.items())
    ]
