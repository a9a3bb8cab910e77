"""Quality of classifications as whole numbers that add.

Guarantee: all state is whole numbers (losses in units of 2⁻⁴⁰, each row rounded on its own), so ``merge`` is
exactly associative and commutative, a new instance is its identity, ``revert`` undoes ``update`` to the last
bit, and any split of the rows gives what one pass gives. Means differ from those of float arithmetic by less
than 10⁻¹². AUC and average precision come from 1,000 score bins and are off by at most ``errors``; all else
equals scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries import packing, ranking
from summaries.counts import Counts
from summaries.groups import split
from summaries.scores import BINS, binned, matrix, named, numbered
from summaries.sparse import Keys, Packed, SparseCounts

CALIBRATION_BINS = 10  # equal widths, as in Naeini and others (2015); each is a whole number of score bins
UNIT = 2.0**40
OTHER = "(other)"
_EPS = float(np.finfo(np.float64).eps)  # scikit-learn's clip of a probability of 0 in the log loss
_SCORES = BINS + 1  # the last: a row without probabilities
_WIDTH = BINS // CALIBRATION_BINS
_ROWS = 2**12  # a row's squared log loss is below 2**51 units: so many rows' sum fits 64 bits
_SUMS = ("log_loss_units", "log_loss_squares", "brier_units", "brier_squares")

_Content = tuple[
    tuple[str, ...], Packed, Packed | None, list[packing.Whole] | None, tuple[packing.Whole, ...] | None
]
_decoder = msgspec.msgpack.Decoder(_Content)


class Classification:
    """Confusion counts, sums of losses and score histograms over given classes.

    The last of two classes is the positive one: precision, recall and F1 are its. With more they are macro
    averages over the classes that occur. A label outside ``classes`` is counted as ``(other)``.

    Each row lies in one cell: its true class, its predicted class and the bin of a score, which is the
    positive class's probability of two classes and the predicted class's own probability of more. With more
    than two classes the one-vs-rest scores are counted beside it.

    >>> quality = Classification(["on time", "late"])
    >>> quality.update(["late", "on time", "late"], ["late", "late", "on time"], {"late": [0.9, 0.6, 0.2]})
    >>> metrics = quality.get()
    >>> {name: round(metrics[name], 4) for name in ("accuracy", "f1", "log_loss", "brier", "auc")}
    {'accuracy': 0.3333, 'f1': 0.5, 'log_loss': 0.877, 'brier': 0.3367, 'auc': 0.5}
    """

    def __init__(self, classes: Sequence[object]) -> None:
        self._cell = numbered(tuple(classes))
        self.classes = list(self._cell)
        self._side = len(self.classes) + 1  # (other) last
        self._cells = SparseCounts(self._side**2 * _SCORES)  # (truth × predicted) × score
        self._against = SparseCounts(
            2 * len(self._cell) * BINS
        )  # (class × is it) × score; unused of two classes
        self._confidence = [0] * CALIBRATION_BINS  # sum of scores by calibration bin, in units
        self.log_loss_units = self.brier_units = self.log_loss_squares = self.brier_squares = 0

    @property
    def rows(self) -> int:
        """Rows counted."""
        return self._cells.total()

    @property
    def scored(self) -> int:
        """Rows counted with probabilities."""
        return int(self._scored()[-1].sum())

    @property
    def counts(self) -> Counts:
        """Rows [true class, predicted class], ``(other)`` last in both."""
        keys, rows = self._cells.arrays()
        counts = np.zeros(self._side * self._side, dtype=np.int64)
        np.add.at(counts, keys // _SCORES, rows)
        return counts.reshape(self._side, self._side)

    @property
    def histogram(self) -> Counts:
        """Rows [class, is it the true one, score bin]; of two classes the positive one alone."""
        binary = len(self.classes) == 2
        counts = np.zeros((1 if binary else len(self.classes)) * 2 * BINS, dtype=np.int64)
        if binary:
            truth, _, score, rows = self._scored()
            np.add.at(counts, (truth == 1) * BINS + score, rows)
        else:
            keys, rows = self._against.arrays()
            counts[keys] = rows
        return counts.reshape(-1, 2, BINS)

    def scored_cells(self) -> tuple[Counts, NDArray[np.bool_], Counts, Counts]:
        """Rows with probabilities as columns [filled cells]: predicted class, hit, score bin, rows.

        Of two classes the score is the positive class's probability, and hit says that the truth is the positive
        class. Of more the score is the predicted class's probability, and hit says that the truth is that class.
        The same predicted class, hit and bin may come several times.
        """
        truth, predicted, score, rows = self._scored()
        if len(self.classes) == 2:
            return predicted, truth == 1, score, rows
        return predicted, (truth == predicted) & (truth < self._side - 1), score, rows

    def update(
        self,
        truth: Iterable[object],
        predicted: Iterable[object],
        probabilities: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Count rows. Of two classes the probability of either is enough. Refuses what is none."""
        self._add(1, truth, predicted, probabilities)

    def revert(
        self,
        truth: Iterable[object],
        predicted: Iterable[object],
        probabilities: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Take rows out again, as a corrected label asks for."""
        self._add(-1, truth, predicted, probabilities)

    @staticmethod
    def update_each(
        qualities: Sequence[Classification],
        groups: ArrayLike,
        truth: Iterable[object],
        predicted: Iterable[object],
        probabilities: Mapping[str, ArrayLike] | None = None,
        sign: int = 1,
    ) -> None:
        """Count row i into ``qualities[groups[i]]``, or take it out (``sign`` -1); all have the same classes."""
        if any(quality.classes != qualities[0].classes for quality in qualities):
            raise ValueError("rows are counted into qualities of the same classes")
        if qualities:
            qualities[0]._add(sign, truth, predicted, probabilities, (qualities, groups))

    def _add(
        self,
        sign: int,
        truth: Iterable[object],
        predicted: Iterable[object],
        probabilities: Mapping[str, ArrayLike] | None,
        into: tuple[Sequence[Classification], ArrayLike] | None = None,
    ) -> None:
        t, p = named(truth), named(predicted)
        if len(t) != len(p):
            raise ValueError(f"{len(t)} truths for {len(p)} predictions")
        get, side = self._cell.get, self._side
        k = side - 1
        pairs = np.array([get(a, k) * side + get(b, k) for a, b in zip(t, p, strict=True)], dtype=np.int64)
        scores = None if probabilities is None else matrix(self.classes, probabilities, len(t))
        if into is None:
            for at in range(0, len(t), _ROWS):  # one piece, but for uploads
                piece = slice(at, at + _ROWS)
                terms = _terms(pairs[piece], None if scores is None else scores[:, piece])
                self._take(
                    sign, terms.keys, terms.against, terms.units.sum(axis=1).tolist(), terms.confidences()
                )
            return
        qualities, groups = into
        order, names, starts, ends = split(groups, len(t), len(qualities))
        pairs, scores = pairs[order], None if scores is None else scores[:, order]
        for at in range(0, len(t), _ROWS):
            piece = slice(at, at + _ROWS)
            terms = _terms(pairs[piece], None if scores is None else scores[:, piece])
            here = (starts < at + _ROWS) & (ends > at)
            first, last = np.maximum(starts[here] - at, 0), np.minimum(ends[here] - at, _ROWS)
            sums = np.add.reduceat(terms.units, first, axis=1).T.tolist()
            confidences = terms.confidences(np.repeat(np.arange(len(first)), last - first), len(first))
            keys, bounds = terms.keys, zip(first.tolist(), last.tolist(), strict=True)
            for i, (name, (a, b)) in enumerate(zip(names[here].tolist(), bounds, strict=True)):
                against = None if terms.against is None else terms.against[:, a:b]
                confidence = confidences[CALIBRATION_BINS * i : CALIBRATION_BINS * (i + 1)]
                qualities[name]._take(sign, keys[a:b], against, sums[i], confidence)

    def _take(
        self,
        sign: int,
        keys: Keys,
        against: NDArray[np.int64] | None,
        sums: list[int],
        confidence: list[float],
    ) -> None:
        move = SparseCounts.update if sign > 0 else SparseCounts.revert
        move(self._cells, keys)
        if against is not None:
            move(self._against, against.ravel())
        if not confidence:
            return
        loss, loss_squares, brier, brier_squares = sums
        self.log_loss_units += sign * loss
        self.log_loss_squares += sign * loss_squares
        self.brier_units += sign * brier
        self.brier_squares += sign * brier_squares
        self._confidence = [a + sign * int(b) for a, b in zip(self._confidence, confidence, strict=True)]

    def update_counts(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Count rows without probabilities that are counted already, by (truth, predicted)."""
        get, k = self._cell.get, self._side - 1
        pairs = [get(truth, k) * self._side + get(predicted, k) for truth, predicted in counts]
        self._cells.add([pair * _SCORES + BINS for pair in pairs], list(counts.values()))

    def merge(self, other: Classification) -> Classification:
        """The quality of both parts together, as a new instance; refuses other classes."""
        if self.classes != other.classes:
            raise ValueError(f"classes {self.classes} and {other.classes} do not add")
        total = Classification(self.classes)
        total._cells = self._cells.merge(other._cells)
        total._against = self._against.merge(other._against)
        total._confidence = [a + b for a, b in zip(self._confidence, other._confidence, strict=True)]
        for name in _SUMS:
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def get(self) -> dict[str, float]:
        """The metrics that are defined: none without rows, no losses without probabilities, no ranks where cells of
        scores are negative (more rows were taken out of them than are counted here).

        ``precision``, ``recall``, ``f1`` are the positive class's of two, macro averages of more. ``_macro``: the mean
        over the classes that occur, where that is not said already; ``_weighted``: the mean weighted by the true
        rows (of recall it is the accuracy). ``calibration_error``: the expected calibration error of 10 bins of
        equal width (Naeini, Cooper, Hauskrecht 2015), of two classes of the positive one's probability, of more of the
        predicted one's. ``auc``, ``pr_auc``: one class against the rest, averaged over the classes of which there are
        rows and others.
        """
        rows = self.rows
        if rows <= 0:
            return {}
        counts = self.counts
        precision, recall, f1, actual, named = _rates(counts)
        occurs = np.flatnonzero(actual + named)
        # Precision, recall and F1 of the positive class, or of every class that occurs.
        chosen = np.array([1]) if len(self.classes) == 2 else occurs
        metrics = {
            "accuracy": int(np.trace(counts[:-1, :-1])) / rows,  # two labels outside the classes may be two
            "balanced_accuracy": float(recall[actual > 0].mean()),
            "precision": float(precision[chosen].mean()),
            "recall": float(recall[chosen].mean()),
            "f1": float(f1[chosen].mean()),
        }
        if len(self.classes) == 2:
            metrics["precision_macro"] = float(precision[occurs].mean())
            metrics["recall_macro"] = float(recall[occurs].mean())
            metrics["f1_macro"] = float(f1[occurs].mean())
        metrics["precision_weighted"] = float(precision @ actual) / rows
        metrics["f1_weighted"] = float(f1 @ actual) / rows
        scored = self.scored
        if scored > 0:
            metrics["log_loss"] = self.log_loss_units / UNIT / scored
            metrics["brier"] = self.brier_units / UNIT / scored
            metrics["calibration_error"] = self._calibration_error(scored)
            metrics |= {name: value for name, (value, _) in self._ranked().items()}
        return metrics

    def errors(self) -> dict[str, float]:
        """By how much ``auc`` and ``pr_auc`` may be off, because a bin does not know the order of its rows."""
        return {name: error for name, (_, error) in self._ranked().items()}

    @property
    def auc_error(self) -> float:
        """By how much ``auc`` may be off: half the share of pairs whose scores fell in one bin."""
        return self.errors().get("auc", 0.0)

    def by_class(self) -> dict[str, dict[str, float]]:
        """``{class: {"precision", "recall", "f1", "rows"}}``; rows are the true ones; ``(other)`` where it occurs.

        What is not defined (a class that was never predicted has no precision) is 0, as in scikit-learn.

        >>> quality = Classification([5, 6])
        >>> quality.update([5, 5, 6], [5, 6, 6])
        >>> quality.by_class()["6"]
        {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'rows': 1}
        """
        precision, recall, f1, actual, named = (column.tolist() for column in _rates(self.counts))
        keep = self._side if actual[-1] or named[-1] else self._side - 1
        return {
            name: {"precision": precision[i], "recall": recall[i], "f1": f1[i], "rows": actual[i]}
            for i, name in enumerate([*self.classes, OTHER][:keep])
        }

    def confusion(self) -> dict[str, dict[str, int]]:
        """``{truth: {predicted: rows}}``; ``(other)`` only where it occurs.

        >>> quality = Classification([5, 6])
        >>> quality.update([5, 5, 6], [5, 6, 6])
        >>> quality.confusion()
        {'5': {'5': 1, '6': 1}, '6': {'5': 0, '6': 1}}
        """
        names, counts = [*self.classes, OTHER], self.counts
        table = counts.tolist()
        keep = range(self._side if counts[-1].any() or counts[:, -1].any() else self._side - 1)
        return {names[i]: {names[j]: table[i][j] for j in keep} for i in keep}

    def to_dict(self) -> dict[str, Any]:
        """JSON; sums are decimal strings, because JSON readers stop at 53 or 64 bits."""
        return {
            "classes": self.classes,
            "cells": list(self._cells.columns()),
            "against": list(self._against.columns()),
            "confidence": list(map(str, self._confidence)),
            **{name: str(getattr(self, name)) for name in _SUMS},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Classification:
        """The quality that :meth:`to_dict` wrote."""
        quality = cls(data["classes"])
        quality._cells = SparseCounts.from_columns(data["cells"], quality._cells.size)
        quality._against = SparseCounts.from_columns(data["against"], quality._against.size)
        quality._fill(data["confidence"], [data[name] for name in _SUMS])
        return quality

    def to_bytes(self) -> bytes:
        """The state as bytes, the same for equal states; see :mod:`summaries.packing`."""
        against = self._against.packed() if len(self.classes) > 2 else None
        confidence = list(map(packing.whole, self._confidence)) if any(self._confidence) else None
        sums = tuple(packing.whole(getattr(self, name)) for name in _SUMS)
        content = (
            self.classes, self._cells.packed(), against, confidence, sums if any(sums) else None
        )  # fmt: skip
        return packing.pack(packing.CLASSIFICATION, content)

    @classmethod
    def from_bytes(cls, packed: bytes) -> Classification:
        """The quality that :meth:`to_bytes` wrote; raises ``ValueError`` for other bytes."""
        classes, cells, against, confidence, sums = packing.unpack(packing.CLASSIFICATION, packed, _decoder)
        quality = cls(classes)
        quality._cells = SparseCounts.unpacked(cells, quality._cells.size)
        if against is not None:
            quality._against = SparseCounts.unpacked(against, quality._against.size)
        quality._fill(map(packing.number, confidence or ()), map(packing.number, sums or ()))
        return quality

    def _fill(self, confidence: Iterable[Any], sums: Iterable[Any]) -> None:
        self._confidence = list(map(int, confidence)) or self._confidence
        for name, units in zip(_SUMS, sums, strict=False):  # none where there are no scores
            setattr(self, name, int(units))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classification) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    def _scored(self) -> tuple[Counts, Counts, Counts, Counts]:
        """Rows with probabilities as columns [filled cells]: true class, predicted class, score bin, rows."""
        keys, rows = self._cells.arrays()
        pairs, score = np.divmod(keys, _SCORES)
        scored = score < BINS
        pairs, score, rows = pairs[scored], score[scored], rows[scored]
        return pairs // self._side, pairs % self._side, score, rows

    def _calibration_error(self, scored: int) -> float:
        _, hit, score, rows = self.scored_cells()
        hits = np.zeros(CALIBRATION_BINS, dtype=np.int64)
        np.add.at(hits, score[hit] // _WIDTH, rows[hit])
        unit = int(UNIT)
        gaps = sum(abs(h * unit - c) for h, c in zip(hits.tolist(), self._confidence, strict=True))
        return gaps / (unit * scored)

    def _ranked(self) -> dict[str, tuple[float, float]]:
        """AUC and average precision with their errors, one class against the rest, averaged."""
        found = {}
        histogram = self.histogram
        histogram = histogram[(histogram >= 0).all(axis=(1, 2))]
        for name, measure in (("auc", ranking.auc), ("pr_auc", ranking.average_precision)):
            each = [m for negative, positive in histogram if (m := measure(negative, positive)) is not None]
            if each:
                value, error = np.mean(each, axis=0).tolist()
                found[name] = (value, error)
        return found


class _Terms(NamedTuple):
    """What each row adds: its cell [rows], one-vs-rest cells [classes, rows], losses [4, rows], its score in units."""

    keys: NDArray[np.int64]
    against: NDArray[np.int64] | None
    units: NDArray[np.int64]
    bins: NDArray[np.int64] | None
    score: NDArray[np.float64] | None

    def confidences(self, group: NDArray[np.int64] | int = 0, groups: int = 1) -> list[float]:
        """[groups × calibration bins] sums of the scores in units, none without probabilities."""
        if self.bins is None or self.score is None:
            return []
        # Floats that are whole and below 2**53 add exactly.
        cells = self.bins // _WIDTH + group * CALIBRATION_BINS
        sums: list[float] = np.bincount(cells, self.score, groups * CALIBRATION_BINS).tolist()
        return sums


def _terms(pairs: NDArray[np.int64], scores: NDArray[np.float64] | None) -> _Terms:
    """From the cells (truth × predicted) of the rows and their probabilities [classes, rows]."""
    n = len(pairs)
    if scores is None:
        return _Terms(pairs * _SCORES + BINS, None, np.zeros((len(_SUMS), n), dtype=np.int64), None, None)
    k = len(scores)
    truth = pairs // (k + 1)
    losses, against = np.empty((len(_SUMS), n)), None
    if k == 2:
        hit = truth == 1
        score = scores[1]
        of_truth = np.where(hit, score, np.where(truth == 0, scores[0], 0.0))
        np.square(score - hit, out=losses[2])
    else:
        predicted = pairs % (k + 1)
        rows = np.arange(n)
        hits = np.arange(k)[:, None] == truth
        score = np.where(predicted < k, scores[np.minimum(predicted, k - 1), rows], 0.0)
        of_truth = np.where(truth < k, scores[np.minimum(truth, k - 1), rows], 0.0)
        # In the order of the classes, whatever the number of rows: a sum over an axis may take another.
        losses[2] = np.add.accumulate(np.square(scores - hits))[-1]
        against = (np.arange(k)[:, None] * 2 + hits) * BINS + binned(scores)
    np.log(np.minimum(np.maximum(of_truth, _EPS), 1.0 - _EPS), out=losses[0])
    np.negative(losses[0], out=losses[0])
    np.square(losses[0::2], out=losses[1::2])
    bins = binned(score)
    units = np.rint(losses * UNIT).astype(np.int64)
    return _Terms(pairs * _SCORES + bins, against, units, bins, np.rint(score * UNIT))


def _rates(counts: Counts) -> tuple[NDArray[np.float64], ...]:
    """Precision, recall, F1, true rows and predicted rows [classes and (other)]."""
    hits = np.append(np.diag(counts)[:-1], 0)
    actual, named = counts.sum(axis=1), counts.sum(axis=0)
    return (
        hits / np.maximum(named, 1), hits / np.maximum(actual, 1), 2 * hits / np.maximum(actual + named, 1),
        actual, named,
    )  # fmt: skip
