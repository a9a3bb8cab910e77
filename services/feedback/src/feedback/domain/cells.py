"""What is counted of rows that go together: a pane, or those of a pane with one value of a feature.

Guarantee: all state is whole numbers, so ``merge`` is exactly associative and commutative, an empty one is its
identity, and rows counted in any split and order give the same. Nothing here needs to know what a version predicts:
rows with probabilities say which classes there are, rows without are counted so that either reading is there later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from contracts.events import Label
from numpy.typing import NDArray
from summaries.delays import Delays
from summaries.forecast import Forecast
from summaries.label_pairs import LabelPairs
from summaries.labels import text
from summaries.quality import TOLERANCE, Classification

Classes = tuple[str, ...]
MAX_CLASSES = 1_000  # of more only labels are counted: the counts grow with the square
FOLDED = -(2**63)  # where label panes are that have been decided
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.decode


def usable(classes: Sequence[str]) -> bool:
    """Whether rows with probabilities of ``classes`` can be counted as rows of a classification.

    >>> usable(["no", "yes"]), usable(["one"]), usable(["a", "a"])
    (True, False, False)
    """
    names = {text(name) for name in classes}
    return 1 < len(classes) <= MAX_CLASSES and len(names) == len(classes) and None not in names


def sound(probabilities: Any) -> Any:
    """Of rows, classes across: which have probabilities that are some. Each is judged on its own."""
    scores = np.asarray(probabilities, dtype=np.float64)
    return ((scores >= -TOLERANCE) & (scores <= 1 + TOLERANCE)).all(axis=1)  # NaN fails the comparison


class Rows(NamedTuple):
    """Labelled rows of one version, as columns; ``probabilities`` [rows, classes], without classes of width 0."""

    truth: list[Label]
    predicted: list[Label]
    probabilities: NDArray[np.float64]


class Tally:
    """Labelled rows: how many, how late, how good."""

    __slots__ = ("corrections", "delays", "labelled", "pairs", "scored")

    def __init__(self) -> None:
        self.labelled = 0
        self.corrections = 0
        self.delays = Delays()
        self.scored: dict[Classes, Classification] = {}
        self.pairs = LabelPairs()

    def merge(self, other: Tally) -> Tally:
        """Both together, as a new instance."""
        total = Tally()
        total.labelled = self.labelled + other.labelled
        total.corrections = self.corrections + other.corrections
        total.delays = self.delays.merge(other.delays)
        total.pairs = self.pairs.merge(other.pairs)
        total.scored = dict(self.scored)
        for classes, quality in other.scored.items():
            total.scored[classes] = (
                total.scored[classes].merge(quality) if classes in total.scored else quality
            )
        return total

    def to_bytes(self) -> bytes:
        """Compact, and equal for equal counts."""
        scored = [[list(c), q.to_bytes()] for c, q in sorted(self.scored.items())]
        return _pack([self.labelled, self.corrections, self.delays.to_bytes(), self.pairs.to_bytes(), scored])

    @classmethod
    def from_bytes(cls, data: bytes) -> Tally:
        """What :meth:`to_bytes` wrote."""
        tally = cls()
        tally.labelled, tally.corrections, delays, pairs, scored = _unpack(data)
        tally.delays, tally.pairs = Delays.from_bytes(delays), LabelPairs.from_bytes(pairs)
        tally.scored = {tuple(c): Classification.from_bytes(q) for c, q in scored}
        return tally


def count_each(
    tallies: Sequence[Tally], groups: NDArray[np.int64], rows: Rows, classes: Classes, sign: int = 1
) -> None:
    """Count row i into ``tallies[groups[i]]``, or take it out again; ``labelled`` and ``delays`` stay as they are."""
    if not rows.truth:
        return
    into = groups
    if not (classes and usable(classes)):
        LabelPairs.update_each([tally.pairs for tally in tallies], into, rows.truth, rows.predicted, sign)
        return
    truth, predicted, matrix = rows
    good = sound(matrix)
    if not good.all():
        bad, kept = np.flatnonzero(~good).tolist(), np.flatnonzero(good).tolist()
        LabelPairs.update_each(
            [tally.pairs for tally in tallies],
            into[bad],
            [truth[i] for i in bad],
            [predicted[i] for i in bad],
            sign,
        )
        if not kept:
            return
        truth, predicted, matrix, into = (
            [truth[i] for i in kept],
            [predicted[i] for i in kept],
            matrix[kept],
            into[kept],
        )
    used = set(into.tolist())
    qualities = []
    for group, tally in enumerate(tallies):
        quality = tally.scored.get(classes)
        if quality is None:
            quality = Classification(classes)
            if group in used:
                tally.scored[classes] = quality
        qualities.append(quality)
    Classification.update_each(
        qualities, into, truth, predicted, dict(zip(classes, matrix.T, strict=True)), sign
    )


class Cell:
    """Predicted rows, and by the pane of their label time those that are labelled.

    What was packed is unpacked where it is asked for: of a cell of many label panes, mostly one is.
    """

    __slots__ = ("_forecasts", "_tallies", "predicted")

    def __init__(self) -> None:
        self.predicted = 0
        self._forecasts: dict[Classes, Forecast | bytes] = {}
        self._tallies: dict[int, Tally | bytes] = {}

    @property
    def forecasts(self) -> dict[Classes, Forecast]:
        """Predicted rows with probabilities, by the classes they name."""
        found = {classes: self._forecast(classes) for classes in self._forecasts}
        return {classes: forecast for classes, forecast in found.items() if forecast is not None}

    @property
    def label_panes(self) -> list[int]:
        """Where there are labelled rows."""
        return sorted(self._tallies)

    def predict(
        self, classes: Classes, predicted: Sequence[Label], probabilities: Sequence[Sequence[float]]
    ) -> None:
        """Count predicted rows; ``probabilities`` are rows, classes across."""
        self.predicted += len(predicted)
        if not (classes and usable(classes)):
            return
        scores = np.asarray(probabilities, dtype=np.float64)
        good = sound(scores)
        if not good.all():
            predicted = [p for p, g in zip(predicted, good.tolist(), strict=True) if g]
            scores = scores[good]
        if predicted:
            forecast = self._forecast(classes)
            if forecast is None:
                forecast = self._forecasts[classes] = Forecast(classes)
            forecast.update(predicted, dict(zip(classes, scores.T, strict=True)))

    def tally(self, label_pane: int) -> Tally:
        """The rows labelled in a pane of label time."""
        found = self._tallies.get(label_pane)
        if not isinstance(found, Tally):
            found = self._tallies[label_pane] = Tally() if found is None else Tally.from_bytes(found)
        return found

    def fold(self, through: int) -> None:
        """Put together the label panes that begin before ``through``: they are decided, and only count together."""
        over = [at for at in self._tallies if FOLDED < at < through]
        for at in over:
            tally = self.tally(at)
            del self._tallies[at]
            self._tallies[FOLDED] = self.tally(FOLDED).merge(tally) if FOLDED in self._tallies else tally

    def until(self, label_end: int) -> Tally:
        """What was labelled before ``label_end``, the end of a pane."""
        total = Tally()
        for at in self._tallies:
            if at < label_end:
                total = total.merge(self.tally(at))
        return total

    def merge(self, other: Cell) -> Cell:
        """Both together, as a new instance."""
        total = Cell()
        total.predicted = self.predicted + other.predicted
        total._forecasts.update(self.forecasts)
        for classes, forecast in other.forecasts.items():
            known = total._forecast(classes)
            total._forecasts[classes] = known.merge(forecast) if known else forecast
        total._tallies.update({at: self.tally(at) for at in self._tallies})
        for at in other._tallies:
            tally = other.tally(at)
            total._tallies[at] = total.tally(at).merge(tally) if at in total._tallies else tally
        return total

    def to_bytes(self) -> bytes:
        """Compact, and equal for equal counts. See :func:`glance`."""
        forecasts = [
            [list(c), _bytes(f)] for c, f in sorted(self._forecasts.items(), key=lambda item: item[0])
        ]
        panes = sorted(self._tallies)
        return _pack([panes, self.predicted, forecasts, [_bytes(self._tallies[at]) for at in panes]])

    @classmethod
    def from_bytes(cls, data: bytes) -> Cell:
        """What :meth:`to_bytes` wrote."""
        cell = cls()
        panes, cell.predicted, forecasts, tallies = _unpack(data)
        cell._forecasts = {tuple(c): f for c, f in forecasts}
        cell._tallies = dict(zip(panes, tallies, strict=True))
        return cell

    def _forecast(self, classes: Classes) -> Forecast | None:
        found = self._forecasts.get(classes)
        if isinstance(found, bytes):
            found = self._forecasts[classes] = Forecast.from_bytes(found)
        return found


def _bytes(part: Forecast | Tally | bytes) -> bytes:
    return part if isinstance(part, bytes) else part.to_bytes()


class Glance(NamedTuple):
    """What a packed cell shows without its counts."""

    label_panes: list[int]
    predicted: int
    scored: bool  # rows had probabilities


def glance(data: bytes) -> Glance:
    """Of a packed cell the panes of label time, how many rows are predicted, and whether with probabilities."""
    panes, predicted, forecasts, _ = _unpack(data)
    return Glance(panes, predicted, bool(forecasts))
