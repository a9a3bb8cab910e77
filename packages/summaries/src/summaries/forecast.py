"""How good predictions are expected to be before any label comes: confidence-based performance estimation.

If a probability is calibrated, it says how often it is right; so the expected confusion follows from the
probabilities alone. Rows are counted by predicted class and bin of the probability, and the metrics of the expected
counts are the estimate. It sees that inputs became harder; it does not see that the labels now follow another law.

Guarantee: counts are whole numbers, so ``merge`` is exactly associative and commutative. A row is taken to have the
probability in the middle of its bin, or the calibration's at its bin: without calibration an estimated accuracy is off
by at most 0.0005 from that of the rows.
Source: NannyML, "Confidence-based Performance Estimation" (CBPE), in its documentation, "How it works".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries import packing, ranking
from summaries.calibration import Calibration
from summaries.groups import split
from summaries.scores import BINS, binned, matrix, middles, named, numbered
from summaries.sparse import Packed, SparseCounts

_decoder = msgspec.msgpack.Decoder(tuple[tuple[str, ...], Packed])


class Forecast:
    """Predicted rows by predicted class and bin of a probability, and the metrics they are expected to have.

    The probability is the positive class's (the last) of two classes, the predicted class's own of more. A
    prediction that is none of the classes is expected to be wrong.

    >>> forecast = Forecast(["on time", "late"])
    >>> forecast.update(["late", "on time", "late"], {"late": [0.9, 0.2, 0.6]})
    >>> {name: round(value, 3) for name, value in forecast.estimate().items() if name in ("accuracy", "f1")}
    {'accuracy': 0.767, 'f1': 0.811}
    """

    def __init__(self, classes: Sequence[object]) -> None:
        self._cell = numbered(tuple(classes))
        self.classes = list(self._cell)
        self._counts = SparseCounts((len(self.classes) + 1) * BINS)  # predicted, (other) last, × score

    @property
    def rows(self) -> int:
        """Rows counted."""
        return self._counts.total()

    def update(self, predicted: Iterable[object], probabilities: Mapping[str, ArrayLike]) -> None:
        """Count predicted rows. Of two classes the probability of either is enough. Refuses what is none."""
        self._counts.update(self._keys(predicted, probabilities))

    def revert(self, predicted: Iterable[object], probabilities: Mapping[str, ArrayLike]) -> None:
        """Take rows out again."""
        self._counts.revert(self._keys(predicted, probabilities))

    @staticmethod
    def update_each(
        forecasts: Sequence[Forecast],
        groups: ArrayLike,
        predicted: Iterable[object],
        probabilities: Mapping[str, ArrayLike],
    ) -> None:
        """Count row i into ``forecasts[groups[i]]``; all have the same classes."""
        if any(forecast.classes != forecasts[0].classes for forecast in forecasts):
            raise ValueError("rows are counted into forecasts of the same classes")
        if not forecasts:
            return
        keys = forecasts[0]._keys(predicted, probabilities)
        order, names, starts, ends = split(groups, len(keys), len(forecasts))
        ordered = keys[order]
        for name, a, b in zip(names.tolist(), starts.tolist(), ends.tolist(), strict=True):
            forecasts[name]._counts.update(ordered[a:b])

    def _keys(self, predicted: Iterable[object], probabilities: Mapping[str, ArrayLike]) -> NDArray[np.int64]:
        names, k = named(predicted), len(self.classes)
        cells = np.array([self._cell.get(name, k) for name in names], dtype=np.int64)
        scores = matrix(self.classes, probabilities, len(names))
        if k == 2:
            return cells * BINS + binned(scores[1])
        own = np.where(cells < k, scores[np.minimum(cells, k - 1), np.arange(len(names))], 0.0)
        return cells * BINS + binned(own)

    def merge(self, other: Forecast) -> Forecast:
        """The rows of both, as a new instance; refuses other classes."""
        if self.classes != other.classes:
            raise ValueError(f"classes {self.classes} and {other.classes} do not add")
        total = Forecast(self.classes)
        total._counts = self._counts.merge(other._counts)
        return total

    def estimate(self, calibration: Calibration | None = None) -> dict[str, float]:
        """The metrics that the rows are expected to have; none without rows.

        ``accuracy``; of two classes also ``balanced_accuracy``, ``precision``, ``recall``, ``f1``, ``auc``, ``pr_auc`` and
        ``brier``. Not the log loss: it hangs on digits of probabilities near 0 and 1 that a bin does not keep. Without
        calibration the model's own probabilities are believed. Raises ``ValueError`` for that of other classes.
        """
        if calibration is not None and calibration.classes != self.classes:
            raise ValueError(f"a calibration of {calibration.classes} says nothing of {self.classes}")
        keys, rows = self._counts.arrays()
        total = float(rows.sum())
        if not total:
            return {}
        table = np.zeros((len(self.classes) + 1, BINS))
        table[keys // BINS, keys % BINS] = rows
        right = np.array(
            [middles() if calibration is None else calibration.probabilities(name) for name in self.classes]
        )
        if len(self.classes) == 2:
            return _two_classes(table, right[1])
        return {"accuracy": float((table[:-1] * right).sum()) / total}

    def to_bytes(self) -> bytes:
        """The state as bytes, the same for equal states; see :mod:`summaries.packing`."""
        return packing.pack(packing.FORECAST, (self.classes, self._counts.packed()))

    @classmethod
    def from_bytes(cls, packed: bytes) -> Forecast:
        """The rows that :meth:`to_bytes` wrote; raises ``ValueError`` for other bytes."""
        classes, counts = packing.unpack(packing.FORECAST, packed, _decoder)
        forecast = cls(classes)
        forecast._counts = SparseCounts.unpacked(counts, forecast._counts.size)
        return forecast

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forecast) and self.classes == other.classes and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]


def _two_classes(table: NDArray[np.float64], positive: NDArray[np.float64]) -> dict[str, float]:
    """Metrics of the expected confusion; rows [negative, positive, other predicted, score], P(positive) [score]."""
    expected = np.array([(table * (1 - positive)).sum(axis=1), (table * positive).sum(axis=1)])
    true_negative, true_positive = float(expected[0, 0]), float(expected[1, 1])
    actual, named_positive = expected.sum(axis=1), float(table[1].sum())
    recalls = [right / of for right, of in ((true_negative, actual[0]), (true_positive, actual[1])) if of > 0]
    rows = table.sum(axis=0)
    total = float(rows.sum())
    squares = (middles() - positive) ** 2 + positive * (1 - positive)
    found = {
        "accuracy": (true_negative + true_positive) / total,
        "balanced_accuracy": float(np.mean(recalls)),
        "precision": true_positive / named_positive if named_positive else 0.0,
        "recall": true_positive / float(actual[1]) if actual[1] > 0 else 0.0,
        "f1": 2 * true_positive / max(float(actual[1]) + named_positive, 1e-300),
        "brier": float(rows @ squares) / total,
    }
    negative_rows, positive_rows = rows * (1 - positive), rows * positive
    for name, measure in (("auc", ranking.auc), ("pr_auc", ranking.average_precision)):
        ranked = measure(negative_rows, positive_rows)
        if ranked is not None:
            found[name] = ranked[0]
    return found
