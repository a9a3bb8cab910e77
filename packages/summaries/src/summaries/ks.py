"""The two-sample Kolmogorov–Smirnov test, from counts over ordered cells.

Guarantee: D equals ``scipy.stats.ks_2samp``'s (its default method) to the last bit, ties included, where the
cells are those of all distinct values of one sample. p is scipy's exact one up to 1,000 rows a sample, above
that scipy's asymptotic one, or where that is above 0.96 its limit, at most 0.004 from it; with ties all are
conservative.

Hodges, J. L. (1958). The significance probability of the Smirnov two-sample test. Arkiv för Matematik 3(5),
469–486.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import ks_2samp, kstwo

from summaries.counts import Counts

EXACT_UP_TO = 1_000  # scipy computes exactly up to 10,000, at up to a quarter of a second a test
_SCIPY_EXACT_UP_TO = 10_000
_SURE = 0.5  # below this √n D, p is above 0.96


def ks_2samp_counts(reference: Counts, live: Counts, exact_up_to: int = EXACT_UP_TO) -> tuple[float, float]:
    """``(D, p_value)`` of counts over the same ordered cells, **without** the cell of missing values.

    D is the largest distance of the two empirical distribution functions. Without rows on either side nothing
    contradicts sameness: D = 0, p = 1.

    >>> D, p = ks_2samp_counts(np.array([0, 3, 0, 1]), np.array([1, 0, 0, 3]))
    >>> D, round(p, 6)
    (0.5, 0.771429)
    """
    if len(reference) != len(live):
        raise ValueError(f"counts over different cells: {len(reference)} and {len(live)}")
    n1, n2 = int(reference.sum()), int(live.sum())
    if not n1 or not n2:
        return 0.0, 1.0
    # The same operations on the same numbers as scipy's, so that rounding is the same too.
    difference = np.cumsum(reference) / n1 - np.cumsum(live) / n2
    d = float(max(-difference.min(), difference.max(), 0.0))
    if max(n1, n2) <= _SCIPY_EXACT_UP_TO:  # D is a multiple of 1/lcm(n1, n2); scipy rounds it to one here
        lcm = n1 // math.gcd(n1, n2) * n2
        d = int(np.round(d * lcm)) * 1.0 / lcm
    if max(n1, n2) <= exact_up_to:
        cells = np.arange(len(reference))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where exact is not possible scipy falls back
            exact = ks_2samp(np.repeat(cells, reference), np.repeat(cells, live), method="exact")
        return d, float(exact.pvalue)
    # At least 1: for one row against one scipy rounds to 0 and answers NaN.
    effective = max(np.round(float(n1) * n2 / (n1 + n2)), 1.0)
    if math.sqrt(effective) * d < _SURE and effective > EXACT_UP_TO / 2:
        return d, float(kolmogorov(math.sqrt(effective) * d))  # kstwo takes a millisecond for these
    # sf itself, without the checks of arguments around it, which take longer than it does
    return d, float(np.clip(kstwo._sf(d, effective), 0.0, 1.0))
