"""What was true beside what was predicted, where the task is not known yet.

Where labels are counted, a version's task may not be at hand: whether "5" is a class or a number, and which
classes there are. So both are kept: rows by (truth, predicted) as text, and the sums of a regression. What the
task turns out to be picks one.

Guarantee: all state is whole numbers and ``merge`` is exactly associative and commutative with rows taken out as well,
``too_many`` included. What counts against ``MAX_PAIRS`` is every pair that was ever counted or taken out, even where no
rows are left of it: parts only ever add to that set, so no order of merging, and no packing in between, changes whether
there are too many. They are then no longer kept, and whatever is merged with that has too many as well. ``revert``
undoes ``update`` in all figures as long as there are not too many; the pair stays listed with 0 rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries import packing
from summaries.classification import Classification
from summaries.groups import split
from summaries.labels import text
from summaries.regression import LARGEST, Regression
from summaries.scores import named

MAX_PAIRS = 1_000

Pair = tuple[str, str]
_decoder = msgspec.msgpack.Decoder(
    tuple[int, list[tuple[str, str, int]] | None, list[packing.Whole] | None, int]
)


class LabelPairs:
    """Rows by (truth, predicted), and a regression's sums of those where both are numbers.

    >>> pairs = LabelPairs()
    >>> pairs.update([5, "6", "late"], [5.0, 5, 5])
    >>> pairs.classification(["5", "6"]).confusion()["6"], pairs.unknown(["5", "6"])
    ({'5': 1, '6': 0, '(other)': 0}, 1)
    >>> pairs.regression().get()["mae"], pairs.unusable
    (0.5, 1)
    """

    def __init__(self) -> None:
        self.rows = 0
        self.unusable = 0  # rows of which the truth or the prediction is no number within ±1e150
        self.too_many = False
        self._pairs: Counter[Pair] = Counter()
        self._regression = Regression()

    def update(self, truth: Iterable[object], predicted: Iterable[object]) -> None:
        """Count rows of text, numbers or booleans; raises ``ValueError`` for a missing label or an infinite one."""
        self._add(1, truth, predicted)

    def revert(self, truth: Iterable[object], predicted: Iterable[object]) -> None:
        """Take rows out again, as a corrected label asks for."""
        self._add(-1, truth, predicted)

    def _add(self, sign: int, truth: Iterable[object], predicted: Iterable[object]) -> None:
        names, truths, predictions, usable = _columns(truth, predicted)
        if usable.any():
            move = self._regression.update if sign > 0 else self._regression.revert
            move(truths[usable], predictions[usable])
        self.unusable += sign * int(len(usable) - np.count_nonzero(usable))
        self._take(sign, names)

    @staticmethod
    def update_each(
        counts: Sequence[LabelPairs],
        groups: ArrayLike,
        truth: Iterable[object],
        predicted: Iterable[object],
        sign: int = 1,
    ) -> None:
        """Count row i into ``counts[groups[i]]``, or take it out (``sign`` -1)."""
        names, truths, predictions, usable = _columns(truth, predicted)
        into = np.asarray(groups, dtype=np.int64)
        order, runs, starts, ends = split(into, len(names), len(counts))
        regressions = [each._regression for each in counts]
        Regression.update_each(regressions, into[usable], truths[usable], predictions[usable], sign)
        for unusable in into[~usable].tolist():
            counts[unusable].unusable += sign
        listed = order.tolist()
        for run, a, b in zip(runs.tolist(), starts.tolist(), ends.tolist(), strict=True):
            counts[run]._take(sign, [names[row] for row in listed[a:b]])

    def _take(self, sign: int, names: list[Pair]) -> None:
        self.rows += sign * len(names)
        if self.too_many:
            return
        if sign > 0:
            self._pairs.update(names)
        else:
            self._pairs.subtract(names)
        self._settle()

    def _settle(self) -> None:
        # Pairs of 0 rows stay: without them, a correction merged early or late would decide whether there are too many.
        if len(self._pairs) > MAX_PAIRS:
            self.too_many, self._pairs = True, Counter()

    def merge(self, other: LabelPairs) -> LabelPairs:
        """The rows of both parts together, as a new instance."""
        total = LabelPairs()
        total.rows = self.rows + other.rows
        total.unusable = self.unusable + other.unusable
        total._regression = self._regression.merge(other._regression)
        total.too_many = self.too_many or other.too_many
        if not total.too_many:
            total._pairs = Counter(self._pairs)
            for pair, rows in other._pairs.items():
                total._pairs[pair] += rows
            total._settle()
        return total

    def classification(self, classes: Sequence[object]) -> Classification:
        """The rows as a classification without probabilities; raises ``ValueError`` where there are too many pairs."""
        self._kept()
        quality = Classification(classes)
        quality.update_counts(self._pairs)
        return quality

    def regression(self) -> Regression:
        """The rows of two numbers as a regression; those that are ``unusable`` are left out."""
        return Regression().merge(self._regression)

    def unknown(self, classes: Iterable[object]) -> int:
        """Rows whose truth is none of the classes; raises ``ValueError`` where there are too many pairs."""
        self._kept()
        known = {text(name) for name in classes}
        return sum(rows for (truth, _), rows in self._pairs.items() if truth not in known)

    def _kept(self) -> None:
        if self.too_many:
            raise ValueError(f"more than {MAX_PAIRS} distinct pairs of labels were not kept")

    def to_bytes(self) -> bytes:
        """The state as bytes, the same for equal states; see :mod:`summaries.packing`."""
        pairs = None if self.too_many else sorted((t, p, rows) for (t, p), rows in self._pairs.items())
        sums = self._regression.sums() if self._regression != Regression() else None
        return packing.pack(packing.LABEL_PAIRS, (self.rows, pairs, sums, self.unusable))

    @classmethod
    def from_bytes(cls, packed: bytes) -> LabelPairs:
        """The rows that :meth:`to_bytes` wrote; raises ``ValueError`` for other bytes."""
        counted = cls()
        counted.rows, pairs, sums, counted.unusable = packing.unpack(packing.LABEL_PAIRS, packed, _decoder)
        counted.too_many = pairs is None
        counted._pairs = Counter({(t, p): rows for t, p, rows in pairs or ()})
        if sums is not None:
            counted._regression = Regression.from_sums(sums)
        return counted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelPairs) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def number(label: object) -> float | None:
    """The number that a label is or spells, None where it is none, not finite or too large to be squared.

    >>> number("1.5"), number(True), number("late"), number("nan"), number(1e160)
    (1.5, 1.0, None, None, None)
    """
    try:
        found = float(cast("float", label))
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= LARGEST else None  # NaN fails the comparison


def _columns(
    truth: Iterable[object], predicted: Iterable[object]
) -> tuple[list[Pair], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """``(pairs as text, truths and predictions as numbers, whether both are)``, each [rows]."""
    t, p = list(truth), list(predicted)
    if len(t) != len(p):
        raise ValueError(f"{len(t)} truths for {len(p)} predictions")
    names = list(zip(named(t), named(p), strict=True))
    truths, predictions = _numbers(t), _numbers(p)
    usable = ~np.isnan(truths + predictions)  # neither is infinite: their sum is NaN where one is
    return names, truths, predictions, usable


def _numbers(labels: list[object]) -> NDArray[np.float64]:
    """[rows] :func:`number` of each, NaN where it is none."""
    if set(map(type, labels)) <= {float}:
        column = np.array(labels, dtype=np.float64)
        return np.where(np.abs(column) <= LARGEST, column, np.nan)
    # Text and whole numbers are few distinct ones, mostly; True, 1 and 1.0 are one number.
    known = {label: number(label) for label in set(labels)}
    return np.array([known[label] for label in labels], dtype=np.float64)
