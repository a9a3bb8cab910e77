"""Counts over many cells of which few are filled.

Guarantee: exact, associative, commutative; a cell of 0 rows is the same as none. While few cells are filled,
memory and time go by these: a window of 200 rows costs some 200 entries whatever the number of cells. Once half
are filled, an array of all cells is smaller and quicker, and takes over.

What is counted is put aside, and sorted into the rest when that is asked for, or when there is as much of it: a pane
is counted into many times before it is packed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from summaries.counts import Counts

_ASIDE = 1_000  # keys that are put aside at least
# Filled cells times this reach the number of cells: an array of all is then smaller than two of the filled.
_FULL = 2
_NONE = np.zeros(0, dtype=np.int64)
# By the width in bytes.
_UNSIGNED = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_SIGNED = {width: np.dtype(f"<i{width}") for width in (1, 2, 4, 8)}

Keys = NDArray[np.int64] | list[int]
Columns = tuple[list[int], list[int]]


class Packed(msgspec.Struct, frozen=True, array_like=True):
    """Counts as bytes: ``filled`` cells, each by its distance from the one before (of the first from 0), and their rows.

    Both are little-endian, unsigned and signed, as wide (1, 2, 4 or 8 bytes) as the largest of them needs.
    """

    filled: int = 0
    steps: bytes = b""
    rows: bytes = b""


class SparseCounts:
    """Rows by cell, of ``size`` cells.

    >>> counts = SparseCounts(1_000)
    >>> counts.update(np.array([7, 9, 7]))
    >>> counts.columns(), counts.total()
    (([7, 9], [2, 1]), 3)
    >>> counts.revert(np.array([7, 9])), counts.columns()
    (None, ([7], [1]))
    """

    __slots__ = ("_all", "_aside", "_keys", "_rows", "_waiting", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._keys = self._rows = _NONE  # the filled cells in order, and their rows
        self._all: Counts | None = None
        self._aside: list[tuple[Keys | Sequence[int], int | Sequence[int]]] = []
        self._waiting = 0  # keys put aside

    def update(self, keys: Keys) -> None:
        """Count each of ``keys`` once; they lie in [0, size), and are not to be changed afterwards."""
        self._add(keys, 1)

    def revert(self, keys: Keys) -> None:
        """Take each of ``keys`` out once; not to be changed afterwards."""
        self._add(keys, -1)

    def add(self, keys: Sequence[int], rows: Sequence[int]) -> None:
        """Count so many rows in each of ``keys``, which may repeat; a negative number takes them out.

        Neither is to be changed afterwards. Raises ``ValueError`` where they differ in length.
        """
        if len(keys) != len(rows):
            raise ValueError(f"{len(rows)} counts for {len(keys)} cells")
        if self._all is None:
            self._put_aside(keys, rows)
        else:
            np.add.at(self._all, keys, rows)

    def _add(self, keys: Keys, sign: int) -> None:
        if self._all is None:
            self._put_aside(keys, sign)
        elif len(keys) * _FULL < self.size:
            np.add.at(self._all, keys, sign)
        else:
            self._all += sign * np.bincount(keys, minlength=self.size)

    def _put_aside(self, keys: Keys | Sequence[int], rows: int | Sequence[int]) -> None:
        if not len(keys):
            return
        self._aside.append((keys, rows))
        self._waiting += len(keys)
        if self._waiting > max(_ASIDE, len(self._keys)):
            self._settle()

    def _settle(self) -> None:
        """Sort in what was put aside."""
        if not self._aside:
            return
        aside = self._aside
        keys = np.concatenate([self._keys, *(keys for keys, _ in aside)], dtype=np.int64)
        rows = np.empty(len(keys), dtype=np.int64)
        at = len(self._keys)
        rows[:at] = self._rows
        for more, n in aside:
            rows[at : at + len(more)] = n
            at += len(more)
        self._keys, self._rows = _summed(keys, rows)
        self._aside, self._waiting = [], 0
        self._widen()

    def _widen(self) -> None:
        if len(self._keys) * _FULL >= self.size:
            self._all = np.zeros(self.size, dtype=np.int64)
            self._all[self._keys] = self._rows
            self._keys = self._rows = _NONE

    def merge(self, other: SparseCounts) -> SparseCounts:
        """The sum, as a new instance; refuses counts over another number of cells."""
        if self.size != other.size:
            raise ValueError(f"counts over {self.size} and {other.size} cells do not add")
        total = SparseCounts(self.size)
        for part in (self, other):
            part._settle()
        parts = [(part._keys, part._rows) for part in (self, other) if part._all is None]
        full = [part._all for part in (self, other) if part._all is not None]
        if not full:
            total._keys, total._rows = _summed(
                np.concatenate([keys for keys, _ in parts]), np.concatenate([rows for _, rows in parts])
            )
            total._widen()
            return total
        total._all = full[0].copy()
        for more in full[1:]:
            total._all += more
        for keys, rows in parts:
            total._all[keys] += rows
        return total

    def total(self) -> int:
        """All rows."""
        self._settle()
        return int((self._rows if self._all is None else self._all).sum())

    def arrays(self) -> tuple[Counts, Counts]:
        """``(filled cells in order, their rows)`` as arrays [filled cells]: not to be changed."""
        self._settle()
        if self._all is None:
            return self._keys, self._rows
        at = np.flatnonzero(self._all)
        return at, self._all[at]

    def columns(self) -> Columns:
        """:meth:`arrays` as lists: equal counts give equal columns."""
        keys, rows = self.arrays()
        return keys.tolist(), rows.tolist()

    @classmethod
    def from_columns(cls, columns: tuple[Iterable[int], Iterable[int]], size: int) -> SparseCounts:
        """The counts that :meth:`columns` took apart; raises ``ValueError`` where they do not fit."""
        keys, rows = (np.array(list(column), dtype=np.int64) for column in columns)
        return cls._of(keys, rows, size)

    def packed(self) -> Packed:
        """The counts as bytes: equal counts give equal ones."""
        keys, rows = self.arrays()
        if not len(keys):
            return Packed()
        steps = keys.copy()
        steps[1:] -= keys[:-1]
        least, most = int(rows.min()), int(rows.max())
        return Packed(
            len(keys),
            steps.astype(_UNSIGNED[_width(int(steps.max()))]).tobytes(),
            rows.astype(_SIGNED[_width(2 * max(most, -1 - least))]).tobytes(),
        )

    @classmethod
    def unpacked(cls, packed: Packed, size: int) -> SparseCounts:
        """The counts that :meth:`packed` took apart; raises ``ValueError`` where they do not fit."""
        filled = packed.filled
        if not filled:
            return cls(size)
        unsigned, signed = (len(column) / filled for column in (packed.steps, packed.rows))
        if unsigned not in _UNSIGNED or signed not in _SIGNED:
            raise ValueError(f"{filled} sparse counts do not fit their bytes")
        steps = np.frombuffer(packed.steps, dtype=_UNSIGNED[int(unsigned)])
        rows = np.frombuffer(packed.rows, dtype=_SIGNED[int(signed)])
        return cls._of(np.cumsum(steps, dtype=np.int64), rows.astype(np.int64), size)

    @classmethod
    def _of(cls, keys: Counts, rows: Counts, size: int) -> SparseCounts:
        if len(keys) != len(rows):
            raise ValueError(f"{len(keys)} cells do not fit {len(rows)} counts")
        counts = cls(size)
        if len(keys):
            if keys[0] < 0 or keys[-1] >= size or not rows.all() or (keys[1:] <= keys[:-1]).any():
                raise ValueError(f"sparse counts do not fit {size} cells in order")
            counts._keys, counts._rows = keys, rows
            counts._widen()
        return counts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseCounts) or self.size != other.size:
            return False
        return all(map(np.array_equal, self.arrays(), other.arrays()))

    __hash__ = None  # type: ignore[assignment]


def _summed(keys: Counts, rows: Counts) -> tuple[Counts, Counts]:
    """The distinct keys in order, and the sum of each one's rows where that is not 0."""
    order = np.argsort(keys, kind="stable")  # quick where it begins in order
    keys = keys[order]
    first = np.empty(len(keys), dtype=bool)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    found, sums = keys[starts], np.add.reduceat(rows[order], starts) if len(starts) else _NONE
    if sums.all():
        return found, sums
    filled = sums != 0
    return found[filled], sums[filled]


def _width(number: int) -> int:
    """How many bytes a whole number takes: 1, 2, 4 or 8.

    >>> [_width(n) for n in (0, 255, 256, 65_536, 2**32)]
    [1, 1, 2, 4, 8]
    """
    return 1 if number < 2**8 else 2 if number < 2**16 else 4 if number < 2**32 else 8
