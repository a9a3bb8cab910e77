"""Categories of a reference sample, with a place for unseen and for missing ones.

Guarantee: every row is counted in exactly one cell; above ``cap`` categories the rarest share the cell of the
unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from summaries.counts import Counts, count
from summaries.labels import text, texts

CAP = 4096


class Categories:
    """The categories of one feature, and how many reference rows fall in each.

    Cells: one a category (sorted), then the unseen, then the missing.

    >>> categories = Categories.from_reference(["JFK", "LGA", "JFK", None])
    >>> categories.names, categories.size, categories.counts.tolist()
    (['JFK', 'LGA'], 4, [2, 1, 0, 1])
    >>> categories.index(["LGA", "EWR", None]).tolist()
    [1, 2, 3]
    """

    kind: Literal["categorical"] = "categorical"

    def __init__(self, names: Sequence[str], counts: Counts) -> None:
        self.names = list(names)
        self.size = len(self.names) + 2
        self.counts: Counts = np.array(counts, dtype=np.int64)
        if len(self.counts) != self.size or (self.counts < 0).any():
            raise ValueError(f"{len(self.names)} categories make {self.size} cells, not {len(self.counts)}")
        self.counts.flags.writeable = False
        self._cell: dict[object, int] = {name: i for i, name in enumerate(self.names)}
        if len(self._cell) != len(self.names):
            raise ValueError("a category is named twice")
        self._cell[None] = self.missing

    @classmethod
    def from_reference(
        cls, values: Iterable[object], known: Iterable[object] = (), cap: int = CAP
    ) -> Categories:
        """The categories in ``values`` and, whether they occur or not, in ``known``."""
        column = _items(values)
        seen = Counter(texts(column))
        seen.pop(None, None)
        always = {name for name in map(text, known) if name is not None}
        common = sorted((name for name in seen if name is not None), key=lambda name: (-seen[name], name))
        names = sorted(always | set(common[:cap]))
        empty = cls(names, np.zeros(len(names) + 2, dtype=np.int64))
        return cls(names, count(empty.index(column), empty.size))

    @property
    def unseen(self) -> int:
        """The cell of categories the reference does not know."""
        return self.size - 2

    @property
    def missing(self) -> int:
        """The cell of missing values, the last one."""
        return self.size - 1

    @property
    def rows(self) -> int:
        """Reference rows, missing values included."""
        return int(self.counts.sum())

    def index(self, values: Iterable[object]) -> NDArray[np.int64]:
        """The cell of each value; infinities are refused with ``ValueError``."""
        if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and values.ndim == 1:
            distinct = np.unique(values)  # NaN once, as the last
            return self.index(distinct.tolist())[distinct.searchsorted(values)]
        column = _items(values)
        cell, unseen = self._cell.get, self.unseen
        return np.array([cell(name, unseen) for name in texts(column)], dtype=np.int64)

    def unseen_in(self, values: Iterable[object]) -> dict[str, int]:
        """How often each category occurs that the reference does not know.

        >>> Categories.from_reference(["a"]).unseen_in(["a", "b", None, "b"])
        {'b': 2}
        """
        return dict(
            Counter(name for name in texts(_items(values)) if name is not None and name not in self._cell)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON: the categories with their counts, the unseen and the missing."""
        return {
            "categories": self.names,
            "counts": self.counts[:-2].tolist(),
            "unseen": int(self.counts[-2]),
            "missing": int(self.counts[-1]),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Categories:
        """The categories that :meth:`to_dict` wrote."""
        return cls(
            data["categories"], np.array([*data["counts"], data["unseen"], data["missing"]], dtype=np.int64)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Categories) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Categories({len(self.names)} categories, {self.rows} rows)"


def _items(values: Iterable[object]) -> list[Any]:
    if isinstance(values, list):
        return values
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
