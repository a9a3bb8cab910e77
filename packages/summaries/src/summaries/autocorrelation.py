"""Whether a reference's rows, in their order, are as good as independent: by the variance of block means.

Tests count each row as news. Where neighbouring rows resemble each other (a slow sensor, a season, the hours of one
day) a window's distribution wanders more than its number of rows allows, and quiet windows alarm too often. The
means of blocks vary by σ²/b for independent rows; by how much more is the variance inflation, and the rows
are worth that much fewer.

Alexopoulos, C. and Seila, A. F. (1996). Implementing the batch means method in simulation experiments. Winter
Simulation Conference, 214–221.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from summaries.counts import Counts
from summaries.quadratic_form import QuadraticForm

BLOCKS = 20
# Twenty independent blocks show more than this once in a hundred thousand times.
NOTABLE = 3.0


def variance_inflation(cells: NDArray[np.int64], reference: Counts) -> float:
    """Of a feature's rows in order, given by their cells [N]; about 1 where they are independent.

    Values enter by their rank, so that a few far ones do not decide. 1 for fewer than four rows a block.

    >>> generator = np.random.default_rng(0)
    >>> apart, slow = generator.integers(0, 50, 4000), np.repeat(generator.integers(0, 50, 40), 100)
    >>> variance_inflation(apart, np.bincount(apart)) < 2, variance_inflation(slow, np.bincount(slow)) > 50
    (True, True)
    """
    length = len(cells) // BLOCKS
    if length < 4:
        return 1.0
    middle = np.cumsum(reference) - reference / 2
    ranks = middle[cells] / max(int(reference.sum()), 1)
    spread = ranks.var()
    if spread <= 0:
        return 1.0
    means = ranks[: BLOCKS * length].reshape(BLOCKS, length).mean(axis=1)
    return float(length * means.var(ddof=1) / spread)


def alarm_share(law: QuadraticForm, share: float, inflation: float) -> float:
    """What share of quiet windows alarms where ``share`` was meant, for a statistic that is inflated.

    >>> law = QuadraticForm([0.5, 0.2, 0.1])
    >>> round(alarm_share(law, 0.001, 1.0), 4), round(alarm_share(law, 0.001, 5.0), 2)
    (0.001, 0.21)
    """
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(law.log_sf(middle)) > math.log(share) else (low, middle)
    return float(law.sf(high / max(inflation, 1.0)))
