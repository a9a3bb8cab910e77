"""Prometheus's view of what every worker does: what it counts, and which profiles it waits for."""

from __future__ import annotations

from typing import Any

from servicekit import metrics


def observe(what: str, value: Any) -> None:
    """Count or show one thing that happened."""
    match what, value:
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
