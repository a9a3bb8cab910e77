"""What a model's answers on held-out rows are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from summaries.labels import names_of, texts

EPSILON = float(np.finfo(np.float64).eps)  # as scikit-learn and the services clip a probability of 0


def measure(
    truth: Any, predicted: Any, probabilities: Any, classes: Sequence[str] | None
) -> dict[str, float]:
    """Metrics by name: of a classifier ``accuracy``, ``log_loss`` and more, of a regression ``mae``, ``rmse`` and more."""
    if classes is None:
        return _of_numbers(truth, predicted)
    return _of_classes(truth, predicted, probabilities, texts(list(classes)))


def losses(
    metric: str, truth: Any, predicted: Any, probabilities: Any, classes: Sequence[Any] | None
) -> NDArray[np.float64]:
    """What each row [N] costs in a metric: 1 for a wrong answer, -log of the truth's probability, an error, its square.

    Raises ``ValueError`` for a metric that these answers do not have.
    """
    if classes is None and metric in ("mae", "rmse"):
        error = np.abs(np.asarray(predicted, dtype=float) - np.asarray(truth, dtype=float))
        return np.asarray(error if metric == "mae" else error**2)
    if classes is not None and metric == "accuracy":
        wrong = names_of(truth) != names_of(predicted)
        return np.asarray(wrong, dtype=float)
    if classes is not None and metric == "log_loss":
        return -np.log(_given(names_of(truth), probabilities, texts(list(classes))))
    has = "mae, rmse" if classes is None else "accuracy, log_loss"
    raise ValueError(f"params.yaml: metric {metric!r} cannot decide here; it may be one of {has}")


def mean_loss(metric: str, each: NDArray[np.float64]) -> float:
    """Of all rows, in the metric's own unit."""
    mean = float(each.mean())
    return mean**0.5 if metric == "rmse" else mean


def _given(truth: NDArray[Any], probabilities: Any, classes: Sequence[str | None]) -> NDArray[np.float64]:
    """The probability given to the truth; of a class that the model does not know the least there is."""
    clipped = np.clip(np.asarray(probabilities, dtype=float), EPSILON, 1)
    at = {name: i for i, name in enumerate(classes)}
    column = np.array([at.get(name, -1) for name in truth.tolist()], dtype=int)
    return np.where(column < 0, EPSILON, clipped[np.arange(len(truth)), column])


def _of_classes(
    truth: Any, label: Any, probabilities: Any, classes: Sequence[str | None]
) -> dict[str, float]:
    from sklearn import metrics

    truth, label = names_of(truth), names_of(label)
    found = {
        "accuracy": float(metrics.accuracy_score(truth, label)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, label)),
        "f1_macro": float(metrics.f1_score(truth, label, average="macro", zero_division=0)),
        "log_loss": float(-np.log(_given(truth, probabilities, classes)).mean()),
    }
    if len(classes) == 2 and len(set(truth)) == 2:
        found["auc"] = float(metrics.roc_auc_score(truth == classes[1], np.asarray(probabilities)[:, 1]))
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
