"""The two-sample Cramér–von Mises statistic, from counts over ordered cells.

Guarantee: equals ``scipy.stats.cramervonmises_2samp``'s on the samples' cell numbers, midranks for ties.

Anderson, T. W. (1962). On the distribution of the two-sample Cramér–von Mises criterion. Annals of Mathematical
Statistics 33(3), 1148–1159.
"""

from __future__ import annotations

import numpy as np

from summaries.counts import Counts


def cramer_von_mises_counts(reference: Counts, live: Counts) -> float:
    """T of counts over the same ordered cells, **without** that of missing values; 0 for an empty sample.

    >>> round(cramer_von_mises_counts(np.array([3, 1, 0]), np.array([0, 1, 3])), 6)
    0.703125
    """
    n1, n2 = int(reference.sum()), int(live.sum())
    if not n1 or not n2:
        return 0.0
    pooled = (reference + live).astype(np.float64)
    midrank = np.cumsum(pooled) - pooled / 2 + 0.5
    u = n1 * _squares(reference, midrank) + n2 * _squares(live, midrank)
    n = n1 + n2
    return float(u / (n1 * n2 * n) - (4 * n1 * n2 - 1) / (6 * n))


def _squares(sample: Counts, midrank: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Sum over a sample in order of (pooled midrank - own rank)²."""
    a = sample.astype(np.float64)
    d = midrank - (np.cumsum(a) - a)
    return float((a * d**2 - d * a * (a + 1) + a * (a + 1) * (2 * a + 1) / 6).sum())
