"""Candidates: selections of the training rows, with weights. Each is trained, and the held-out rows say which is taken.

The trainer names them in ``data/live/selection.json``; without that file there is one, all rows. A row that says no
``event_time`` is of the base data and counts as older than any live one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelkit.project import DATA, read_json

Floats = NDArray[np.float64]
EVENT_TIME = "event_time"  # milliseconds; a column of the training rows beside the fields and the target
SPAN = "event_span"  # of held-out rows, from 0 on: those of one share their luck


@dataclass(frozen=True)
class Candidate:
    """The rows ``since`` a time (milliseconds; None: all), their weights halved each ``half_life_ms`` back (None: equal)."""

    name: str
    since: int | None = None
    half_life_ms: int | None = None

    def rows(self, event_time: Floats) -> NDArray[np.bool_]:
        """Which training rows [N] it takes; NaN is a row without a time."""
        if self.since is None:
            return np.ones(len(event_time), dtype=bool)
        taken: NDArray[np.bool_] = event_time >= self.since
        return taken

    def weights(self, event_time: Floats) -> Floats | None:
        """Of the rows it takes [n], 1 on average; None where all are equal. Without a time a row weighs as the oldest.

        >>> Candidate("weighted", half_life_ms=10).weights(np.array([np.nan, 0.0, 10.0])).round(3)
        array([0.75, 0.75, 1.5 ])
        """
        if self.half_life_ms is None or np.isnan(event_time).all():
            return None
        age = np.nanmax(event_time) - event_time
        age = np.where(np.isnan(age), np.nanmax(age), age)
        if not np.ptp(age):
            return None
        weights = np.exp2(-age / self.half_life_ms)
        return np.asarray(weights * (len(weights) / weights.sum()), dtype=np.float64)


@dataclass(frozen=True)
class Drawn:
    """A candidate's training rows, by their place, and their weights."""

    candidate: Candidate
    index: NDArray[np.intp]
    weights: Floats | None


def named() -> list[Candidate]:
    """The candidates that the trainer named, in its order; one, all rows, where it named none."""
    path = DATA / "live" / "selection.json"
    found = read_json(path)["candidates"] if path.exists() else []
    return [Candidate(**one) for one in found] or [Candidate("all")]


def draw(
    candidates: Sequence[Candidate], frame: pd.DataFrame, target: str, *, classified: bool
) -> list[Drawn]:
    """What each takes of the training rows. Of equal rows and weights the first candidate stands for all.

    A candidate without two rows is left out, one of a classification without two classes too; not all of them.
    """
    known = pd.to_numeric(frame[EVENT_TIME]).to_numpy(dtype=np.float64, na_value=np.nan) \
        if EVENT_TIME in frame else np.full(len(frame), np.nan)  # fmt: skip
    found: dict[Any, Drawn] = {}
    for candidate in candidates:
        index = np.flatnonzero(candidate.rows(known))
        weights = candidate.weights(known[index])
        if len(index) < 2 or (classified and frame[target].iloc[index].nunique() < 2):
            continue
        key = (index.tobytes(), b"" if weights is None else weights.tobytes())
        found.setdefault(key, Drawn(candidate, index, weights))
    return list(found.values()) or [Drawn(Candidate("all"), np.arange(len(frame)), None)]


def best(losses: Mapping[str, Floats], spans: NDArray[np.int64] | None = None) -> str:
    """The first candidate whose loss on the held-out rows [N] is above the least by no more than one standard error of
    the paired difference (Breiman et al. 1984): what so few rows cannot tell apart, the trainer's order decides.

    ``spans`` [N], from 0 on, in order: the rows of one share their luck, so that the error is that of their sums; None: each row
    has its own.

    >>> first, second = np.array([1.0, 0, 1, 0, 0, 1, 0, 0]), np.zeros(8)
    >>> best({"first": first, "second": second}), best({"first": np.roll(second + first, 1) / 2, "second": first})
    ('second', 'first')
    >>> first.sort()
    >>> best({"first": first, "second": second}), best({"first": first, "second": second}, np.array([0] * 5 + [1] * 3))
    ('second', 'first')
    """
    least = losses[min(losses, key=lambda name: float(losses[name].mean()))]
    for name, each in losses.items():
        worse = each - least
        if worse.mean() <= _standard_error(worse, np.arange(len(worse)) if spans is None else spans):
            return name
    raise ValueError("no candidate")


def _standard_error(differences: Floats, spans: NDArray[np.int64]) -> float:
    """Of the mean of ``differences`` [N] whose spans [N] are independent; 0 of fewer than two spans."""
    sums = np.bincount(spans, differences - differences.mean())
    many = len(sums)
    return float(np.sqrt((sums**2).sum() * many / max(many - 1, 1)) / len(differences)) if many > 1 else 0.0
