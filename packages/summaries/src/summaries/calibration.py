"""How likely a probability turned out to be right: a model's scores, calibrated on rows whose truth is known.

Isotonic regression: the non-decreasing function of the score that is nearest to what happened, found by pooling
adjacent violators over the score bins, weighted by their rows. Between bins that have rows it is linear, beyond
them constant.

Sources: R. E. Barlow and others, "Statistical inference under order restrictions" (1972); B. Zadrozny, C. Elkan,
"Transforming classifier scores into accurate multiclass probability estimates" (2002); C. Gupta, A. Ramdas,
"Top-label calibration and multiclass-to-binary reductions" (2021): of more than two classes the probability of the
predicted class is calibrated, apart for each predicted class. When to calibrate at all is NannyML's rule
(its ``needs_calibration``): if on rows that were set aside the calibration error falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from summaries import ranking
from summaries.classification import Classification
from summaries.scores import BINS, middles, numbered

SPLITS = 10  # each sets aside one row in ten
MIN_ROWS = 10  # hits, and misses: with fewer none can be set aside
SEPARATED = 0.999  # an AUC above: nothing to calibrate
_SEED = 42
_CUTS = 10  # groups of equal size whose calibration error is compared

Floats = NDArray[np.float64]
Curve = tuple[list[int], list[float]]  # score bins, ascending, and the probability at each


class Calibration:
    """What a score stands for: of two classes one curve, of the positive class's probability; of more one a predicted class.

    A curve that is None leaves scores as they are. A class that was predicted too seldom to have one has that of all
    classes together.

    >>> quality = Classification(["no", "yes"])
    >>> quality.update(["yes"] * 300 + ["no"] * 700, ["yes"] * 1_000, {"yes": np.full(1_000, 0.9)})
    >>> calibration = Calibration.fit(quality)
    >>> round(float(calibration.probabilities("yes")[900]), 3)
    0.3
    """

    def __init__(self, classes: Sequence[object], curves: Mapping[str, Curve | None]) -> None:
        self.classes = list(numbered(tuple(classes)))
        self.curves = dict(curves)

    @classmethod
    def fit(cls, reference: Classification) -> Calibration:
        """The calibration of rows that the model was not fitted on."""
        names = reference.classes
        predicted, hit, score, rows = reference.scored_cells()
        table = np.zeros((len(names) + 1, 2, BINS), dtype=np.int64)  # predicted class × hit × score
        np.add.at(table, (predicted, hit.astype(np.int64), score), rows)
        pooled = _curve(*table[:-1].sum(axis=0)) if len(names) > 2 else _curve(*table.sum(axis=0))
        if len(names) == 2:
            return cls(names, dict.fromkeys(names, pooled))
        curves = {}
        for name, (misses, hits) in zip(names, table[:-1], strict=True):
            enough = misses.sum() >= MIN_ROWS and hits.sum() >= MIN_ROWS
            curves[name] = _curve(misses, hits) if enough else pooled
        return cls(names, curves)

    def probabilities(self, predicted: str) -> Floats:
        """[BINS] the probability that a score of each bin stands for, where this class is predicted."""
        curve = self.curves[predicted]
        return middles() if curve is None else np.interp(np.arange(BINS), *curve)

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "classes": self.classes,
            "curves": {
                name: None if curve is None else {"bins": curve[0], "probabilities": curve[1]}
                for name, curve in self.curves.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """The calibration that :meth:`to_dict` wrote."""
        curves = {
            name: None if curve is None else (list(curve["bins"]), list(curve["probabilities"]))
            for name, curve in data["curves"].items()
        }
        return cls(data["classes"], curves)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def isotonic(misses: NDArray[np.int64], hits: NDArray[np.int64]) -> Curve:
    """The isotonic regression of the share of hits on the score bin; counts [BINS], at least one row.

    Of a run of equal probabilities only the ends are kept.

    >>> misses, hits = np.zeros(BINS, dtype=int), np.zeros(BINS, dtype=int)
    >>> misses[[100, 200, 300]], hits[[100, 200, 300]] = [9, 2, 8], [1, 8, 2]
    >>> isotonic(misses, hits)
    ([100, 200, 300], [0.1, 0.5, 0.5])
    """
    from scipy.optimize import isotonic_regression  # 25 MiB that only who fits needs

    rows = misses + hits
    at = np.flatnonzero(rows)
    fitted = isotonic_regression(hits[at] / rows[at], weights=rows[at]).x
    inner = np.zeros(len(at), dtype=bool)
    inner[1:-1] = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    return at[~inner].tolist(), fitted[~inner].tolist()


def _curve(misses: NDArray[np.int64], hits: NDArray[np.int64]) -> Curve | None:
    return isotonic(misses, hits) if needs_calibration(misses, hits) else None


def needs_calibration(misses: NDArray[np.int64], hits: NDArray[np.int64]) -> bool:
    """Whether calibration makes scores better, from counts [BINS].

    NannyML's rule on counts: ten times one row in ten of the hits and of the misses is set aside by chance (a fixed
    seed), the rest calibrates it, and over all that was set aside the calibration error of ten groups of equal
    size is compared. Not where one kind has too few rows, nor where the scores tell them apart anyway.
    """
    kinds = (misses, hits)
    if min(int(kind.sum()) for kind in kinds) < MIN_ROWS:
        return False
    found = ranking.auc(misses, hits)
    if found is None or found[0] > SEPARATED:
        return False
    rng = np.random.default_rng(_SEED)
    raw, calibrated, tested = [], [], []
    for _ in range(SPLITS):
        aside = np.array([_draw(rng, kind, int(kind.sum()) // 10) for kind in kinds])
        bins, probabilities = isotonic(*(np.array(kinds) - aside))
        raw.append(middles())
        calibrated.append(np.interp(np.arange(BINS), bins, probabilities))
        tested.append(aside)
    counts = np.concatenate(tested, axis=1)
    return _error(np.concatenate(raw), counts) > _error(np.concatenate(calibrated), counts)


def _draw(rng: np.random.Generator, counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """``n`` of the counted rows without replacement."""
    drawn: NDArray[np.int64] = rng.multivariate_hypergeometric(counts, n, method="marginals")
    return drawn


def _error(confidence: Floats, counts: NDArray[np.int64]) -> float:
    """Expected calibration error of groups of equal size; confidence [points], misses and hits [2, points]."""
    order = np.argsort(confidence, kind="stable")
    order = order[counts[:, order].sum(axis=0) > 0]
    rows, hits, sums = counts.sum(axis=0)[order], counts[1, order], confidence[order]
    middle = np.cumsum(rows) - rows / 2
    group = np.minimum((middle * _CUTS / rows.sum()).astype(np.int64), _CUTS - 1)
    gaps = np.bincount(group, hits - rows * sums, _CUTS)
    return float(np.abs(gaps).sum() / rows.sum())
