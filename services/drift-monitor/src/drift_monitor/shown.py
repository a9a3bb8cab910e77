"""What people see at ``/metrics``: the last window of the version that serves, and the last boundary's errors.

A report is shown whole: what an earlier one said and this one does not (another version's features, an alert that is
closed) is taken away. So there are at most as many series as one report has numbers, whatever came before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from contracts.events import ConceptTested, FeatureDrift, WindowTested
from prometheus_client import Gauge
from servicekit import metrics

KINDS = ("virtual", "real", "quality")
STATES = {"ok": 0, "warning": 1, "drift": 2, "recovered": 3}
OF_A_FEATURE: Mapping[Gauge, Callable[[FeatureDrift], float | None]] = {
    metrics.FEATURE_STATISTIC: lambda f: f.statistic,
    metrics.FEATURE_P_VALUE: lambda f: f.p_value,
    metrics.FEATURE_P_ADJUSTED: lambda f: f.p_adjusted,
    metrics.FEATURE_EFFECT: lambda f: f.effect,
    metrics.FEATURE_DRIFTED: lambda f: f.drifted,
    metrics.FEATURE_SCALE: lambda f: f.scale,
    metrics.FEATURE_MISSING: lambda f: f.missing,
    metrics.FEATURE_PSI: lambda f: f.psi,
    metrics.FEATURE_JENSEN_SHANNON: lambda f: f.jensen_shannon,
    metrics.FEATURE_WASSERSTEIN: lambda f: f.wasserstein,
}
Values = dict[tuple[str, ...], float | None]


def show_nothing() -> None:
    """Another worker decides: it shows."""
    for gauge in (
        metrics.WINDOW_INFO, metrics.WINDOW_START, metrics.WINDOW_END, metrics.WINDOW_ROWS, metrics.WINDOW_LATE_ROWS,
        metrics.WINDOW_P_VALUE, metrics.WINDOW_ALPHA, metrics.WINDOW_MIN_EFFECT, metrics.WINDOW_SCALE,
        metrics.CONCEPT_INFO, metrics.ERROR, metrics.CONCEPT_ROWS, metrics.CONCEPT_AS_OF,
        metrics.FEATURE_INFO, metrics.FEATURE_MISSING_SHARE, *OF_A_FEATURE, metrics.DRIFT_STATE, metrics.ALERT_OPEN,
        metrics.ALERT_SINCE, metrics.WATERMARK, metrics.DECIDED_THROUGH,
    ):  # fmt: skip
        gauge.clear()


def show_beginning(model: str) -> None:
    """Nothing is known to be wrong with a model before a window and a boundary say so."""
    for kind in KINDS:
        metrics.DRIFT_STATE.labels(model, kind).set(0)


def show_window(report: WindowTested, since: int | None = None) -> None:
    """The serving version's window as metrics; ``since`` is that of its open alert, which no report says."""
    tested = report.status != "insufficient data"  # else its p-value and scale are of nothing
    words = (
        report.version, report.status, report.question if tested else "", report.correction, report.reference or "",
    )  # fmt: skip
    _show(metrics.WINDOW_INFO, report.model, {words: 1})
    for gauge, value in (
        (metrics.WINDOW_START, report.window_start / 1000),
        (metrics.WINDOW_END, report.window_end / 1000),
        (metrics.WINDOW_ROWS, report.rows),
        (metrics.WINDOW_LATE_ROWS, report.late_rows),
        (metrics.WINDOW_P_VALUE, report.p_value if tested else None),
        (metrics.WINDOW_ALPHA, report.alpha),
        (metrics.WINDOW_MIN_EFFECT, report.min_effect),
        (metrics.WINDOW_SCALE, report.scale if tested else None),
    ):
        _show(gauge, report.model, {(): value})
    _show_alert(report.model, "virtual", report.state, report.alert_id, since)
    _show_features(report.model, report.rows, report.features)


def show_concept(report: ConceptTested) -> None:
    """A boundary's errors as metrics."""
    _show(metrics.CONCEPT_INFO, report.model, {(report.version, report.detector): 1})
    for gauge, value in (
        (metrics.ERROR, report.error),
        (metrics.CONCEPT_ROWS, report.rows),
        (metrics.CONCEPT_AS_OF, report.as_of / 1000),
    ):
        _show(gauge, report.model, {(): value})
    _show_alert(report.model, "real", report.state, report.alert_id, report.since)
    _show_alert(report.model, "quality", report.quality_state, report.quality_alert_id, report.quality_since)


def _show_features(model: str, rows: int, features: Mapping[str, FeatureDrift]) -> None:
    words: Values = {(name, f.test, f.by, f.effect_name): 1 for name, f in features.items()}
    _show(metrics.FEATURE_INFO, model, words)
    for gauge, read in OF_A_FEATURE.items():
        _show(gauge, model, {(name,): read(feature) for name, feature in features.items()})
    shares: Values = {(name,): min(1.0, f.missing / rows) if rows else None for name, f in features.items()}
    _show(metrics.FEATURE_MISSING_SHARE, model, shares)


def _show_alert(model: str, kind: str, state: str, alert_id: str | None, since: int | None) -> None:
    metrics.DRIFT_STATE.labels(model, kind).set(STATES[state])
    _show(metrics.ALERT_OPEN, model, {} if alert_id is None else {(kind, alert_id): 1}, kind=kind)
    begins = None if alert_id is None or since is None else since / 1000
    _show(metrics.ALERT_SINCE, model, {(kind,): begins}, kind=kind)


def _show(gauge: Gauge, model: str, values: Values, **within: str) -> None:
    """Let a gauge say of a model these values by its other labels, and nothing else; None is not said.

    ``within``: only of these labels' values something is taken away.
    """
    now = {(model, *labels): value for labels, value in values.items() if value is not None}
    own = {"model": model, **within}
    for sample in next(iter(gauge.collect())).samples:
        labels = tuple(sample.labels.values())
        if own.items() <= sample.labels.items() and labels not in now:
            gauge.remove(*labels)
    for labels, value in now.items():
        gauge.labels(*labels).set(value)
