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
from summaries.clustered import standard_error

from modelkit.project import DATA, read_json

Floats = NDArray[np.float64]
EVENT_TIME = "event_time"  # milliseconds; a column of the training rows beside the fields and the target
LEAST_FOUND, LEAST_SHARE = (
    5,
    0.1,
)  # of a class, in held-out rows; as ATALAIA_MAX_RECALL_LOSS has it by default
CONFIDENCE = 0.95  # that another selection than the first is better, before it is taken
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


def _said() -> dict[str, Any]:
    """What the trainer says of the selection; nothing in the first world."""
    path = DATA / "live" / "selection.json"
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    return found


def confidence() -> float:
    """How sure the trainer wants to be before another than the first is taken; :data:`CONFIDENCE` where it says nothing."""
    return float(_said().get("confidence", CONFIDENCE))


def named() -> list[Candidate]:
    """The candidates that the trainer named, in its order; one, all rows, where it named none."""
    return [Candidate(**one) for one in _said().get("candidates", [])] or [Candidate("all")]


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


def attentive(truth: NDArray[np.str_], right: Mapping[str, NDArray[np.bool_]]) -> list[str]:
    """The candidates that lose no class: of a class that another finds, each finds at least a tenth as many held-out rows [N].

    All of them where each loses one. ``right`` [N] says on which rows a candidate's answer is the truth. A class that nobody
    finds five times is not asked for. In a calm month a model of the newest rows alone may call nothing late, and have
    the least loss: the challenge would refuse it.

    >>> truth = np.array(["late"] * 10 + ["on time"] * 30)
    >>> attentive(truth, {"new": truth == "on time", "all": np.arange(40) % 2 == 0})
    ['all']
    """
    kept = set(right)
    for name in np.unique(truth):
        found = {candidate: int(hits[truth == name].sum()) for candidate, hits in right.items()}
        most = max(found.values(), default=0)
        if most >= LEAST_FOUND:
            kept &= {candidate for candidate, n in found.items() if n >= LEAST_SHARE * most}
    return [candidate for candidate in right if candidate in kept or not kept]


def best(
    losses: Mapping[str, Floats], spans: NDArray[np.int64] | None = None, confidence: float = CONFIDENCE
) -> str:
    """The first candidate that is not worse than the one of the least mean loss on the held-out rows [N] with so much
    ``confidence``, by Student's t of the paired differences: what so few rows cannot tell apart, the trainer's order decides.

    ``spans`` [N], from 0 on, in order: the rows of one share their luck, so that what is independent are their sums; None: each row
    is.

    >>> first, second = np.array([1.0, 1, 1, 1, 0, 0, 0, 0]), np.zeros(8)
    >>> best({"first": first, "second": second}), best({"first": first, "second": second}, np.array([0] * 5 + [1] * 3))
    ('second', 'first')
    """
    least = losses[min(losses, key=lambda name: float(losses[name].mean()))]
    for name, each in losses.items():
        worse = each - least
        if worse.mean() <= _bound(worse, np.arange(len(worse)) if spans is None else spans, confidence):
            return name
    raise ValueError("no candidate")


def _bound(differences: Floats, spans: NDArray[np.int64], confidence: float) -> float:
    """What a mean of ``differences`` [N] exceeds by chance with 1 - ``confidence``; spans [N] are independent. 0 of fewer than two."""
    from scipy.stats import t

    error, many = standard_error(differences, spans)
    return 0.0 if many < 2 else float(t.ppf(confidence, many - 1)) * error
