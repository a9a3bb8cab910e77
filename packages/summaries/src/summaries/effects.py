"""How far two samples' counts are apart, whatever their sizes.

Lewis, E. M. (1994). An Introduction to Credit Scoring. Athena Press (population stability index).
Lin, J. (1991). Divergence measures based on the Shannon entropy. IEEE Trans. Inf. Theory 37(1), 145–151.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from summaries.counts import Counts

FLOOR = 1e-4  # the usual stand-in for an empty share, which would make PSI infinite


def coarsen(reference: Counts, bins: int = 10) -> NDArray[np.int64]:
    """For each ordered cell the number of its bin, bins being about equal shares of the reference.

    >>> coarsen(np.array([0, 5, 0, 5, 0]), bins=2).tolist()
    [0, 0, 1, 1, 1]
    """
    total = reference.sum()
    if not total:
        return np.zeros(len(reference), dtype=np.int64)
    middle = np.cumsum(reference) - reference / 2
    at: NDArray[np.int64] = np.minimum((middle * bins / total).astype(np.int64), bins - 1)
    return at


def psi(reference: Counts, live: Counts, bins: int | None = None) -> float:
    """Population stability index, the symmetrised Kullback–Leibler divergence of the shares.

    ``bins`` for ordered cells (quantiles of the reference); None compares cell by cell, for categories. Below
    0.1 is usually called stable, above 0.25 a shift.

    >>> round(psi(np.array([50, 50]), np.array([25, 75])), 6)
    0.274653
    """
    return psi_and_jensen_shannon(reference, live, bins)[0]


def jensen_shannon(reference: Counts, live: Counts, bins: int | None = None) -> float:
    """Jensen–Shannon distance, in bits: 0 for the same shares, 1 for samples with nothing in common.

    >>> jensen_shannon(np.array([10, 0]), np.array([0, 5]))
    1.0
    """
    return psi_and_jensen_shannon(reference, live, bins)[1]


def psi_and_jensen_shannon(reference: Counts, live: Counts, bins: int | None = None) -> tuple[float, float]:
    """:func:`psi` and :func:`jensen_shannon`, which look at the same shares."""
    p, q = _shares(reference, live, bins)
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(p > 0, p * np.log2(p / m), 0.0) + np.where(q > 0, q * np.log2(q / m), 0.0)
    p, q = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    return float(((q - p) * np.log(q / p)).sum()), float(np.sqrt(max(bits.sum() / 2, 0.0)))


def wasserstein(edges: NDArray[np.float64], reference: Counts, live: Counts) -> tuple[float, float]:
    """``(distance, error)`` of the first Wasserstein distance, in the feature's unit; cells without the missing ones.

    The area between the two distribution functions. Where in a gap a live value lies is not known: it counts
    as spread over the gap, which is off by at most ``error``. Values beyond the outermost edges count as on them.

    >>> wasserstein(np.array([0.0, 1.0]), np.array([0, 1, 0, 1, 0]), np.array([0, 0, 0, 2, 0]))
    (0.5, 0.0)
    """
    n1, n2 = int(reference.sum()), int(live.sum())
    if not n1 or not n2 or len(edges) < 2:
        return 0.0, 0.0
    widths = np.diff(np.asarray(edges, dtype=np.float64))
    difference = np.cumsum(reference) / n1 - np.cumsum(live) / n2
    after, across = difference[1:-2:2], difference[2:-1:2]  # at an edge, and at the end of the gap behind it
    within = live[2:-1:2] / n2 + reference[2:-1:2] / n1
    return float((np.abs(after + across) / 2 * widths).sum()), float((within / 2 * widths).sum())


def _shares(
    reference: Counts, live: Counts, bins: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the cells (or bins) that hold a row; all zero where either sample is empty."""
    if len(reference) != len(live):
        raise ValueError(f"counts over different cells: {len(reference)} and {len(live)}")
    n1, n2 = int(reference.sum()), int(live.sum())
    if not n1 or not n2:
        return np.zeros(0), np.zeros(0)
    if bins is not None:
        at = coarsen(reference, bins)
        reference = np.bincount(at, weights=reference, minlength=bins).astype(np.int64)
        live = np.bincount(at, weights=live, minlength=bins).astype(np.int64)
    used = (reference + live) > 0
    return reference[used] / n1, live[used] / n2
