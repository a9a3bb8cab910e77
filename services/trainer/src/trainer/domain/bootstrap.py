"""The joint test of losses that does not take them as symmetric: the recentred bootstrap of a studentised mean.

Units (rows or spans, see :mod:`trainer.domain.spans`) are drawn again, with replacement, from the differences less their
mean: a world in which no candidate is better. Each draw's largest Student t over the candidates says what the best of
several comes to by chance (single-step maxT; Romano and Wolf 2005). Where gains are small and frequent and losses large and seldom,
a mean above 0 comes with a small deviation; the draws know that, as sign flips do not (Hall 1988).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 9_999
MOST = 1_000  # units; of more, neighbours are added up
CHUNK = 2_000_000  # counts at once


def bootstrap_t(differences: Floats, chosen: int, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """One-sided p-value of column ``chosen`` of ``differences`` [units, candidates], adjusted for all columns.

    Never less than 2^-units, the chance that all gains have one sign: units that are all alike have an infinite t. Where few
    units differ at all it is too hopeful: ask the sign flips too.

    >>> gain = np.random.default_rng(0).normal(0.5, 1.0, (60, 1))
    >>> bootstrap_t(gain, 0) < 0.01 < 0.5 < bootstrap_t(-gain, 0)
    True
    """
    units = neighbours(differences)
    n = len(units)
    if n < 2 or units[:, chosen].mean() <= 0:
        return 1.0
    generator, reached = np.random.default_rng(seed), 1
    bar = (
        _t(units.mean(axis=0), (units**2).mean(axis=0), n)[chosen] - 1e-9
    )  # sums in another order differ in the last bits
    centred = units - units.mean(axis=0)
    size = max(1, CHUNK // n)
    for done in range(0, resamples, size):
        drawn = generator.multinomial(n, np.full(n, 1 / n), min(size, resamples - done)) / n
        reached += int((_t(drawn @ centred, drawn @ centred**2, n).max(axis=1) >= bar).sum())
    return max(reached / (resamples + 1), 0.5**n)


def neighbours(units: Floats) -> Floats:
    """The sums of neighbouring units [at most ``MOST``, candidates], where there are more than that."""
    if len(units) <= MOST:
        return units
    starts = np.arange(MOST) * len(units) // MOST
    return np.asarray(np.add.reduceat(units, starts, axis=0))


def _t(mean: Floats, square: Floats, n: int) -> Floats:
    """Student's t by column; of no deviation an infinite one, or 0 where the mean is 0 too."""
    variance = square - mean**2
    deviation = np.sqrt(np.where(variance > 1e-12 * square, variance, 0.0) / (n - 1))
    return np.where(
        deviation > 0, mean / np.where(deviation > 0, deviation, 1.0), np.where(mean > 0, np.inf, 0.0)
    )
