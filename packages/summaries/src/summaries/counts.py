"""Counts over numbered cells: the only state a window has, and it adds.

Guarantee: counts are exact ``int64``; :func:`merge` is associative and commutative, :func:`zeros` its
identity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def zeros(size: int) -> Counts:
    """No row yet: the identity of :func:`merge`."""
    return np.zeros(size, dtype=np.int64)


def count(indices: NDArray[np.int64], size: int) -> Counts:
    """How many of ``indices`` name each of ``size`` cells.

    >>> count(np.array([0, 2, 2]), 4).tolist()
    [1, 0, 2, 0]
    """
    if not len(indices):
        return zeros(size)
    counted = np.bincount(indices, minlength=size)
    if len(counted) != size:
        raise ValueError(f"cell {len(counted) - 1} of {size}")
    return counted.astype(np.int64, copy=False)


def update(counts: Counts, indices: NDArray[np.int64]) -> Counts:
    """``counts`` with ``indices`` added, in place; a single row costs no more than its cell."""
    if len(indices) == 1:
        counts[indices[0]] += 1
    else:
        counts += count(indices, len(counts))
    return counts


def merge(*parts: Counts) -> Counts:
    """The sum of parts counted over the same cells; refuses others.

    >>> merge(np.array([1, 0]), np.array([2, 5])).tolist()
    [3, 5]
    """
    sizes = {len(part) for part in parts}
    if len(sizes) != 1:
        raise ValueError(f"counts over different cells do not add: sizes {sorted(sizes)}")
    total = zeros(len(parts[0]))
    for part in parts:
        total += part
    return total


def to_sparse(counts: Counts) -> tuple[list[int], list[int]]:
    """``(indices, counts)`` of the cells that are not empty.

    >>> to_sparse(np.array([0, 7, 0, 2]))
    ([1, 3], [7, 2])
    """
    at = np.flatnonzero(counts)
    return at.tolist(), counts[at].tolist()


def from_sparse(sparse: tuple[Sequence[int], Sequence[int]], size: int) -> Counts:
    """The counts that :func:`to_sparse` took apart."""
    at, values = (np.asarray(part, dtype=np.int64) for part in sparse)
    if len(at) != len(values) or (len(at) and not 0 <= at.min() <= at.max() < size):
        raise ValueError(f"sparse counts do not fit {size} cells")
    counts = zeros(size)
    np.add.at(counts, at, values)
    return counts
