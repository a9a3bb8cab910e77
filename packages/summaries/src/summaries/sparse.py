"""Counts over many cells of which few are filled.

Guarantee: exact, associative, commutative; a cell of 0 rows is the same as none. While few cells are filled,
memory and time go by these: a window of 200 rows costs some 200 entries whatever the number of cells. Once an
eighth is filled, an array of all cells is smaller and quicker, and takes over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from summaries.counts import Counts

_SORTED = 2_000  # keys: beyond, sorting them first is quicker than a dictionary's step for each
_FULL = 8  # filled cells times this reach the number of cells: an array of all is smaller than a dictionary

Keys = NDArray[np.int64] | list[int]
Columns = tuple[list[int], list[int]]


class SparseCounts:
    """Rows by cell, of ``size`` cells.

    >>> counts = SparseCounts(1_000)
    >>> counts.update(np.array([7, 9, 7]))
    >>> counts.columns(), counts.total()
    (([7, 9], [2, 1]), 3)
    >>> counts.revert(np.array([7, 9])), counts.columns()
    (None, ([7], [1]))
    """

    __slots__ = ("_all", "_filled", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._filled: Counter[int] = Counter()
        self._all: Counts | None = None

    def update(self, keys: Keys) -> None:
        """Count each of ``keys`` once; they lie in [0, size)."""
        if self._all is None and len(keys) <= _SORTED:
            self._filled.update(_listed(keys))
            self._widen()
        else:
            self._add(keys, 1)

    def revert(self, keys: Keys) -> None:
        """Take each of ``keys`` out once."""
        self._add(keys, -1)

    def _add(self, keys: Keys, sign: int) -> None:
        if self._all is not None:
            if len(keys) * _FULL < self.size:
                np.add.at(self._all, keys, sign)
            else:
                self._all += sign * np.bincount(keys, minlength=self.size)
            return
        counted: dict[int, int]
        if len(keys) <= _SORTED:
            counted = Counter(_listed(keys))
        else:
            at, rows = np.unique(keys, return_counts=True)
            counted = dict(zip(at.tolist(), rows.tolist(), strict=True))
        self.add(counted.keys(), [sign * n for n in counted.values()])

    def add(self, keys: Iterable[int], rows: Iterable[int]) -> None:
        """Count so many rows in each of ``keys``, which may repeat; a negative number takes them out."""
        if self._all is not None:
            for key, n in zip(keys, rows, strict=True):
                self._all[key] += n
            return
        filled = self._filled
        for key, n in zip(keys, rows, strict=True):
            total = filled[key] + n
            if total:
                filled[key] = total
            else:
                del filled[key]
        self._widen()

    def _widen(self) -> None:
        if len(self._filled) * _FULL >= self.size:
            keys, rows = self.arrays()
            self._all = np.zeros(self.size, dtype=np.int64)
            self._all[keys] = rows
            self._filled = Counter()

    def merge(self, other: SparseCounts) -> SparseCounts:
        """The sum, as a new instance; refuses counts over another number of cells."""
        if self.size != other.size:
            raise ValueError(f"counts over {self.size} and {other.size} cells do not add")
        big, small = (self, other) if self._weight() >= other._weight() else (other, self)
        total = SparseCounts(self.size)
        if big._all is not None:
            total._all = big._all.copy()
            if small._all is not None:
                total._all += small._all
            else:
                keys, rows = small.arrays()
                total._all[keys] += rows
            return total
        filled = total._filled
        dict.update(filled, big._filled)
        get = filled.get
        for key, n in small._filled.items():
            filled[key] = get(key, 0) + n
        total._widen()
        return total

    def _weight(self) -> int:
        return self.size if self._all is not None else len(self._filled)

    def total(self) -> int:
        """All rows."""
        return int(self._all.sum()) if self._all is not None else sum(self._filled.values())

    def arrays(self) -> tuple[Counts, Counts]:
        """``(cells, rows)`` as arrays [filled cells], in no order."""
        if self._all is not None:
            at = np.flatnonzero(self._all)
            return at, self._all[at]
        n = len(self._filled)
        return np.fromiter(self._filled.keys(), np.int64, n), np.fromiter(self._filled.values(), np.int64, n)

    def columns(self) -> Columns:
        """``(cells in order, their rows)``: equal counts give equal columns."""
        if self._all is not None:
            at, counted = self.arrays()
            return at.tolist(), counted.tolist()
        keys = sorted(self._filled)
        rows = list(map(self._filled.__getitem__, keys))
        if 0 in rows:
            keys = [key for key, n in zip(keys, rows, strict=True) if n]
            rows = [n for n in rows if n]
        return keys, rows

    @classmethod
    def from_columns(cls, columns: tuple[Sequence[int], Sequence[int]], size: int) -> SparseCounts:
        """The counts that :meth:`columns` took apart; raises ``ValueError`` where a cell is not below ``size``."""
        keys, rows = columns
        if len(keys) != len(rows) or (keys and not 0 <= min(keys) <= max(keys) < size):
            raise ValueError(f"sparse counts do not fit {size} cells")
        counts = cls(size)
        dict.update(counts._filled, zip(keys, rows, strict=True))
        counts._widen()
        return counts

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SparseCounts)
            and self.size == other.size
            and self.columns() == other.columns()
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]


def _listed(keys: Keys) -> list[int]:
    return keys if isinstance(keys, list) else keys.tolist()
