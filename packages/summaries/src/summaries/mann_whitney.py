"""The Mann–Whitney U test, from counts over ordered cells.

Guarantee: U and p equal ``scipy.stats.mannwhitneyu(live, reference, method="asymptotic")``'s: what lies in a gap
of the reference is above and below the same reference rows wherever in it.

Mann, H. B. and Whitney, D. R. (1947). On a test of whether one of two random variables is stochastically larger
than the other. Annals of Mathematical Statistics 18(1), 50–60.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from summaries.counts import Counts


def mann_whitney_counts(reference: Counts, live: Counts) -> tuple[float, float]:
    """``(U, p_value)`` of the live sample, two-sided, over the same ordered cells **without** missing values.

    U / (n1 n2) is the chance that a live row lies above a reference row, ties counting half. p = 1 for an empty
    sample, or where all values are one.

    >>> U, p = mann_whitney_counts(np.array([3, 1, 0]), np.array([0, 1, 3]))
    >>> U, round(p, 6)
    (15.5, 0.032473)
    """
    n1, n2 = int(reference.sum()), int(live.sum())
    if not n1 or not n2:
        return 0.0, 1.0
    below = np.cumsum(reference) - reference
    u = float((live * (below + reference / 2)).sum())
    n, ties = n1 + n2, (reference + live).astype(np.float64)
    variance = n1 * n2 / 12 * ((n + 1) - float((ties**3 - ties).sum()) / (n * (n - 1)))
    if variance <= 0:
        return u, 1.0
    z = (abs(u - n1 * n2 / 2) - 0.5) / math.sqrt(variance)
    return u, float(min(1.0, 2 * ndtr(-z)))
