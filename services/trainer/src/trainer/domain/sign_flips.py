"""The joint test that pays for a choice among candidates: are the best one's gains more than chance gives the best of several?

Were a candidate no better than the champion, each unit's difference (a row's, or the sum of a span's rows: see
:mod:`trainer.domain.spans`) might as well have had the other sign. All differences of a unit change sign together, so that candidates that err alike stay alike: the maximum over their
statistics is then hardly larger than one, and costs less than Bonferroni's correction (Westfall and Young 1993; Romano and
Wolf 2005). Of one candidate, rows and accuracy it is McNemar's exact test in law.

Units must be independent, and a difference as likely as its negative. Wrong answers are: they count 1 or -1. Losses may be
skew, little better nearly always and much worse seldom: those are for :mod:`trainer.domain.bootstrap`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLIPS = 9_999
CHUNK = 4_000_000  # signs at once: 32 MB as float64


def sign_flips(differences: Floats, chosen: int, seed: int = 0, flips: int = FLIPS) -> float:
    """One-sided p-value of column ``chosen`` of ``differences`` [units, candidates], adjusted for all columns (single-step maxT).

    A column's statistic is its sum over the root of its sum of squares, which sign flips leave alone: without that
    the noisiest candidate would set the bar for all. Chance of a maximum over the columns as large as the chosen one's,
    over all signs where these are fewer than ``flips``, else over ``flips`` seeded ones (never 0 then).

    >>> sign_flips(np.array([[1.0], [1.0], [1.0], [1.0]]), 0)
    0.0625
    >>> sign_flips(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]), 0)  # a copy costs nothing
    0.0625
    """
    rows = differences[np.any(differences != 0, axis=1)]
    if not len(rows):
        return 1.0
    scale = np.sqrt((rows**2).sum(axis=0))
    scaled = rows / np.where(scale > 0, scale, 1.0)
    bar = scaled[:, chosen].sum() - 1e-9  # sums in another order differ in the last bits
    if 2 ** min(len(rows), 60) <= flips:
        every = (np.arange(2 ** len(rows))[:, None] >> np.arange(len(rows))) & 1
        return _reached(every.astype(np.float64), scaled, bar) / len(every)
    generator, reached = np.random.default_rng(seed), 1
    size = max(1, CHUNK // len(rows))
    for done in range(0, flips, size):
        n = min(size, flips - done)
        bits = np.frombuffer(generator.bytes(n * ((len(rows) + 7) // 8)), dtype=np.uint8).reshape(n, -1)
        signs = np.unpackbits(bits, axis=1, count=len(rows))
        reached += _reached(signs.astype(np.float64), scaled, bar)
    return reached / (flips + 1)


def _reached(kept: Floats, scaled: Floats, bar: float) -> int:
    """How many of the flips [flips, units] (1 keeps a sign, 0 changes it) have a maximum of at least ``bar``."""
    sums = 2 * (kept @ scaled) - scaled.sum(axis=0)
    return int((sums.max(axis=1) >= bar).sum())
