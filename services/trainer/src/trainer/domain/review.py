"""Whether a promoted version does worse than the one before it would have, on the rows that it has served since.

Both are asked about the same rows, so the difference is paired, and neither has been trained or chosen on them. Rows of a
day share its weather, so what is averaged over are spans of a day, or as long as the setting says, however short a window is
(see :mod:`trainer.domain.spans`); of fewer than five nothing is said. The interval is Student's over the spans' sums, a
ratio estimate where their sizes differ (Cochran 1977, 6.4), and by the delta method for the root of a mean. Spans
are taken as independent: what lasts for weeks, a season or a broken sensor, can still look like the version's doing.

One look after the other would find a difference in the end where there is none. Look k may therefore err with
alpha / (k (k + 1)) only, which sums to alpha however often one looks (an alpha-spending sequence, Lan & DeMets 1983; it
holds by the union bound, whatever the looks have in common).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from summaries.clustered import standard_error

from trainer.domain.challenge import Floats, Scored, losses, measure
from trainer.domain.columns import Array
from trainer.domain.consider import grown
from trainer.domain.spans import FEWEST
from trainer.domain.student import quantile

FEWEST_ROWS = 100  # before that nothing is looked at
Verdict = Literal["undecided", "kept", "rolled_back"]


@dataclass(frozen=True)
class Compared:
    """A gain in the metric, positive where the promoted version is better, in its interval; losses are of the two."""

    metrics: dict[str, dict[str, float]]
    gain: float
    low: float
    high: float
    confidence: float


def confidence_of(look: int, confidence: float) -> float:
    """What the ``look``-th look, from 1 on, may claim so that all of them together err with 1 - ``confidence`` at most.

    >>> round(confidence_of(1, 0.95), 4), round(sum(1 - confidence_of(k, 0.95) for k in range(1, 1000)), 3)
    (0.975, 0.05)
    """
    return 1 - (1 - confidence) / (look * (look + 1))


def spent(look: int, confidence: float) -> float:
    """The chance of error that looks 1 to ``look`` have spent together, of 1 - ``confidence``.

    >>> round(spent(1, 0.95), 4), round(spent(4, 0.95), 4)
    (0.025, 0.04)
    >>> round(sum(1 - confidence_of(k, 0.95) for k in range(1, 5)), 4)
    0.04
    """
    return (1 - confidence) * look / (look + 1)


def due(rows: int, before: int, spans: int, wanted: int) -> bool:
    """Whether ``rows`` of so many ``spans`` are worth a look after one at ``before``, 0: none.

    A look at a few rows more would spend confidence on what has been looked at, so it takes a quarter more. The last is
    at ``wanted`` rows.

    >>> due(99, 0, 5, 2000), due(100, 0, 5, 2000), due(5000, 0, 4, 2000)
    (False, True, False)
    >>> due(124, 100, 9, 2000), due(125, 100, 9, 2000), due(2000, 1900, 9, 2000)
    (False, True, True)
    """
    if spans < FEWEST or rows <= before:
        return False
    return rows >= wanted or (rows >= FEWEST_ROWS and grown(before, rows))


def compare(
    truth: Array,
    promoted: Scored,
    predecessor: Scored,
    span: NDArray[np.int64],
    *,
    metric: str,
    task: str,
    confidence: float,
) -> Compared:
    """Compare on rows [rows] of these spans [rows]; raises ``ValueError`` for a metric that there is not."""
    metrics = {
        name: measure(truth, scored, task)
        for name, scored in (("promoted", promoted), ("predecessor", predecessor))
    }
    if any(metric not in found for found in metrics.values()):
        raise ValueError(f"metric {metric!r} cannot be computed; there are {sorted(metrics['promoted'])}")
    was, now = (losses(truth, scored, metric) for scored in (predecessor, promoted))
    if metric == "rmse":  # how the root of the mean moves with a row: its slope
        was, now = (squares / (2 * sqrt(squares.mean()) or inf) for squares in (was, now))
        gain = metrics["predecessor"][metric] - metrics["promoted"][metric]
    else:
        gain = float((was - now).mean())
    margin = half_width(was - now, span, confidence)
    return Compared(metrics, gain, gain - margin, gain + margin, confidence)


def half_width(gain: Floats, span: NDArray[np.int64], confidence: float) -> float:
    """Half the interval's width for the mean of ``gain`` [rows] that come in spans [rows]; infinite for one span."""
    error, n = standard_error(gain, span)
    return error if n < 2 else quantile(confidence, n - 1) * error


def verdict(compared: Compared, rows: int, wanted: int) -> Verdict:
    """Worse beyond doubt; else kept once it has been looked at long enough."""
    if compared.high < 0:
        return "rolled_back"
    return "kept" if rows >= wanted else "undecided"


def words(compared: Compared, verdict: Verdict, metric: str, rows: int) -> str:
    """A look in plain words."""
    now, was = (compared.metrics[name][metric] for name in ("promoted", "predecessor"))
    begins = {"rolled_back": "worse", "kept": "not worse", "undecided": "undecided"}[verdict]
    return (
        f"{begins}: {metric} {now:.4f} against the predecessor's {was:.4f} on {rows} rows it has served "
        f"(gain {compared.gain:+.4f}, {compared.low:+.4f} to {compared.high:+.4f} with {compared.confidence:.2%})"
    )
