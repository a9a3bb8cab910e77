"""Cells of the line, cut at a reference sample's distinct values.

Guarantee: with at most ``cap`` distinct reference values, two-sample statistics that depend on order alone
(Kolmogorov–Smirnov's D) are computed from cell counts without any error. Above it the edges are reference
quantiles, and D is too small by at most :attr:`Cells.error_bound`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries.counts import Counts, count

CAP = 4096
_TABLE_AFTER = 20_000  # numbers searched, after which a table is made
_COMPARISONS = 4  # more of them, and searching is no slower
_NUMBERS = (int, float, np.integer, np.floating, type(None))
Dtype = Literal["float32", "int64", "float64"]
# Values in the cells' dtype, and a mask of the missing ones or None where there are none.
Parsed = tuple[NDArray[Any], NDArray[np.bool_] | None]


class Cells:
    """Cells over one numeric feature, and how many reference rows lie in each.

    With k edges there are k+1 gaps (even cells 0, 2, …, 2k) and k values (odd cells); cell 2k+1, the last,
    counts missing values, which have no place on the line. Within a gap the reference's ECDF is flat and the
    live one monotone, so where in it a live value lies does not matter to D.

    >>> cells = Cells.from_reference([1.0, 2.0, 2.0], "float32")
    >>> cells.edges.tolist(), cells.size, cells.counts.tolist()
    ([1.0, 2.0], 6, [0, 1, 0, 2, 0, 0])
    >>> cells.index([0.5, 1.0, 1.5, 2.0, 9.0, None]).tolist()
    [0, 1, 2, 3, 4, 5]
    """

    kind: Literal["numeric"] = "numeric"

    def __init__(self, edges: NDArray[Any], counts: Counts, dtype: Dtype) -> None:
        self.dtype: Dtype = dtype
        self.edges = np.array(edges, dtype=dtype)
        self.size = 2 * len(self.edges) + 2
        self.counts: Counts = np.array(counts, dtype=np.int64)
        if len(self.counts) != self.size:
            raise ValueError(f"{len(self.edges)} edges make {self.size} cells, not {len(self.counts)}")
        if len(self.edges) > 1 and not (self.edges[1:] > self.edges[:-1]).all():
            raise ValueError("edges are not sorted and distinct")
        if not np.isfinite(self.edges).all() or (self.counts < 0).any():
            raise ValueError("edges are finite and counts not negative")
        self.edges.flags.writeable = self.counts.flags.writeable = False
        # An entry more, so that edges[position] exists beyond the end; a value there equals no edge.
        self._padded = np.append(self.edges, self.edges[-1:])
        self._table: _Table | None = None
        self._searched = 0

    @classmethod
    def from_reference(cls, values: ArrayLike | Sequence[object], dtype: Dtype, cap: int = CAP) -> Cells:
        """Cut the line at ``values``, in ``dtype``. NaN and None are missing; infinities are refused."""
        if cap < 2:
            raise ValueError("cap is at least 2")
        numbers, missing = _parse(values, dtype)
        present = np.sort(numbers if missing is None else numbers[~missing])
        edges = np.unique(present)
        if len(edges) > cap:
            # Evenly spaced ranks: what is tied more often than a step becomes an edge of its own.
            edges = np.unique(present[np.linspace(0, len(present) - 1, cap).round().astype(np.int64)])
        empty = cls(edges, np.zeros(2 * len(edges) + 2, dtype=np.int64), dtype)
        return cls(edges, count(empty._place(numbers, missing), empty.size), dtype)

    @property
    def missing(self) -> int:
        """The cell of missing values, the last one."""
        return self.size - 1

    @property
    def rows(self) -> int:
        """Reference rows, missing values included."""
        return int(self.counts.sum())

    @property
    def error_bound(self) -> float:
        """By how much D may be too small: the share of the reference in its heaviest gap; 0 below the cap.

        For x inside a gap (a, b], d(x) is at most d(a) plus the gap's reference share and at most d(b) plus
        its live share, so it exceeds max(d(a), d(b)) by no more than the smaller of the two.
        """
        present = int(self.counts[:-1].sum())
        return float(self.counts[:-1:2].max() / present) if present else 0.0

    def index(self, values: ArrayLike | Sequence[object]) -> NDArray[np.int64]:
        """The cell of each value. Raises ``ValueError`` on infinities and on what is not a number."""
        return self._place(*_parse(values, self.dtype))

    def _place(self, numbers: NDArray[Any], missing: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        if len(self.edges):
            # A missing value gets its cell below; until then it has to lie somewhere.
            position = self._position(
                numbers if missing is None else np.where(missing, self.edges[0], numbers)
            )
            cells: NDArray[np.int64] = 2 * position + (self._padded[position] == numbers)
        else:
            cells = np.zeros(len(numbers), dtype=np.int64)
        if missing is not None:
            cells[missing] = self.missing
        return cells

    def _position(self, numbers: NDArray[Any]) -> NDArray[np.int64]:
        """How many edges lie below each number, as ``searchsorted`` says; by a table once it has paid for itself."""
        if self._table is None:
            self._searched += len(numbers)
            if self._searched < _TABLE_AFTER or self.dtype == "int64" or len(self.edges) < 8:
                return self.edges.searchsorted(numbers)
            self._table = _Table(self.edges)
        if not self._table.usable or len(numbers) < 64:
            return self.edges.searchsorted(numbers)
        return self._table.position(numbers, self._padded)

    def to_dict(self) -> dict[str, Any]:
        """JSON: counts at the edges, between them (absent where all are zero) and missing."""
        between = self.counts[:-1:2]
        return {
            "dtype": self.dtype,
            "edges": self.edges.tolist(),
            "at": self.counts[1:-1:2].tolist(),
            **({"between": between.tolist()} if between.any() else {}),
            "missing": int(self.counts[-1]),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Cells:
        """The cells that :meth:`to_dict` wrote."""
        edges = np.array(data["edges"], dtype=data["dtype"])
        counts = np.zeros(2 * len(edges) + 2, dtype=np.int64)
        counts[1:-1:2] = data["at"]
        counts[:-1:2] = data.get("between", 0)
        counts[-1] = data["missing"]
        return cls(edges, counts, data["dtype"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cells) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Cells({len(self.edges)} edges, {self.rows} rows, {self.dtype})"


class _Table:
    """Where numbers lie among edges: a bucket by arithmetic, then as many comparisons as its fullest one has edges.

    Exact whatever the rounding: the bucket never falls as a number grows, so an edge of a lower bucket is lower than
    the number, and one of a higher bucket is higher. Ten times as fast as a search where the fullest bucket holds few
    edges; :attr:`usable` says whether it does.
    """

    def __init__(self, edges: NDArray[Any]) -> None:
        self.low, self.high = edges[0], edges[-1]
        span = float(self.high) - float(self.low)
        self.usable = 0 < span < float(np.finfo(edges.dtype).max) / 2  # else the differences overflow
        if not self.usable:
            return
        per_unit = (min(1 << 17, 32 * len(edges)) - 1) / span
        self.scale = edges.dtype.type(min(per_unit, float(np.finfo(edges.dtype).max) / 4))
        buckets = self._bucket(edges)
        self.comparisons = int(np.bincount(buckets).max())
        self.usable = self.comparisons <= _COMPARISONS
        self.start = np.searchsorted(buckets, np.arange(int(buckets[-1]) + 1)).astype(np.int32)

    def _bucket(self, numbers: NDArray[Any]) -> NDArray[np.int32]:
        bucket: NDArray[np.int32] = ((numbers - self.low) * self.scale).astype(np.int32)
        return bucket

    def position(self, numbers: NDArray[Any], padded: NDArray[Any]) -> NDArray[np.int64]:
        """How many edges lie below each number. ``padded``: the edges, and the last one again."""
        position = self.start[self._bucket(np.clip(numbers, self.low, self.high))].astype(np.int64)
        last = len(padded) - 1
        for _ in range(self.comparisons):
            position += (padded[position] < numbers) & (position < last)
        return position


def _parse(values: ArrayLike | Sequence[object], dtype: Dtype) -> Parsed:
    """Values in ``dtype`` and a mask of the missing ones, None where there are none."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError("a column has one dimension")
    kind = array.dtype.kind
    if kind == "O":
        return _from_objects(array, dtype)
    if kind not in "fiu":
        raise ValueError(f"{array.dtype} is not a number")
    return _whole(array) if dtype == "int64" else _floating(array, dtype)


def _floating(array: NDArray[Any], dtype: Dtype) -> Parsed:
    if array.dtype != dtype:
        with np.errstate(over="ignore"):  # what overflows float32 becomes an infinity, refused below
            array = array.astype(dtype)
    if np.isfinite(array).all():
        return array, None
    missing = np.isnan(array)
    if not np.isfinite(array[~missing]).all():
        raise ValueError(f"an infinity, or beyond {dtype}")
    return array, missing


def _whole(array: NDArray[Any]) -> Parsed:
    """Exact 64-bit integers; floats are taken only where they are whole numbers."""
    if array.dtype.kind == "i":
        return array.astype(np.int64, copy=False), None
    missing = None
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        array = np.where(missing, 0, array)
        # 2**63 as a float is the first beyond int64; infinities fail here too.
        if not ((array >= -(2.0**63)) & (array < 2.0**63) & (np.trunc(array) == array)).all():
            raise ValueError("not a whole number of 64 bits")
        missing = missing if missing.any() else None
    elif (array > np.iinfo(np.int64).max).any():
        raise ValueError("beyond int64")
    return array.astype(np.int64), missing


def _from_objects(array: NDArray[Any], dtype: Dtype) -> Parsed:
    """A column with None in it, as JSON gives it."""
    items = array.tolist()
    odd = [kind for kind in set(map(type, items)) if not issubclass(kind, _NUMBERS) or kind is bool]
    if odd:
        raise ValueError(f"{odd[0].__name__} is not a number")
    try:
        if dtype != "int64":
            return _floating(np.array(items, dtype=np.float64), dtype)  # None becomes NaN
        gone = [value is None or value != value for value in items]
        filled = [0 if missing else value for value, missing in zip(items, gone, strict=True)]
        whole = [int(value) for value in filled]
        if whole != filled:
            raise ValueError("not a whole number")
        return np.array(whole, dtype=np.int64), np.array(gone, dtype=np.bool_) if any(gone) else None
    except OverflowError as error:
        raise ValueError(str(error)) from None
