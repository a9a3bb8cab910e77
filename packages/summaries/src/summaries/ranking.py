"""ROC AUC and average precision from histograms of scores, and by how much the bins may put them off.

A bin knows how many of its rows are positive, not in which order they come. Both figures take the rows of a
bin as tied, and so equal scikit-learn's on the binned scores. The error is the distance to the farthest that
any order within the bins can give.

Sources: H. B. Mann, D. R. Whitney, "On a test of whether one of two random variables is stochastically larger
than the other" (1947); T. Fawcett, "An introduction to ROC analysis" (2006); scikit-learn's
``average_precision_score`` for the sum of steps, not the trapezium, under the precision-recall curve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Histogram = NDArray[np.int64] | NDArray[np.float64]


def auc(negative: Histogram, positive: Histogram) -> tuple[float, float] | None:
    """``(AUC, error)`` from counts [bins] of each class, scores ascending; None where a class is empty.

    The error is half the share of pairs that fell in one bin.

    >>> auc(np.array([2, 1, 0]), np.array([0, 1, 2]))
    (0.9444444444444444, 0.05555555555555555)
    """
    pairs = float(negative.sum()) * float(positive.sum())
    if not pairs:
        return None
    tied = float((positive * negative).sum())
    below = float((positive * (np.cumsum(negative) - negative)).sum())
    return (below + tied / 2) / pairs, tied / 2 / pairs


def average_precision(negative: Histogram, positive: Histogram) -> tuple[float, float] | None:
    """``(average precision, error)`` from counts [bins], scores ascending; None where a class is empty.

    Above: all positives of a bin tie ahead of its negatives. Below: the negatives come first and the positives
    follow one by one; their sum of 1/(a + i) is bounded by a logarithm.

    >>> value, error = average_precision(np.array([2, 1, 0]), np.array([0, 1, 2]))
    >>> round(value, 4), round(error, 4)
    (0.9167, 0.0833)
    """
    total = float(positive.sum())
    if not total or not float(negative.sum()):
        return None
    at = np.flatnonzero(positive)[::-1]
    p, n = (np.asarray(counts[at], dtype=np.float64) for counts in (positive, negative))
    # Rows above the bin: positives from the cumulated positives, negatives from all of the other class.
    above_p = np.maximum(total - np.cumsum(positive)[at], 0.0)  # expected rows leave a rounding error
    above_n = np.maximum(float(negative.sum()) - np.cumsum(negative)[at], 0.0)
    tied = p * (above_p + p) / (above_p + p + above_n + n)
    best = p * (above_p + p) / (above_p + p + above_n)
    first = above_n + n
    start = np.where(first > 0, above_p + first, 1.0)  # without negatives the logarithm does not count
    worst = p - first * np.log1p(p / start)
    value = float(tied.sum()) / total
    error = max(float(best.sum()) / total - value, value - float(worst.sum()) / total)
    return value, error
