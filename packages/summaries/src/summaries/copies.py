"""Rows that are copies of held-out ones: same features, same truth. Trained on, they show a model its own test.

Equal rows are not always copies. Where features take few values, what is common comes again and again, and a model
trained without it would not know the common cases. So a content counts as natural, not as copied, where it stands more
than ``FEW`` times among the training rows, and all contents do where most training rows have an equal one. Of red
wine's 1,599 rows 29% have an equal one, none more than three; of 327,346 flights .06%.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW = 10


def contents(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """A number a row, the same for rows that are equal in every column; missing values are equal to each other.

    >>> contents({"x": np.array([1.0, np.nan, 1.0, np.nan]), "kind": np.array(["a", None, "a", None], dtype=object)})
    array([0, 1, 0, 1])
    """
    codes: NDArray[np.int64] | None = None
    for name in sorted(columns):
        column = _codes(columns[name])
        both = column if codes is None else codes * (int(column.max(initial=0)) + 1) + column
        codes = np.unique(both, return_inverse=True)[1].astype(
            np.int64
        )  # small again, so that nothing overflows
    return np.empty(0, dtype=np.int64) if codes is None else codes


def copies(training: Mapping[str, NDArray[Any]], held: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Which training rows [N] are copies of held-out ones. Both name the same columns, in the same types.

    >>> held = {"x": np.array([1.5, 2.5])}
    >>> copies({"x": np.array([0.5, 1.5, 3.5])}, held)
    array([False,  True, False])
    >>> int(copies({"x": np.repeat(1.5, 99)}, held).sum())  # a value that is always there is no copy
    0
    """
    first = next(iter(training))
    n = len(training[first])
    codes = contents({name: np.concatenate([training[name], held[name]]) for name in training})
    here, there = codes[:n], codes[n:]
    times = np.bincount(here, minlength=int(codes.max(initial=-1)) + 1)
    if 2 * int((times[here] > 1).sum()) > n:
        return np.zeros(n, dtype=bool)
    found: NDArray[np.bool_] = np.isin(here, there) & (times[here] <= FEW)
    return found


def _codes(column: NDArray[Any]) -> NDArray[np.int64]:
    if column.dtype != object:
        return np.unique(column, return_inverse=True)[1].astype(np.int64)
    known: dict[Any, int] = {}
    values = (None if value != value else value for value in column.tolist())
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)
