"""What a model's answers on held-out rows are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

EPSILON = float(np.finfo(np.float64).eps)  # as scikit-learn and the services clip a probability of 0


def measure(
    truth: Any, predicted: Any, probabilities: Any, classes: Sequence[str] | None
) -> dict[str, float]:
    """Metrics by name: of a classifier ``accuracy``, ``log_loss`` and more, of a regression ``mae``, ``rmse`` and more."""
    if classes is None:
        return _of_numbers(truth, predicted)
    return _of_classes(truth, predicted, probabilities, classes)


def _of_classes(truth: Any, label: Any, probabilities: Any, classes: Sequence[str]) -> dict[str, float]:
    from sklearn import metrics

    truth, label = np.asarray(truth).astype(str), np.asarray(label).astype(str)
    clipped = np.clip(np.asarray(probabilities, dtype=float), EPSILON, 1)
    at = {name: i for i, name in enumerate(classes)}
    picked = np.array([clipped[i, at[t]] if t in at else EPSILON for i, t in enumerate(truth)])
    found = {
        "accuracy": float(metrics.accuracy_score(truth, label)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, label)),
        "f1_macro": float(metrics.f1_score(truth, label, average="macro", zero_division=0)),
        "log_loss": float(-np.log(picked).mean()),
    }
    if len(classes) == 2 and len(set(truth)) == 2:
        found["auc"] = float(metrics.roc_auc_score(truth == classes[1], clipped[:, 1]))
    return found


def _of_numbers(truth: Any, predicted: Any) -> dict[str, float]:
    """Errors in the target's unit, bias predicted minus true; no R² of a constant truth.

    MAPE is scikit-learn's, as in the services' reports: a share, and of a truth of 0 one beyond all measure.
    """
    from sklearn import metrics

    truth, predicted = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
    found = {
        "mae": float(metrics.mean_absolute_error(truth, predicted)),
        "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
        "mape": float(metrics.mean_absolute_percentage_error(truth, predicted)),
        "bias": float((predicted - truth).mean()),
    }
    if np.ptp(truth):
        found["r2"] = float(metrics.r2_score(truth, predicted))
    return found
