"""Rows that go to different counts, sorted by these once: a chunk of labels falls into many panes and segments.

``X.update_each(counts, groups, ...)`` counts row i into ``counts[groups[i]]``. It leaves what an ``update`` of each
with its own rows leaves, but what NumPy does to a column it does once for all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


def split(groups: ArrayLike, rows: int, counts: int) -> tuple[Ints, Ints, Ints, Ints]:
    """``(order of the rows [rows], group of each run, its start, its end)``, the rows of a group in their order.

    Raises ``ValueError`` unless there is a group below ``counts`` for each of the ``rows``.

    >>> [column.tolist() for column in split([2, 0, 2], 3, 5)]
    [[1, 0, 2], [0, 2], [0, 1], [1, 3]]
    """
    given = np.asarray(groups, dtype=np.int64)
    if given.shape != (rows,):
        raise ValueError(f"groups of shape {given.shape} for {rows} rows")
    if rows and not 0 <= given.min() <= given.max() < counts:
        raise ValueError(f"a group is not among {counts}")
    order = np.argsort(given, kind="stable")
    ordered = given[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return order, ordered[starts], starts, np.append(starts, rows)[1:]
