"""A column that grows: floats for numbers, codes for text, so that a year of rows fits in memory.

Guarantee: numbers are kept as float64 (exact for integers up to 2**53), text once per distinct value. Values are
coded first and appended then, so that a record of many columns goes in whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from contracts.events import Label, Value
from numpy.typing import NDArray
from summaries.labels import text, texts

Array = NDArray[Any]
_CHUNK = 8192
_KINDS = {str: "text", bool: "bool", int: "number", float: "number"}


@dataclass(frozen=True)
class Coded:
    """Values as a column would keep them, not kept yet."""

    kind: str
    whole: bool
    numbers: list[float]


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

    def code(self, values: Sequence[Value]) -> Coded:
        """What :meth:`append` takes; the column's rows stay as they are.

        A text in a column of numbers (or the reverse) raises ``TypeError``, what is too large ``ValueError``.
        """
        kind = self._kind
        for example in {type(value): value for value in values if value is not None}.values():
            found = _KINDS[type(example)]
            if kind and found != kind:
                raise TypeError(f"{example!r} in a column of {kind}")
            kind = found
        whole = not any(isinstance(value, float) and not value.is_integer() for value in values)
        try:
            return Coded(kind, whole, [self._code(value) for value in values])
        except OverflowError:
            raise ValueError("a number that does not fit 64 bits") from None

    def _code(self, value: Value) -> float:
        if value is None:
            return np.nan
        return float(self._codes.setdefault(value, len(self._codes)) if isinstance(value, str) else value)

    def append(self, coded: Coded) -> None:
        """Keep what :meth:`code` gave."""
        self._kind, self._whole = coded.kind, self._whole and coded.whole
        self._tail.extend(coded.numbers)
        if len(self._tail) >= _CHUNK:
            self._chunks.append(np.asarray(self._tail, dtype=np.float64))
            self._tail = []

    def update(self, values: Sequence[Value]) -> None:
        """:meth:`code` and :meth:`append`: all of the values or none."""
        self.append(self.code(values))

    def _raw(self) -> NDArray[np.float64]:
        if len(self._chunks) > 1 or (self._chunks and self._tail):
            self._chunks, self._tail = [np.concatenate([*self._chunks, np.asarray(self._tail)])], []
        return self._chunks[0] if self._chunks else np.asarray(self._tail, dtype=np.float64)

    def snapshot(self) -> Column:
        """The values so far; it shares their memory, and what is appended to either stays its own."""
        taken = copy(self)
        taken._codes, taken._chunks, taken._tail = dict(self._codes), [self._raw()], []
        return taken

    def has(self, index: Array) -> NDArray[np.bool_]:
        """Where there is a value at ``index``."""
        return ~np.isnan(self._raw()[index])

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


class Labels:
    """The truth of each row, by arrival. 5, 5.0 and "5" are one class, whichever of them came first.

    The rows asked for decide what they come back as: numbers where all are numbers or spell one, and at least
    one came as a number; flags where all are; else text, as :func:`summaries.labels.text` spells it.
    """

    def __init__(self) -> None:
        self._by_kind = {kind: Column() for kind in ("number", "text", "bool")}

    def code(self, labels: Sequence[Label]) -> dict[str, Coded]:
        """What :meth:`append` takes; raises ``ValueError`` for a number that is too large."""
        return {
            kind: column.code([label if _KINDS[type(label)] == kind else None for label in labels])
            for kind, column in self._by_kind.items()
        }

    def append(self, coded: dict[str, Coded]) -> None:
        """Keep what :meth:`code` gave."""
        for kind, column in self._by_kind.items():
            column.append(coded[kind])

    def snapshot(self) -> Labels:
        """The labels so far, as :meth:`Column.snapshot`."""
        taken = Labels()
        taken._by_kind = {kind: column.snapshot() for kind, column in self._by_kind.items()}
        return taken

    def rank(self, index: Array) -> NDArray[np.float64]:
        """Numbers that sort as the labels do, whatever order they arrived in."""
        labels = self.get(index)
        if labels.dtype != object:
            return labels.astype(np.float64)
        at = {label: i for i, label in enumerate(sorted(set(labels.tolist())))}
        return np.array([at[label] for label in labels.tolist()], dtype=np.float64)

    def get(self, index: Array) -> Array:
        """Labels at ``index``: int64 where all are whole, float64, bool, or text as objects."""
        parts = {kind: column.get(index) for kind, column in self._by_kind.items()}
        there = {kind: column.has(index) for kind, column in self._by_kind.items()}
        if there["bool"].all():
            return parts["bool"]
        words = parts["text"][there["text"]].tolist()
        if there["number"].any() and not there["bool"].any() and all(map(_spells_number, set(words))):
            numbers = parts["number"].astype(np.float64)
            numbers[there["text"]] = [float(word) for word in words]
            return numbers.astype(np.int64) if (numbers == np.floor(numbers)).all() else numbers
        labels = np.empty(len(there["text"]), dtype=object)
        for kind, part in parts.items():
            labels[there[kind]] = texts(part[there[kind]].tolist())
        return labels


def _spells_number(word: str) -> bool:
    """Whether ``text`` writes a number so: "5" is one, "05", "nan" and "five" are not."""
    try:
        return text(float(word)) == word
    except (ValueError, OverflowError):  # no number, or an infinity
        return False
