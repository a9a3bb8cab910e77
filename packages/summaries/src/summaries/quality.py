"""Quality of predictions as integers that add.

Guarantee: all state is whole numbers (losses in units of 2⁻⁴⁰, each row rounded on its own), so ``merge`` is
exactly associative and commutative, a new instance is its identity, ``revert`` undoes ``update`` to the last
bit, and any split of the rows gives what one pass gives. Means differ from those of float arithmetic by less
than 10⁻¹². AUC comes from 1,000 score bins and is off by at most ``auc_error``; all else equals
scikit-learn's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries.counts import Counts, from_sparse, to_sparse
from summaries.labels import text, texts

BINS = 1_000
UNIT = 2.0**40
OTHER = "(other)"
TOLERANCE = 1e-6  # float32 arithmetic may leave [0, 1] by a rounding error
LARGEST = 1e150  # magnitude of a truth or a prediction: the square of their difference is still a float
_EPS = float(np.finfo(np.float64).eps)  # scikit-learn's clip of a probability of 0 in the log loss


def _units(values: NDArray[np.float64]) -> int:
    """The sum of ``values``, each rounded to a whole number of units."""
    units = np.rint(values * UNIT).astype(np.int64)
    # A row's loss is below 2**46 units: 2**16 of them fit 64 bits, and Python's integers have no end.
    return sum(int(units[at : at + 2**16].sum()) for at in range(0, len(units), 2**16))


class Classification:
    """Confusion counts, sums of losses and score histograms over given classes.

    The last of two classes is the positive one: precision, recall and F1 are its. With more they are macro
    averages over the classes that occur. A label outside ``classes`` is counted as ``(other)``.

    >>> quality = Classification(["on time", "late"])
    >>> quality.update(["late", "on time", "late"], ["late", "late", "on time"], {"late": [0.9, 0.6, 0.2]})
    >>> metrics = quality.get()
    >>> {name: round(metrics[name], 4) for name in ("accuracy", "f1", "log_loss", "brier", "auc")}
    {'accuracy': 0.3333, 'f1': 0.5, 'log_loss': 0.877, 'brier': 0.3367, 'auc': 0.5}
    """

    def __init__(self, classes: Sequence[object]) -> None:
        names = [text(name) for name in classes]
        if len(names) < 2 or None in names or len(set(names)) != len(names):
            raise ValueError(f"two or more distinct classes, not {classes}")
        self.classes = cast("list[str]", names)
        k = len(names)
        self._cell = {name: i for i, name in enumerate(self.classes)}
        self._scored = self.classes[-1:] if k == 2 else self.classes
        self.counts: Counts = np.zeros((k + 1, k + 1), dtype=np.int64)  # truth × predicted, (other) last
        self.histogram: Counts = np.zeros(
            (len(self._scored), 2, BINS), dtype=np.int64
        )  # class × is it × score
        self.scored = 0
        self.log_loss_units = 0
        self.brier_units = 0

    @property
    def rows(self) -> int:
        """Rows counted."""
        return int(self.counts.sum())

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

    def _add(
        self,
        sign: int,
        truth: Iterable[object],
        predicted: Iterable[object],
        probabilities: Mapping[str, ArrayLike] | None,
    ) -> None:
        t, p = self._index(truth), self._index(predicted)
        if len(t) != len(p):
            raise ValueError(f"{len(t)} truths for {len(p)} predictions")
        scores = None if probabilities is None else self._scores(probabilities, len(t))
        side = len(self.counts)
        self.counts += sign * np.bincount(t * side + p, minlength=side * side).reshape(side, side)
        if scores is None:
            return
        k, n = len(self.classes), len(t)
        known = t < k
        of_truth = np.where(known, scores[np.minimum(t, k - 1), np.arange(n)], 0.0)
        self.log_loss_units += sign * _units(-np.log(np.clip(of_truth, _EPS, 1.0 - _EPS)))
        hit = np.arange(k)[:, None] == t
        squares = ((scores - hit) ** 2).sum(axis=0) if k > 2 else (scores[-1] - hit[-1]) ** 2
        self.brier_units += sign * _units(squares)
        first = k - len(self._scored)
        bins = np.minimum((scores[first:] * BINS).astype(np.int64), BINS - 1)
        for row in range(len(self._scored)):
            cells = hit[first + row] * BINS + bins[row]
            self.histogram[row] += sign * np.bincount(cells, minlength=2 * BINS).reshape(2, BINS)
        self.scored += sign * n

    def merge(self, other: Classification) -> Classification:
        """The quality of both parts together, as a new instance; refuses other classes."""
        if self.classes != other.classes:
            raise ValueError(f"classes {self.classes} and {other.classes} do not add")
        total = Classification(self.classes)
        total.counts += self.counts + other.counts
        total.histogram += self.histogram + other.histogram
        total.scored = self.scored + other.scored
        total.log_loss_units = self.log_loss_units + other.log_loss_units
        total.brier_units = self.brier_units + other.brier_units
        return total

    def get(self) -> dict[str, float]:
        """The metrics that are defined: none without rows, no losses without probabilities."""
        rows = self.rows
        if not rows:
            return {}
        hits = np.append(np.diag(self.counts)[:-1], 0)  # two labels outside the classes may be two
        actual, named = self.counts.sum(axis=1), self.counts.sum(axis=0)
        recall = hits / np.maximum(actual, 1)
        precision = hits / np.maximum(named, 1)
        f1 = 2 * hits / np.maximum(actual + named, 1)
        # Precision, recall and F1 of the positive class, or of every class that occurs.
        chosen = np.flatnonzero(actual + named)
        if len(self.classes) == 2:
            chosen = np.array([1])
        metrics = {
            "accuracy": int(hits.sum()) / rows,
            "balanced_accuracy": float(recall[actual > 0].mean()),
            "precision": float(precision[chosen].mean()),
            "recall": float(recall[chosen].mean()),
            "f1": float(f1[chosen].mean()),
        }
        if self.scored:
            metrics["log_loss"] = self.log_loss_units / UNIT / self.scored
            metrics["brier"] = self.brier_units / UNIT / self.scored
            auc = self._auc()
            if auc is not None:
                metrics["auc"] = auc[0]
        return metrics

    @property
    def auc_error(self) -> float:
        """By how much ``auc`` may be off: half the share of pairs whose scores fell in one bin."""
        auc = self._auc()
        return auc[1] if auc else 0.0

    def _auc(self) -> tuple[float, float] | None:
        """Mann–Whitney's U over bins, ties a half; one class against the rest, averaged. And its error."""
        found = []
        for negative, positive in self.histogram:
            pairs = int(negative.sum()) * int(positive.sum())
            if pairs:
                tied = float((positive * negative).sum())
                below = float((positive * (np.cumsum(negative) - negative)).sum())
                found.append(((below + tied / 2) / pairs, tied / 2 / pairs))
        if not found:
            return None
        auc, error = np.mean(found, axis=0)
        return float(auc), float(error)

    def confusion(self) -> dict[str, dict[str, int]]:
        """``{truth: {predicted: rows}}``; ``(other)`` only where it occurs.

        >>> quality = Classification([5, 6])
        >>> quality.update([5, 5, 6], [5, 6, 6])
        >>> quality.confusion()
        {'5': {'5': 1, '6': 1}, '6': {'5': 0, '6': 1}}
        """
        names = [*self.classes, OTHER]
        table = self.counts.tolist()
        keep = range(len(names) if self.counts[-1].any() or self.counts[:, -1].any() else len(names) - 1)
        return {names[i]: {names[j]: table[i][j] for j in keep} for i in keep}

    def to_dict(self) -> dict[str, Any]:
        """JSON; sums are decimal strings, because JSON readers stop at 53 or 64 bits."""
        return {
            "classes": self.classes,
            "counts": self.counts.tolist(),
            "histogram": [list(to_sparse(row.ravel())) for row in self.histogram],
            "scored": self.scored,
            "log_loss_units": str(self.log_loss_units),
            "brier_units": str(self.brier_units),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Classification:
        """The quality that :meth:`to_dict` wrote."""
        quality = cls(data["classes"])
        quality.counts += np.array(data["counts"], dtype=np.int64)
        for row, sparse in enumerate(data["histogram"]):
            quality.histogram[row] += from_sparse(sparse, 2 * BINS).reshape(2, BINS)
        quality.scored = int(data["scored"])
        quality.log_loss_units = int(data["log_loss_units"])
        quality.brier_units = int(data["brier_units"])
        return quality

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classification) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def _index(self, labels: Iterable[object]) -> NDArray[np.int64]:
        names = texts(list(labels))
        if None in names:
            raise ValueError("a label is missing")
        cell, other = self._cell.get, len(self.classes)
        return np.array([cell(cast("str", name), other) for name in names], dtype=np.int64)

    def _scores(self, probabilities: Mapping[str, ArrayLike], n: int) -> NDArray[np.float64]:
        """Probabilities as a matrix, classes down and rows across."""
        given = {text(name): np.asarray(column, dtype=np.float64) for name, column in probabilities.items()}
        if len(self.classes) == 2:
            for name, twin in (self.classes, self.classes[::-1]):
                if name not in given and twin in given:
                    given[name] = 1.0 - given[twin]
        absent = [name for name in self.classes if name not in given]
        if absent:
            raise ValueError(f"no probability of class {absent[0]}")
        scores = np.stack([given[name] for name in self.classes])
        if scores.shape != (len(self.classes), n):
            raise ValueError(f"{scores.shape[-1]} probabilities for {n} rows")
        # NaN fails the comparison.
        if not ((scores >= -TOLERANCE) & (scores <= 1 + TOLERANCE)).all():
            raise ValueError("a probability lies in [0, 1]")
        return np.clip(scores, 0.0, 1.0)


class Regression:
    """Sums of errors and of squares, exact in units of 2⁻⁴⁰. Numbers lie within ±10¹⁵⁰.

    >>> quality = Regression()
    >>> quality.update([1.0, 2.0, 3.0], [1.0, 2.5, 2.5])
    >>> quality.get()["mae"], quality.get()["bias"], quality.get()["r2"]
    (0.3333333333333333, 0.0, 0.75)
    """

    def __init__(self) -> None:
        self.rows = 0
        self.error = self.absolute = self.squared = self.truth = self.truth_squared = 0

    def update(self, truth: ArrayLike, predicted: ArrayLike, probabilities: None = None) -> None:
        """Count rows; what is not finite, or beyond ``LARGEST``, is refused."""
        self._add(1, truth, predicted)

    def revert(self, truth: ArrayLike, predicted: ArrayLike, probabilities: None = None) -> None:
        """Take rows out again, as a corrected label asks for."""
        self._add(-1, truth, predicted)

    def _add(self, sign: int, truth: ArrayLike, predicted: ArrayLike) -> None:
        t, p = (np.asarray(column, dtype=np.float64) for column in (truth, predicted))
        if t.shape != p.shape or t.ndim != 1:
            raise ValueError(f"truths of shape {t.shape} for predictions of {p.shape}")
        if not (np.isfinite(t).all() and np.isfinite(p).all()):
            raise ValueError("a truth or a prediction is not finite")
        if (np.abs(t) > LARGEST).any() or (np.abs(p) > LARGEST).any():
            raise ValueError(f"a truth or a prediction lies beyond ±{LARGEST:g}")
        # Python's integers: squares of any size stay exact.
        errors = [int(e) for e in np.rint((p - t) * UNIT).tolist()]
        truths = [int(y) for y in np.rint(t * UNIT).tolist()]
        self.rows += sign * len(errors)
        self.error += sign * sum(errors)
        self.absolute += sign * sum(map(abs, errors))
        self.squared += sign * sum(e * e for e in errors)
        self.truth += sign * sum(truths)
        self.truth_squared += sign * sum(y * y for y in truths)

    def merge(self, other: Regression) -> Regression:
        """The quality of both parts together, as a new instance."""
        total = Regression()
        for name in vars(total):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def get(self) -> dict[str, float]:
        """MAE, RMSE, bias (predicted minus true) and R²; none without rows.

        A truth that is constant has no R², nor one beside which the errors are beyond any float.
        """
        n = self.rows
        if not n:
            return {}
        unit = int(UNIT)
        metrics = {
            "mae": self.absolute / (n * unit),
            "rmse": (self.squared / (n * unit * unit)) ** 0.5,
            "bias": self.error / (n * unit),
        }
        spread = n * self.truth_squared - self.truth * self.truth
        if spread:
            with contextlib.suppress(OverflowError):
                metrics["r2"] = 1.0 - n * self.squared / spread
        return metrics

    def to_dict(self) -> dict[str, Any]:
        """JSON; sums are decimal strings, because JSON readers stop at 53 or 64 bits."""
        return {name: value if name == "rows" else str(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Regression:
        """The quality that :meth:`to_dict` wrote."""
        quality = cls()
        for name in vars(quality):
            setattr(quality, name, int(data[name]))
        return quality

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regression) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]
