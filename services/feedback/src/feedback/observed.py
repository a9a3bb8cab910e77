"""Prometheus's view of what joining and deciding do."""

from __future__ import annotations

from typing import Any

from contracts.events import LabelsReported, QualityReported
from servicekit import metrics


def observe(what: str, value: Any) -> None:
    """Count or show one thing that happened."""
    match what, value:
        case "report", QualityReported() as report if report.as_of == report.window_end:
            metrics.LABEL_COVERAGE.labels(report.model).set(report.coverage)
            for name, figure in report.estimated.items():
                metrics.ESTIMATED_QUALITY.labels(report.model, name).set(figure)
        case "label report", LabelsReported() as report if report.as_of == report.window_end:
            for name, figure in report.metrics.items():
                metrics.QUALITY.labels(report.model, name).set(figure)
            for name, delay in report.label_delay.items():
                metrics.LABEL_DELAY.labels(report.model, name).set(delay / 1000)
        case "decided", int():
            metrics.DECIDED_THROUGH.labels("feedback").set(value / 1000)
        case "outcomes", int():
            metrics.LABELS.labels("outcome").inc(value)
        case "unusable_truths", int() if value > 0:
            metrics.LABELS.labels("unusable_truth").inc(value)
        case "unknown_classes", int() if value > 0:
            metrics.LABELS.labels("unknown_class").inc(value)
        case "unreadable", str():
            metrics.DLQ_RECORDS.labels(value).inc()
        case "no profile", (str(model), str(version)):
            metrics.PROFILE_WAITS.labels(model).inc()
            metrics.PROFILE_HELD.labels(model, version).set(1)
        case "profile", (str(model), str(version)):
            metrics.PROFILE_HELD.labels(model, version).set(0)
