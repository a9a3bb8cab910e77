"""A column that grows: floats for numbers, codes for text, so that a year of rows fits in memory.

Guarantee: numbers are kept as float64 (exact for integers up to 2**53), text once per distinct value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from contracts.events import Value
from numpy.typing import NDArray

Array = NDArray[Any]
_CHUNK = 8192


class Column:
    """Values of one field in order of arrival; ``None`` is kept as missing."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._chunks: list[NDArray[np.float64]] = []
        self._tail: list[float] = []
        self._kind = ""
        self._whole = True

    def __len__(self) -> int:
        return sum(map(len, self._chunks)) + len(self._tail)

    def update(self, values: Iterable[Value]) -> None:
        """Append; a text in a column of numbers (or the reverse) raises ``TypeError``."""
        self._tail.extend([self._code(value) for value in values])
        if len(self._tail) >= _CHUNK:
            self._chunks.append(np.asarray(self._tail, dtype=np.float64))
            self._tail = []

    def _code(self, value: Value) -> float:
        if value is None:
            return np.nan
        kind = "text" if isinstance(value, str) else "bool" if isinstance(value, bool) else "number"
        if kind != self._kind:
            if self._kind:
                raise TypeError(f"{value!r} in a column of {self._kind}")
            self._kind = kind
        if isinstance(value, float) and not value.is_integer():
            self._whole = False
        return (
            float(self._codes.setdefault(value, len(self._codes))) if isinstance(value, str) else float(value)
        )

    def _raw(self) -> NDArray[np.float64]:
        if len(self._chunks) > 1 or (self._chunks and self._tail):
            self._chunks, self._tail = [np.concatenate([*self._chunks, np.asarray(self._tail)])], []
        return self._chunks[0] if self._chunks else np.asarray(self._tail, dtype=np.float64)

    def rank(self, index: Array) -> NDArray[np.float64]:
        """Numbers that sort as the values do, whatever order they arrived in."""
        raw = self._raw()[index]
        if self._kind != "text":
            return raw
        order = np.empty(len(self._codes) + 1)
        order[-1] = np.nan
        order[[self._codes[text] for text in sorted(self._codes)]] = np.arange(len(self._codes))
        return order[np.where(np.isnan(raw), -1, raw).astype(np.int64)]

    def get(self, index: Array) -> Array:
        """Values at ``index``: objects (text or bool, ``None`` where missing), bool, int64, or float64 (NaN where missing).

        Whole numbers that never met a fraction or a gap stay int64: class 5 must not become class 5.0.
        """
        raw = self._raw()[index]
        if self._kind == "text":
            names = np.array([*self._codes, None], dtype=object)
            return names[np.where(np.isnan(raw), -1, raw).astype(np.int64)]
        gaps = np.isnan(raw)
        if self._kind == "bool" and gaps.any():
            flags: Array = raw.astype(bool).astype(object)
            flags[gaps] = None
            return flags
        if not self._kind or gaps.any():
            return raw
        if self._kind == "bool":
            return raw.astype(bool)
        return raw.astype(np.int64) if self._whole else raw
