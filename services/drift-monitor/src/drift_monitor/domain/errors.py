"""One version's errors through one detector: when the error rose, since when, and whether to believe it.

The detector says *that* the error rose; *since when* is asked of the rows themselves, whichever detector it was:
the split that explains them best by likelihood (Hinkley 1970). ADWIN's own window after a cut still holds hundreds
of rows of the old world: its oldest buckets are its largest, and go one at a time.

River's detectors take errors for independent of each other. Where neighbours err together (an evening's storm, the
course of a day) bursts look like changes, so a rise must also stand out against the stretches of the same length
before it (batch means, Conway 1963), and those must cover what the user takes for comparable: a window. What does not is
looked at again as rows come.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from drift_monitor.domain.detectors import Detector

HISTORY = 20_000  # rows back a change point may lie
BELIEVED = 5e-4  # p of Student's t, over as many stretches as there are
FEWEST = 30  # rows whose mean says something
STRETCHES = 8  # at least so many before a rise, if shorter than it
AGAIN = 1.25  # a rise that is not believed is looked at again when it has so many times the rows
WARM_ROWS = 50  # of a regression: what its usual error is


class Row(NamedTuple):
    """The error of a row, when the row happened, and where on ``outcomes`` it is."""

    event_time: int
    partition: int
    offset: int
    error: float


class Rise(NamedTuple):
    """The error rose with ``first``, ``rows`` rows ago; of a regression the typical error, which no wild one moves."""

    first: Row
    rows: int
    before: float
    after: float
    offsets: dict[int, int]  # per partition of outcomes where the rows of the new world begin


def change_point(errors: Sequence[float]) -> int:
    """The index at which the mean rose most, for the number of rows on either side.

    >>> change_point([0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1])
    5
    """
    e = np.asarray(errors, dtype=np.float64)
    n, sums = len(e), np.cumsum(e)
    k = np.arange(1, n)
    rise = (sums[-1] - sums[:-1]) / (n - k) - sums[:-1] / k
    return int(np.argmax(rise * np.sqrt(k * (n - k) / n))) + 1


def stands_out(errors: Sequence[float], at: int) -> bool:
    """Whether the mean from ``at`` on differs from the one before by more than stretches before differ.

    The variance of a mean is that of independent errors, times as much as stretches of ``errors`` before ``at`` vary
    more than independent ones would.

    >>> day = [0.0] * 50 + [1.0] * 50
    >>> stands_out(20 * day + [1.0] * 50, 2000), stands_out(1000 * [0.0, 1.0] + [1.0] * 50, 2000)
    (False, True)
    """
    e = np.asarray(errors, dtype=np.float64)
    before, after = e[:at], e[at:]
    n, m = len(before), len(after)
    size = min(m, n // STRETCHES)
    if size < 1:
        return False
    variance = float(before.var())
    if not variance:
        return bool(after.any())
    means = before[n % size :].reshape(-1, size).mean(axis=1)
    together = max(1.0, size * float(means.var(ddof=1)) / variance)
    t = abs(float(after.mean() - before.mean())) / math.sqrt(variance * together * (1 / n + 1 / m))
    return float(stdtr(len(means) - 1, -t)) <= BELIEVED


@dataclass
class Scale:
    """The errors of a regression on a detector's scale, 0 to 1, with the usual one in the middle.

    ADWIN and Page-Hinkley expect errors about as large as one. So a wild value is one wrong row and no more.
    """

    usual: float

    def get(self, error: float) -> float:
        """``error / (error + usual)``.

        >>> Scale(2.0).get(2.0), Scale(2.0).get(1e300), Scale(0.0).get(0.0)
        (0.5, 1.0, 0.0)
        """
        return error / (error + self.usual) if error else 0.0

    def back(self, value: float) -> float:
        """The error that stands at ``value``.

        >>> Scale(2.0).back(0.5)
        2.0
        """
        return self.usual * value / (1 - value) if value < 1 else math.inf


class Errors:
    """The errors of one model version, in order; ``update`` says when they rose.

    ``comparable``: milliseconds of event time that lie before any rise which is believed.
    """

    def __init__(self, detector: Detector, *, regression: bool, comparable: int = 0) -> None:
        self.rows = 0
        self._detector = detector
        self._comparable = comparable
        self._scale: Scale | None = None
        self._warming: list[Row] | None = [] if regression else None
        self._history: deque[Row] = deque(maxlen=HISTORY)
        self._again: int | None = None  # at so many rows a rise is looked at again

    def update(self, row: Row) -> Rise | None:
        """Take one row."""
        self.rows += 1
        if self._warming is None:
            return self._step(row)
        self._warming.append(row)
        if len(self._warming) == WARM_ROWS:
            self._scale = Scale(median(row.error for row in self._warming))
            warm, self._warming = self._warming, None
            return next((rise for rise in map(self._step, warm) if rise is not None), None)
        return None

    def _step(self, row: Row) -> Rise | None:
        self._history.append(row)
        change = self._detector.update(row.error if self._scale is None else self._scale.get(row.error))
        if change is None and (self._again is None or self.rows < self._again):
            return None
        rows = list(self._history)
        scale = self._scale
        errors = [row.error if scale is None else scale.get(row.error) for row in rows]
        if len(rows) < 2:
            return None
        if (
            change == "fall"
        ):  # that the error falls calls for nobody; what was before it is no measure any more
            at = change_point([-error for error in errors])
            if self._believed(rows, errors, at):
                self._history, self._again = deque(rows[at:], maxlen=HISTORY), None
            return None
        at = change_point(errors)
        if not self._believed(rows, errors, at):
            since = len(rows) - at
            # While there is more before than after; later the detector has to speak again.
            later = max(FEWEST - since, math.ceil((AGAIN - 1) * since))
            self._again = self.rows + later if since < at else None
            return None
        self._history.clear()
        self._again = None
        before, after = float(np.mean(errors[:at])), float(np.mean(errors[at:]))
        if scale is not None:
            before, after = scale.back(before), scale.back(after)
        offsets: dict[int, int] = {}
        for new in rows[at:]:
            offsets[new.partition] = min(new.offset, offsets.get(new.partition, new.offset))
        return Rise(rows[at], len(rows) - at, before, after, offsets)

    def _believed(self, rows: list[Row], errors: list[float], at: int) -> bool:
        span = rows[at].event_time - rows[0].event_time
        return len(rows) - at >= FEWEST and span >= self._comparable and stands_out(errors, at)
