"""The two-sample Anderson–Darling test, from counts over ordered cells.

Guarantee: the statistic equals ``scipy.stats.anderson_ksamp``'s (midranks) on the samples' cell numbers: exact
where no two distinct live values share a gap of the reference, and otherwise as if those were tied. Its
p-value is that of the asymptotic law *under the reference's own ties*: the weighted sum of χ²₁ variables whose
weights are the eigenvalues of the process it integrates. A feature of a few distinct values gets the
law of a few variables, not that of a continuous one, under which it would alarm too often.

Scholz, F. W. and Stephens, M. A. (1987). K-sample Anderson–Darling tests. JASA 82(399), 918–924.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from summaries.counts import Counts
from summaries.quadratic_form import QuadraticForm

GROUPS = 200  # of about equal mass, which the eigenvalues are computed over


def anderson_darling_counts(reference: Counts, live: Counts) -> NDArray[np.float64]:
    """A² of counts over the same ordered cells, **without** that of missing values; 1 is its mean under sameness.

    The squared distance of the two distribution functions at the cells' middles, in units of its variance.
    ``live`` [cells], or [windows, cells] for a value each. 0 where either sample is empty.

    >>> round(float(anderson_darling_counts(np.array([3, 1, 0]), np.array([0, 1, 3]))), 6)
    4.4625
    """
    if reference.shape[-1] != live.shape[-1]:
        raise ValueError(f"counts over different cells: {reference.shape[-1]} and {live.shape[-1]}")
    if live.ndim == 1:
        return np.asarray(_of_one(reference.astype(np.float64), live.astype(np.float64)))
    n1, n2 = reference.sum(), live.sum(axis=-1, keepdims=True)
    n = n1 + n2
    ties = (reference + live).astype(np.float64)
    middle = np.cumsum(ties, axis=-1) - ties / 2  # B_j of the paper
    mine = live.astype(np.float64)
    distance = n * (np.cumsum(mine, axis=-1) - mine / 2) - n2 * middle
    spread = middle * (n - middle) - n * ties / 4
    # One cell for all: nothing to tell apart, and 0/0.
    terms = np.divide(ties * distance**2, spread, out=np.zeros_like(ties), where=spread > 0)
    scale = np.divide(n - 1, n * n1 * n2, out=np.zeros(n.shape), where=(n1 * n2) > 0)
    a2: NDArray[np.float64] = (scale * terms.sum(axis=-1, keepdims=True))[..., 0]
    return a2


def _of_one(reference: NDArray[np.float64], live: NDArray[np.float64]) -> float:
    """As for many, for a single window: in place, because most of a judgement is spent here."""
    n1, n2 = float(reference.sum()), float(live.sum())
    n = n1 + n2
    if not n1 or not n2:
        return 0.0
    ties = reference + live
    middle = np.cumsum(ties)
    middle -= 0.5 * ties
    distance = np.cumsum(live)
    distance -= 0.5 * live
    distance *= n
    distance -= n2 * middle
    spread = n - middle
    spread *= middle
    spread -= 0.25 * n * ties
    distance *= distance
    distance *= ties
    terms = np.divide(distance, spread, out=np.zeros_like(ties), where=spread > 0)
    return float(terms.sum()) * (n - 1) / (n * n1 * n2)


def null_law(reference: Counts) -> QuadraticForm:
    """The law of A² where both samples come from what the reference was drawn from.

    Weights are the eigenvalues of the correlation of the distribution function's estimate at the cells'
    middles, weighted by the cells' shares; they sum to 1.

    >>> null_law(np.array([1, 1])).weights.round(6).tolist()  # two values: a single χ² of one degree
    [1.0]
    """
    total = int(reference.sum())
    if not total:
        return QuadraticForm([1.0])
    grouped = np.bincount(group_of(reference), weights=reference)
    shares = grouped[grouped > 0] / total
    middle = np.cumsum(shares) - shares / 2
    variance = middle * (1 - middle) - shares / 4
    keep = variance > 1e-15
    if not keep.any():
        return QuadraticForm(np.array([1.0]))  # a constant: A² is 0
    shares, middle, variance = shares[keep], middle[keep], variance[keep]
    low, high = np.minimum.outer(middle, middle), np.maximum.outer(middle, middle)
    covariance = low * (1 - high)
    np.fill_diagonal(covariance, variance)
    scale = np.sqrt(shares / variance)
    weights = np.linalg.eigvalsh(covariance * np.outer(scale, scale))[::-1]
    return QuadraticForm(weights[weights > 1e-6])


def group_of(reference: Counts) -> NDArray[np.int64]:
    """For each cell its group of neighbours, of about equal mass; a cell that outweighs a group stays alone.

    >>> group_of(np.array([1, 0, 98, 1])).tolist()
    [1, 2, 100, 199]
    """
    middle = np.cumsum(reference) - reference / 2
    return np.minimum((middle * GROUPS / max(int(reference.sum()), 1)).astype(np.int64), GROUPS - 1)
