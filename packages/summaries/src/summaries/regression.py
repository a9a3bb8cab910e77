"""Quality of regressions as whole numbers that add.

Guarantee: all state is whole numbers (errors and truths in units of 2⁻⁴⁰, each row rounded on its own), so
``merge`` is exactly associative and commutative, a new instance is its identity and ``revert`` undoes
``update`` to the last bit. Python's integers have no end: squares and fourth powers of any size stay exact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from summaries import packing
from summaries.groups import split

UNIT = 2.0**40
LARGEST = 1e150  # magnitude of a truth or a prediction: the square of their difference is still a float
_EPS = float(np.finfo(np.float64).eps)  # scikit-learn's least divisor of MAPE
_FITS = 2.0**62
_SUMS = (
    "error", "absolute", "squared", "fourth", "truth", "truth_squared", "truth_cubed", "truth_fourth",
    "squared_by_truth", "squared_by_truth_squared", "percentage", "percentage_squared",
)  # fmt: skip

_Terms = list[list[int]]  # by sum, then by row

_decoder = msgspec.msgpack.Decoder(list[packing.Whole])


class Regression:
    """Sums of errors and of their squares, and the higher moments that intervals need. Numbers lie within ±10¹⁵⁰.

    With error e = predicted - true y: ``error`` Σe, ``absolute`` Σ|e|, ``squared`` Σe², ``fourth`` Σe⁴, ``truth`` Σy,
    ``truth_squared`` Σy², ``truth_cubed`` Σy³, ``truth_fourth`` Σy⁴, ``squared_by_truth`` Σe²y,
    ``squared_by_truth_squared`` Σe²y², ``percentage`` Σ|e/y| and ``percentage_squared`` Σ(e/y)², each in units of
    2⁻⁴⁰ to the power that it has.

    >>> quality = Regression()
    >>> quality.update([1.0, 2.0, 3.0], [1.0, 2.5, 2.5])
    >>> quality.get()["mae"], quality.get()["bias"], quality.get()["r2"]
    (0.3333333333333333, 0.0, 0.75)
    """

    def __init__(self) -> None:
        self.rows = 0
        self.error = self.absolute = self.squared = self.fourth = 0
        self.truth = self.truth_squared = self.truth_cubed = self.truth_fourth = 0
        self.squared_by_truth = self.squared_by_truth_squared = 0
        self.percentage = self.percentage_squared = 0

    def update(self, truth: ArrayLike, predicted: ArrayLike, probabilities: None = None) -> None:
        """Count rows; what is not finite, or beyond ``LARGEST``, is refused."""
        self._add(1, truth, predicted)

    def revert(self, truth: ArrayLike, predicted: ArrayLike, probabilities: None = None) -> None:
        """Take rows out again, as a corrected label asks for."""
        self._add(-1, truth, predicted)

    def _add(self, sign: int, truth: ArrayLike, predicted: ArrayLike) -> None:
        terms = _terms(truth, predicted)
        self._take(sign, terms, 0, len(terms[0]))

    @staticmethod
    def update_each(
        qualities: Sequence[Regression],
        groups: ArrayLike,
        truth: ArrayLike,
        predicted: ArrayLike,
        sign: int = 1,
    ) -> None:
        """Count row i into ``qualities[groups[i]]``, or take it out (``sign`` -1)."""
        t, p = (np.asarray(column, dtype=np.float64) for column in (truth, predicted))
        order, names, starts, ends = split(groups, len(t), len(qualities))
        terms = _terms(t[order], p[order] if p.shape == t.shape else p)
        for name, a, b in zip(names.tolist(), starts.tolist(), ends.tolist(), strict=True):
            qualities[name]._take(sign, terms, a, b)

    def _take(self, sign: int, terms: _Terms, a: int, b: int) -> None:
        self.rows += sign * (b - a)
        for name, column in zip(_SUMS, terms, strict=True):
            setattr(self, name, getattr(self, name) + sign * sum(column[a:b]))

    def merge(self, other: Regression) -> Regression:
        """The quality of both parts together, as a new instance."""
        total = Regression()
        for name in vars(total):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def get(self) -> dict[str, float]:
        """MAE, RMSE, MAPE, bias (predicted minus true) and R²; none without rows, nor where more was taken out of the
        squares than is counted here.

        MAPE is scikit-learn's, a share and not in percent: a truth of 0 counts as 2.2·10⁻¹⁶, so one such row makes
        it huge. A truth that is constant has no R², nor one beside which the errors are beyond any float. Truths that
        lie within a spread s of each other have theirs rounded at 2⁻⁴⁰, so R² is right to about 2⁻⁴⁰/s of 1 - R².
        """
        n = self.rows
        if n <= 0 or self.squared < 0:
            return {}
        unit = int(UNIT)
        metrics = {
            "mae": self.absolute / (n * unit),
            "rmse": (self.squared / (n * unit * unit)) ** 0.5,
            "mape": self.percentage / (n * unit),
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

    def to_bytes(self) -> bytes:
        """The state as bytes, the same for equal states; see :mod:`summaries.packing`."""
        return packing.pack(packing.REGRESSION, self.sums())

    @classmethod
    def from_bytes(cls, packed: bytes) -> Regression:
        """The quality that :meth:`to_bytes` wrote; raises ``ValueError`` for other bytes."""
        sums = packing.unpack(packing.REGRESSION, packed, _decoder)
        return cls.from_sums(sums)

    def sums(self) -> list[packing.Whole]:
        """The state as whole numbers in a fixed order."""
        return [packing.whole(value) for value in vars(self).values()]

    @classmethod
    def from_sums(cls, sums: Sequence[packing.Whole]) -> Regression:
        """The quality that :meth:`sums` took apart; raises ``ValueError`` for another number of them."""
        quality = cls()
        if len(sums) != len(vars(quality)):
            raise ValueError(f"{len(sums)} sums are not the {len(vars(quality))} of a regression")
        for name, value in zip(vars(quality), sums, strict=True):
            setattr(quality, name, packing.number(value))
        return quality

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regression) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def _terms(truth: ArrayLike, predicted: ArrayLike) -> _Terms:
    """What each row adds to each of the sums; refuses what is not finite, or beyond ``LARGEST``."""
    t, p = (np.asarray(column, dtype=np.float64) for column in (truth, predicted))
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"truths of shape {t.shape} for predictions of {p.shape}")
    if not len(t):
        return [[] for _ in _SUMS]
    size = np.abs(t)
    largest = max(float(size.max()), float(np.abs(p).max()))
    if not np.isfinite(size).all() or not np.isfinite(largest):
        raise ValueError("a truth or a prediction is not finite")
    if largest > LARGEST:
        raise ValueError(f"a truth or a prediction lies beyond ±{LARGEST:g}")
    e = p - t
    errors, truths = _units(e), _units(t)
    shares = _units(np.abs(e) / np.maximum(size, _EPS))
    squares, truth_squares = list(map(mul, errors, errors)), list(map(mul, truths, truths))
    found = {
        "error": errors, "absolute": list(map(abs, errors)), "squared": squares,
        "fourth": list(map(mul, squares, squares)),
        "truth": truths, "truth_squared": truth_squares,
        "truth_cubed": list(map(mul, truth_squares, truths)),
        "truth_fourth": list(map(mul, truth_squares, truth_squares)),
        "squared_by_truth": list(map(mul, squares, truths)),
        "squared_by_truth_squared": list(map(mul, squares, truth_squares)),
        "percentage": shares, "percentage_squared": list(map(mul, shares, shares)),
    }  # fmt: skip
    return [found[name] for name in _SUMS]


def _units(values: NDArray[np.float64]) -> list[int]:
    """Each value as a whole number of units."""
    units = np.rint(values * UNIT)
    if float(np.abs(units).max()) < _FITS:
        found: list[int] = units.astype(np.int64).tolist()
        return found
    return [int(value) for value in units.tolist()]
