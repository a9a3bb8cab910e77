"""Champion against challenger on the same unseen rows, paired.

The question is one-sided: whether to change. What is compared are sums over spans of event time, for rows of a day share
its luck; where there are too few days, over parts of them, or row by row: see :mod:`trainer.domain.spans`.

- Accuracy: sign flips. Row by row and of one candidate this is McNemar's exact test (McNemar 1947): of the rows on
  which exactly one of the two is right, is it the challenger more often than a fair coin would have it?
- Losses (log loss, absolute and squared error): the bootstrap-t, for flips err where losses are skew. It errs where few
  units differ at all; where these are less than half, the larger p-value of the two counts.

A challenger that was chosen among several candidates on these very rows pays for it: see :mod:`trainer.domain.sign_flips`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, lgamma, log
from typing import Any

import numpy as np
from contracts.events import GuardrailSeen
from numpy.typing import NDArray
from scoring import OnnxModel, Unscorable
from summaries.compatible import differences
from summaries.labels import names_of, text
from summaries.profile import Profile

from trainer.domain.bootstrap import bootstrap_t
from trainer.domain.columns import Array
from trainer.domain.ledger import Rows
from trainer.domain.sign_flips import sign_flips
from trainer.domain.spans import DAY, Units, fewest, units
from trainer.domain.tried import Tried

Floats = NDArray[np.float64]
EPSILON = float(np.finfo(np.float64).eps)  # as scikit-learn and summaries.quality clip a probability of 0


@dataclass(frozen=True)
class Scored:
    """What one model says about the holdout: a prediction a row, probabilities by class if it has them."""

    predictions: Array
    probabilities: dict[str, Floats] | None = None

    @classmethod
    def of(cls, onnx: bytes, profile: dict[str, Any], rows: Rows) -> Scored:
        """What a registered version says about rows; slow for many. Raises as :class:`scoring.OnnxModel`."""
        predictions, probabilities = model_of(onnx, profile).score(rows.features, len(rows))
        if probabilities is None or profile["task"] == "regression":
            return cls(predictions)
        table = probabilities.astype(np.float64)
        if table.shape[1] != len(profile["classes"]):
            raise Unscorable(f"it gives {table.shape[1]} probabilities for {len(profile['classes'])} classes")
        return cls(predictions, {name: table[:, i] for i, name in enumerate(profile["classes"])})


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger wins, by how much, and why in plain words."""

    promoted: bool
    gain: float | None
    p_value: float | None
    metrics: dict[str, dict[str, float]]
    reason: str
    guardrails: dict[str, GuardrailSeen] = field(default_factory=dict)


def model_of(onnx: bytes, profile: dict[str, Any]) -> OnnxModel:
    """A registered version, to be asked. Raises as :class:`scoring.OnnxModel`."""
    return OnnxModel(onnx, [field["name"] for field in profile["features"]])


def incompatible(champion: Profile, challenger: Profile) -> Verdict | None:
    """The refusal of a challenger that clients of the champion could not use."""
    changes = differences(champion, challenger)
    return Verdict(False, None, None, {}, f"not compatible: {'; '.join(changes)}") if changes else None


def mcnemar(champion_right: Array, challenger_right: Array) -> float:
    """Exact one-sided p-value: chance of at least as many rows won by the challenger if both were as good.

    >>> round(mcnemar(np.array([0, 0, 0, 0, 1]), np.array([1, 1, 1, 1, 1])), 4)
    0.0625
    """
    won = int(np.sum(~champion_right.astype(bool) & challenger_right.astype(bool)))
    lost = int(np.sum(champion_right.astype(bool) & ~challenger_right.astype(bool)))
    n = won + lost
    if n == 0:
        return 1.0
    tail = (exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2)) for k in range(won, n + 1))
    return min(1.0, sum(tail))


def proof(gains: Floats, chosen: int, *, symmetric: bool, seed: int = 0) -> tuple[float, str]:
    """One-sided p-value of column ``chosen`` of ``gains`` [units, candidates], and the name of the test.

    ``symmetric``: a gain is as likely as a loss of the same size where neither is better, as of right and wrong answers.
    """
    if symmetric:
        return sign_flips(gains, chosen, seed), "sign-flip test"
    p_value = bootstrap_t(gains, chosen, seed)
    if 2 * np.count_nonzero(gains[:, chosen]) >= len(gains):
        return p_value, "bootstrap test"
    return max(p_value, sign_flips(gains, chosen, seed)), "bootstrap and sign-flip tests"


def log_losses(truth: NDArray[np.str_], probabilities: dict[str, Floats]) -> Floats:
    """-log of the probability given to the truth, row by row; a class the model does not know has none."""
    given = np.zeros(len(truth))
    for name, column in probabilities.items():
        mask = truth == text(name)
        given[mask] = np.asarray(column, dtype=np.float64)[mask]
    return -np.log(np.clip(given, EPSILON, 1.0))


def auc(positive: Array, score: Floats) -> float:
    """Area under the ROC curve, by ranks (Mann-Whitney); ties count half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    n1 = int(positive.sum())
    n0 = len(positive) - n1
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)) if n1 and n0 else float("nan")


def measure(truth: Array, scored: Scored, task: str) -> dict[str, float]:
    """All metrics that a model's answers to rows have."""
    if task == "regression":
        error = np.asarray(scored.predictions, dtype=np.float64) - truth.astype(np.float64)
        return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}
    names = names_of(truth)
    metrics = {"accuracy": float((names_of(scored.predictions) == names).mean())}
    if scored.probabilities:
        metrics["log_loss"] = float(log_losses(names, scored.probabilities).mean())
        if len(scored.probabilities) == 2:
            last = list(scored.probabilities)[-1]
            area = auc(names == text(last), np.asarray(scored.probabilities[last], dtype=np.float64))
            if area == area:
                metrics["auc"] = area
    return metrics


def challenge(
    truth: Array,
    champion: Scored,
    challenger: Scored,
    *,
    metric: str,
    task: str,
    min_gain: float,
    promote_p_value: float,
    seed: int = 0,
    tried: Tried | None = None,
    event_time: NDArray[np.int64] | None = None,
    span_ms: int = DAY,
) -> Verdict:
    """Decide. Metrics: ``accuracy``, ``log_loss`` (classification), ``mae``, ``rmse`` (regression).

    ``tried``: the candidates among which the challenger is the best on these rows. Raises ``ValueError`` where its metric
    or its losses are not the challenger's. ``event_time`` [rows] in ms, in order: rows within ``span_ms`` share their luck
    (None: no two do).
    """
    metrics = {
        name: measure(truth, s, task) for name, s in (("champion", champion), ("challenger", challenger))
    }
    if metric not in metrics["champion"] or metric not in metrics["challenger"]:
        raise ValueError(f"metric {metric!r} cannot be computed; there are {sorted(metrics['champion'])}")
    was, is_ = metrics["champion"][metric], metrics["challenger"][metric]
    gain = is_ - was if metric == "accuracy" else was - is_
    old, new = (losses(truth, scored, metric) for scored in (champion, challenger))
    margin = min_gain if metric in ("log_loss", "mae") else 0.0
    table = {} if tried is None else tried.checked(metric, new).losses
    several, chosen = len(table) > 1, 0
    each = np.column_stack(list(table.values())) if several else new[:, None]
    among = ""
    if tried is not None and several:
        chosen = list(table).index(tried.chosen)
        among = f", trained on {tried.chosen!r}, chosen among {len(table)}"
    by = Units.rows(len(truth)) if event_time is None else units(event_time, span_ms, fewest(promote_p_value))
    gains = old[:, None] - each - margin
    if metric == "accuracy" and not several and by.name == "rows":
        p_value, test = mcnemar(old == 0, new == 0), "McNemar"
    else:
        p_value, test = proof(by.sums(gains), chosen, symmetric=metric == "accuracy", seed=seed)
    test = f"{'joint ' if several else ''}{test} by {by.name}"
    figures = f"{metric} {is_:.4f} against the champion's {was:.4f} on {len(truth)} unseen rows{among}"
    if gain <= min_gain:
        reason = f"not better: {figures} (gain {gain:+.4f}, must exceed {min_gain:g})"
    elif p_value > promote_p_value:
        reason = f"not proven: {figures} ({test} p = {p_value:.4f}, must be at most {promote_p_value:g})"
    else:
        return Verdict(True, gain, p_value, metrics, f"better: {figures} ({test} p = {p_value:.4f})")
    return Verdict(False, gain, p_value, metrics, reason)


def losses(truth: Array, scored: Scored, metric: str) -> Floats:
    """What each row [rows] costs a model in a metric: 1 for a wrong answer, squares for ``rmse``."""
    if metric == "accuracy":
        return np.asarray(names_of(scored.predictions) != names_of(truth), dtype=np.float64)
    if metric == "log_loss":
        return log_losses(names_of(truth), scored.probabilities or {})
    error = np.asarray(scored.predictions, dtype=np.float64) - truth.astype(np.float64)
    return np.abs(error) if metric == "mae" else error**2
