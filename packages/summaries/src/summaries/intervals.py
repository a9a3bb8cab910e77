"""95% confidence intervals of quality, from the same counts and sums as the figures.

What varies is which rows came: an interval says how far the figure of so many rows may lie from that of all rows of
the same kind. Proportions: E. B. Wilson, "Probable inference, the law of succession, and statistical inference"
(1927). Means of proportions: G. Y. Zou, W. Huang, X. Zhang, "A note on confidence interval estimation for a linear
function of binomial proportions" (2009). F1 of one class is a function of TP / (TP + FP + FN), a proportion.
Averages of F1 and weighted ones: the delta method on the confusion counts, as K. Takahashi and others, "Confidence
interval for micro-averaged F1 and macro-averaged F1 scores" (2022). AUC: E. R. DeLong, D. M. DeLong, D. L.
Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic curves" (1988),
on the logit scale. Average precision: K. Boyd, K. H. Eng, C. D. Page, "Area under the precision-recall curve: point
estimates and confidence intervals" (2013), the logit interval. Means: Student's t. RMSE and R²: the delta method on
the logarithm of the mean square and of 1 - R².

Sums that are not whole yet (a correction took a row out that another part counted) may be negative. They are of no set
of rows, so there is no interval of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from summaries.classification import OTHER, UNIT, Classification
from summaries.counts import Counts
from summaries.regression import Regression

Z = 1.959963984540054  # of the normal distribution's 97.5%

Interval = tuple[float, float]
Floats = NDArray[np.float64]
_WHOLE = int(UNIT)
_ROUNDING = 64 * _WHOLE  # a row's loss, at most 37, and its square are rounded to units, each on its own


def intervals(quality: Classification | Regression) -> dict[str, Interval]:
    """``{metric: (low, high)}`` of ``get``; a metric whose spread the rows do not show has none.

    >>> quality = Classification(["no", "yes"])
    >>> quality.update(["yes"] * 8 + ["no"] * 2, ["yes"] * 10)
    >>> low, high = intervals(quality)["accuracy"]
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    found = _of_classes(quality) if isinstance(quality, Classification) else _of_numbers(quality)
    return {name: limits for name, limits in found.items() if all(map(math.isfinite, limits))}


def class_intervals(quality: Classification) -> dict[str, dict[str, Interval]]:
    """``{class: {"precision" | "recall" | "f1": (low, high)}}``; only those of which there are rows."""
    counts = quality.counts
    if (counts < 0).any():
        return {}
    hits, actual, named = _margins(counts)
    found = {}
    for i, name in enumerate([*quality.classes, OTHER]):
        h, a, m = float(hits[i]), float(actual[i]), float(named[i])
        each = {"precision": (h, m), "recall": (h, a)}
        these = {figure: wilson(*of) for figure, of in each.items() if of[1] > 0}
        if a + m > 0:
            these["f1"] = _f1(h, a, m)
            found[name] = these
    return found


def wilson(hits: float, rows: float) -> Interval:
    """The interval of a proportion; ``rows`` above 0.

    >>> [round(limit, 4) for limit in wilson(0, 10)]
    [0.0, 0.2775]
    """
    share, extra = hits / rows, Z * Z / rows
    half = Z * math.sqrt(share * (1 - share) / rows + extra / (4 * rows))
    middle = share + extra / 2
    return max(0.0, (middle - half) / (1 + extra)), min(1.0, (middle + half) / (1 + extra))


def _margins(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Hits, true rows and predicted rows [classes and (other)]."""
    return np.append(np.diag(counts)[:-1], 0), counts.sum(axis=1), counts.sum(axis=0)


def _f1(hits: float, actual: float, named: float) -> Interval:
    low, high = wilson(hits, actual + named - hits)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _mean_of_shares(hits: Counts, rows: Counts) -> Interval:
    """The interval of the mean of independent proportions, from the distances to their own limits."""
    shares = hits / rows
    limits = np.array([wilson(h, n) for h, n in zip(hits.tolist(), rows.tolist(), strict=True)])
    below, above = np.sqrt(((limits - shares[:, None]) ** 2).sum(axis=0)) / len(shares)
    return max(0.0, float(shares.mean() - below)), min(1.0, float(shares.mean() + above))


def _of_classes(quality: Classification) -> dict[str, Interval]:
    counts = quality.counts
    if (counts < 0).any() or not counts.any():
        return {}
    metrics = quality.get()
    hits, actual, named = _margins(counts)
    true = np.flatnonzero(actual)
    found = {
        "accuracy": wilson(float(hits.sum()), quality.rows),
        "balanced_accuracy": _mean_of_shares(hits[true], actual[true]),
    }
    two = len(quality.classes) == 2
    if two:
        for name, of in (("precision", named[1]), ("recall", actual[1])):
            if of > 0:
                found[name] = wilson(float(hits[1]), float(of))
        if actual[1] + named[1] > 0:
            found["f1"] = _f1(float(hits[1]), float(actual[1]), float(named[1]))
    suffix = "_macro" if two else ""
    occurs = np.flatnonzero(actual + named)
    for name, of in (("precision", named), ("recall", actual)):
        # A class without rows counts as 0 in the average, and how far it may be from that cannot be said.
        if (of[occurs] > 0).all():
            found[f"{name}{suffix}"] = _mean_of_shares(hits[occurs], of[occurs])
    if len(occurs) > 1:
        for name, spread in _averages(counts, occurs).items():
            key = name if name != "f1_macro" or two else "f1"
            found[key] = (max(0.0, metrics[key] - Z * spread), min(1.0, metrics[key] + Z * spread))
    scored = quality.scored_cells()[3]
    if scored.sum() > 1 and (scored >= 0).all():
        for name in ("log_loss", "brier"):
            units, squares = getattr(quality, f"{name}_units"), getattr(quality, f"{name}_squares")
            limits = _mean(quality.scored, units, squares * _WHOLE)
            if limits is not None:
                found[name] = limits
        found |= _ranked(quality, metrics)
    return found


def _averages(counts: Counts, occurs: Counts) -> dict[str, float]:
    """Standard errors of macro and weighted averages, by the delta method on the shares of the confusion.

    Four rows are added for it, two right and two wrong, spread evenly: so a confusion without errors has a spread.
    Two labels outside the classes may be two, so (other) as (other) is wrong, as it is in the metrics.

    How the average of F1 or precision moves with the share of the cell [true, predicted] is a term of its row, a term
    of its column and, of right cells, a term of the diagonal: memory and time go with the square of the classes.
    """
    k, n = len(occurs), int(counts.sum())
    of_class = occurs < len(counts) - 1  # (other) is last
    right = np.diag(of_class)
    correct = int(of_class.sum())
    padded = counts[np.ix_(occurs, occurs)] + np.where(right, 2 / correct, 2 / (k * k - correct))
    share: Floats = padded / padded.sum()
    hits, actual, named = np.diag(share) * of_class, share.sum(axis=1), share.sum(axis=0)
    both = actual + named
    f1, precision = 2 * hits / both, hits / named
    found = {}
    for name, weight, extra in (("f1_macro", np.full(k, 1 / k), 0 * f1), ("f1_weighted", actual, f1)):
        per = weight / both
        found[name] = _spread(share, extra - per * f1, -per * f1, 2 * per * of_class, n)
    per = actual / named
    found["precision_weighted"] = _spread(share, precision, -per * precision, per * of_class, n)
    return found


def _spread(share: Floats, of_row: Floats, of_column: Floats, of_diagonal: Floats, n: int) -> float:
    """The standard error of what moves with ``share`` [k, k] by a term of the row, the column and the diagonal [k]."""
    slope = of_row[:, None] + of_column
    slope[np.diag_indices_from(slope)] += of_diagonal
    mean = float(np.vdot(share, slope))
    slope *= slope
    return math.sqrt(max(float(np.vdot(share, slope)) - mean**2, 0.0) / n)


def _ranked(quality: Classification, metrics: dict[str, float]) -> dict[str, Interval]:
    """AUC and, of two classes, average precision.

    How the AUCs of several classes go together the histograms do not say: the spread of their mean is taken to be the
    mean of their spreads, which it never exceeds.
    """
    found = {}
    spreads = [
        s for negative, positive in quality.histogram if (s := _delong(negative, positive)) is not None
    ]
    if spreads and 0 < metrics["auc"] < 1 and max(spreads) > 0:
        found["auc"] = _logit(metrics["auc"], float(np.mean(spreads)))
    value = metrics.get("pr_auc", 0.0)
    if len(quality.classes) == 2 and 0 < value < 1:
        positives = int(quality.histogram[0, 1].sum())
        found["pr_auc"] = _logit(value, math.sqrt(value * (1 - value) / positives))
    return found


def _delong(negative: Counts, positive: Counts) -> float | None:
    """The standard error of the AUC from counts [bins]; None with fewer than two rows of a class, or negative ones."""
    if min(negative.min(), positive.min()) < 0:
        return None
    m, n = int(positive.sum()), int(negative.sum())
    if m < 2 or n < 2:
        return None
    # The share of the other class that a row of the bin ranks above, ties a half.
    of_positive = (np.cumsum(negative) - negative / 2) / n
    of_negative = 1 - (np.cumsum(positive) - positive / 2) / m
    return math.sqrt(_variance(of_positive, positive) / m + _variance(of_negative, negative) / n)


def _variance(values: Floats, rows: Counts) -> float:
    total = int(rows.sum())
    mean = float(rows @ values) / total
    return float(rows @ (values - mean) ** 2) / (total - 1)


def _logit(value: float, spread: float) -> Interval:
    middle, half = math.log(value / (1 - value)), Z * spread / (value * (1 - value))
    return _expit(middle - half), _expit(middle + half)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(max(x, -700.0)) / (1 + math.exp(max(x, -700.0)))


def _mean(rows: int, units: int, squares: int) -> Interval | None:
    """The interval of a mean from its sum in units and its sum of squares in squared units; two or more rows.

    None where no rows have these sums, or their spread is beyond any float.
    """
    over = rows * squares - units * units
    if over < -_ROUNDING * rows * rows:
        return None
    try:
        spread = max(over, 0) / (rows * rows * (rows - 1) * _WHOLE * _WHOLE)
        middle = units / (rows * _WHOLE)
    except OverflowError:
        return None
    half = float(stdtrit(rows - 1, 0.975)) * math.sqrt(spread)
    return middle - half, middle + half


def _of_numbers(quality: Regression) -> dict[str, Interval]:
    n = quality.rows
    if n < 2 or not _may_be(quality):
        return {}
    metrics = quality.get()
    found = {}
    for name, units, squares in (
        ("mae", quality.absolute, quality.squared),
        ("bias", quality.error, quality.squared),
        ("mape", quality.percentage, quality.percentage_squared),
    ):
        limits = _mean(n, units, squares)
        if limits is not None:
            found[name] = limits if name == "bias" else (max(0.0, limits[0]), limits[1])
    if quality.squared:
        # Of the logarithm of the mean square: E e⁴ / (E e²)² - 1.
        kurtosis = n * quality.fourth / quality.squared**2
        half = Z * math.sqrt(max(kurtosis - 1, 0.0) / n) / 2
        found["rmse"] = (metrics["rmse"] * math.exp(-half), metrics["rmse"] * math.exp(half))
        spread = n * quality.truth_squared - quality.truth**2
        if spread > 0 and "r2" in metrics:
            limits = _r2(quality, metrics["r2"], kurtosis, spread)
            if limits is not None:
                found["r2"] = limits
    return found


def _may_be(quality: Regression) -> bool:
    """Whether sums may be those of rows: none negative that cannot be, and E e² and E e⁴ go together."""
    least = min(
        quality.absolute, quality.squared, quality.truth_squared, quality.truth_fourth,
        quality.squared_by_truth_squared, quality.percentage, quality.percentage_squared,
    )  # fmt: skip
    return least >= 0 and quality.fourth <= quality.squared**2 <= quality.rows * quality.fourth


def _r2(quality: Regression, r2: float, kurtosis: float, spread: int) -> Interval | None:
    """Of ln(1 - R²) = ln E e² - ln E d², d the truth's distance to its mean: E (e² / E e² - d² / E d²)².

    None where no rows have these sums.
    """
    n, t = quality.rows, quality.truth
    fourth = _dot(
        (n**4, quality.truth_fourth), (-4 * n**3 * t, quality.truth_cubed),
        (6 * n**2 * t**2, quality.truth_squared), (-3 * n * t**3, t),
    )  # fmt: skip
    both = _dot(
        (n**2, quality.squared_by_truth_squared),
        (-2 * n * t, quality.squared_by_truth),
        (t**2, quality.squared),
    )
    # Of rows the kurtosis lies between 1 and n, and the product has no more than Cauchy and Schwarz allow.
    if both < 0 or both**2 > quality.fourth * fourth or not n * spread**2 <= fourth <= (n * spread) ** 2:
        return None
    variance = kurtosis - 2 * both / (quality.squared * spread) + fourth / (n * spread**2)
    half = Z * math.sqrt(max(variance, 0.0) / n)
    return 1 - (1 - r2) * math.exp(half), 1 - (1 - r2) * math.exp(-half)


def _dot(*products: Sequence[int]) -> int:
    return sum(a * b for a, b in products)
