"""The standard error of a mean of rows that share their luck within spans, such as days, and are independent between them."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray


def standard_error(values: NDArray[np.float64], span: NDArray[np.int64]) -> tuple[float, int]:
    """Of the mean of ``values`` [rows] whose ``span`` [rows] is numbered from 0 on; and how many spans there are.

    A ratio estimate over the spans' sums, whose sizes may differ (Cochran 1977, 6.4). Infinite for fewer than two.

    >>> standard_error(np.array([1.0, 1, 0, 0]), np.array([0, 0, 1, 1]))
    (0.5, 2)
    """
    deviations = np.bincount(span, values - values.mean())
    n = len(deviations)
    if n < 2:
        return inf, n
    return sqrt(n / (n - 1) * float((deviations**2).sum())) / len(values), n
