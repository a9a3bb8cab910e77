"""How many labelled rows a new world needs, by the learning curve of the champion.

The error of models trained on n rows falls as a power law, err(n) = a + b n^-c with a, b >= 0 (Cortes, Jackel, Solla, Vapnik and
Denker 1994; Viering and Loog 2023, who also say where it does not). The curve was measured where the champion was made, on
its own training and test rows. That a new world is as hard to learn as the old one is an assumption, and the best there is
before anything was trained on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EXPONENTS = np.arange(0.1, 1.55, 0.05)  # c; the curves that Viering and Loog survey lie in between
POWER = 0.8  # the chance that the challenge proves a gain as large as the curve promises (Cohen 1988)
LEAST_SIZES = 3  # a curve of fewer is a guess: it has three parameters
# Of two models' losses on a row. Found: .1 to .25 for right or wrong of two trees on the wines, .7 to .97 for the log losses of two
# forests on the flights. Too high is a training too early, which costs a refusal; too low one too late, which costs each answer.
CORRELATION, ON_A_SCALE = {"accuracy": 0.5}, 0.9
MOST = 10  # times the least rows: no curve holds a training back for longer


@dataclass(frozen=True)
class LearningCurve:
    """Expected loss of a model by the rows that it is trained on; ``metric`` is what it is a loss of."""

    metric: str
    a: float
    b: float
    c: float

    def loss(self, rows: Any) -> Any:
        """At one number of rows, or at each of several."""
        return self.a + self.b * np.asarray(rows, dtype=np.float64) ** -self.c

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> LearningCurve | None:
        """Out of ``{"metric": ..., "rows": [n, ...], "loss": [l, ...]}``; None where that does not make a curve.

        >>> LearningCurve.of({"metric": "log_loss", "rows": [100, 400, 1600], "loss": [0.5, 0.4, 0.35]})
        LearningCurve(metric='log_loss', a=0.3, b=2.0, c=0.5)
        """
        try:
            metric = str(described["metric"])
            pairs = sorted(zip(described["rows"], described["loss"], strict=True))
            rows, losses = ([float(pair[i]) for pair in pairs] for i in (0, 1))
        except (KeyError, TypeError, ValueError):
            return None
        if len(set(rows)) < LEAST_SIZES or rows[0] < 1 or not all(map(isfinite, rows + losses)):
            return None
        a, b, c = fit(np.array(rows), np.array(losses))
        return cls(metric, round(a, 9), round(b, 9), round(c, 9))


def fit(rows: Floats, losses: Floats) -> tuple[float, float, float]:
    """a, b and c of the least squares, a and b not negative; of exponents that fit alike, the smallest.

    With c given the law is linear: where the free solution has a negative part, the best one has that part at 0
    (Lawson and Hanson 1974, for two unknowns), which gives four solutions to choose from.
    """
    found = []
    for c in EXPONENTS:
        x = rows**-c
        b = float(np.cov(x, losses, bias=True)[0, 1] / x.var())
        for a, slope in (
            (float(losses.mean() - b * x.mean()), b),
            (float(losses.mean()), 0.0),
            (0.0, float(x @ losses / (x @ x))),
            (0.0, 0.0),
        ):
            if a >= 0 and slope >= 0:
                squares = float(((a + slope * x - losses) ** 2).sum())
                found.append((round(squares, 15), float(c), a, slope))
    _, c, a, b = min(found)
    return a, b, c


def needed(
    curve: LearningCurve, losses: Floats, held_out: float, min_gain: float, p_value: float, least: int
) -> int:
    """Rows since a change, between ``least`` and ``MOST * least``, at which a challenger can be expected to win.

    ``losses`` [rows] are the champion's, of rows since the change, in the curve's metric (squares for ``rmse``). A challenger
    of n rows is trained on all but the share ``held_out``. Its gain is the champion's mean loss less what the curve gives; it must
    exceed ``min_gain``, and the rows held out must be enough to show it at ``p_value`` with a power of 80%. By the normal
    approximation these are ((z_p + z_power) s / gain)^2 rows, s the deviation of one row's difference. The two models' losses are
    taken to vary alike, with the correlation in ``CORRELATION``. Rows of the old world, which may help the challenger, are left out.

    Where the curve is never better than the champion within ``MOST * least`` rows, it has nothing to say, and ``least`` are
    enough: the challenge will tell. What it says beyond the sizes it was fitted to is a guess, its limit ``a`` most of all.

    >>> curve = LearningCurve("accuracy", 0.2, 2.0, 0.5)
    >>> wrong = np.array([1.0, 0.0] * 100)  # the champion errs on every other row
    >>> [needed(curve, wrong, 0.25, 0.0, p, 100) for p in (0.05, 0.01)]
    [256, 334]
    >>> needed(curve, np.zeros(100), 0.25, 0.0, 0.05, 100)
    100
    """
    squared, now = curve.metric == "rmse", float(losses.mean())
    rows = np.arange(least, MOST * least + 1)
    expected = curve.loss((1 - held_out) * rows)
    gain = now**0.5 - expected if squared else now - expected
    if gain[-1] <= min_gain:
        return least
    # What the test looks at: the mean of squares, or losses beyond the least gain.
    shown = now - expected**2 if squared else gain - (min_gain if curve.metric != "accuracy" else 0.0)
    z = NormalDist().inv_cdf(1 - p_value) + NormalDist().inv_cdf(POWER)
    spread = (2 * (1 - CORRELATION.get(curve.metric, ON_A_SCALE))) ** 0.5 * float(losses.std())
    enough = (gain > min_gain) & (held_out * rows * np.maximum(shown, 0.0) ** 2 >= (z * spread) ** 2)
    return int(rows[np.argmax(enough)]) if enough.any() else int(rows[-1])
