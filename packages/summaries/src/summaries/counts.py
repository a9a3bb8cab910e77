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


_WIDE = 2**32


def pack(counts: Counts) -> bytes:
    """The cells that are not empty, as bytes: their indices and counts, little-endian, unsigned, of 4 bytes each.

    The first byte is 0; it is 1 where a count needs 8 bytes.

    >>> unpack(pack(np.array([0, 7, 0, 2])), 4).tolist()
    [0, 7, 0, 2]
    """
    at = np.flatnonzero(counts)
    values = counts[at]
    wide = bool(len(values)) and int(values.max()) >= _WIDE
    return bytes([wide]) + at.astype("<u4").tobytes() + values.astype("<u8" if wide else "<u4").tobytes()


def unpack_sparse(packed: bytes) -> tuple[NDArray[np.int64], Counts]:
    """``(indices, counts)`` of what :func:`pack` wrote; raises ``ValueError`` for other bytes."""
    width = 12 if packed[:1] == b"\x01" else 8
    n, rest = divmod(len(packed) - 1, width)
    if packed[:1] not in (b"\x00", b"\x01") or rest:
        raise ValueError(f"{len(packed)} bytes are no packed counts")
    at = np.frombuffer(packed, "<u4", n, 1).astype(np.int64)
    return at, np.frombuffer(packed, "<u8" if width == 12 else "<u4", n, 1 + 4 * n).astype(np.int64)


def unpack(packed: bytes, size: int) -> Counts:
    """The counts that :func:`pack` wrote, of so many cells."""
    at, values = unpack_sparse(packed)
    if len(at) and at.max() >= size:
        raise ValueError(f"packed counts do not fit {size} cells")
    counts = zeros(size)
    counts[at] = values
    return counts
