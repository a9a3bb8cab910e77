"""Whether the share of missing values changed: a 2×2 table's exact test where few are expected, else the normal one.

Fisher, R. A. (1935). The logic of inductive inference. Journal of the Royal Statistical Society 98(1), 39–82.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, log_ndtr

EXACT_BELOW = 25.0  # expected in the rarest of the four cells


def missing_log_p(reference: int, reference_rows: int, live: int, live_rows: int) -> float:
    """ln p, two-sided, of ``live`` missing among ``live_rows`` against ``reference`` among ``reference_rows``.

    The exact test doubles the smaller tail. No difference can be told where nothing or everything is missing.

    >>> round(math.exp(missing_log_p(0, 2000, 5, 500)), 6)
    0.00063
    >>> missing_log_p(0, 2000, 0, 500)
    0.0
    """
    total, missing = reference_rows + live_rows, reference + live
    if missing in (0, total) or not live_rows or not reference_rows:
        return 0.0
    rarest = min(missing, total - missing) * min(live_rows, reference_rows) / total
    if rarest >= EXACT_BELOW:
        share = missing / total
        spread = math.sqrt(share * (1 - share) * (1 / live_rows + 1 / reference_rows))
        half = (1 / live_rows + 1 / reference_rows) / 2  # Yates's correction
        z = max(0.0, abs(live / live_rows - reference / reference_rows) - half) / spread
        return min(0.0, math.log(2) + float(log_ndtr(-z)))
    k = np.arange(max(0, missing - reference_rows), min(missing, live_rows) + 1)
    log_pmf = (
        _log_choose(missing, k) + _log_choose(total - missing, live_rows - k) - _log_choose(total, live_rows)
    )
    return min(0.0, math.log(2) + min(_log_sum(log_pmf[k >= live]), _log_sum(log_pmf[k <= live])))


def _log_sum(logs: NDArray[np.float64]) -> float:
    """ln of a sum of exponentials; scipy's takes longer than all the rest of a test."""
    largest = float(logs.max())
    return largest + math.log(float(np.exp(logs - largest).sum()))


def _log_choose(n: int, k: ArrayLike) -> NDArray[np.float64]:
    taken = np.asarray(k)
    found: NDArray[np.float64] = gammaln(n + 1) - gammaln(taken + 1) - gammaln(n - taken + 1)
    return found
