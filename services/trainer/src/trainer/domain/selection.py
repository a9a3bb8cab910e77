"""Which rows a training may use, which decide the challenge, and which describe the world now.

Rows since the change point are the world now: the reference. Their newest quarter is held out: neither
model has seen them. Everything before the holdout, older rows too, is for training: measured on the
flights, everything so far beats the last month alone, but not after every change: candidates are selections of
them, and copies of held-out rows are kept out of all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainer.domain.candidates import Candidate, candidates
from trainer.domain.leakage import copied
from trainer.domain.ledger import Rows
from trainer.domain.spans import DAY, fewest, units

SHARE, LEAST, MOST = 0.25, 0.2, 0.3


@dataclass(frozen=True)
class Selection:
    """Rows for the training, the challenge and the reference, by event time; what may be tried of the training rows, and
    how many were kept out of them as copies of held-out ones; the ``spans`` in which held-out rows share their luck."""

    train: Rows
    holdout: Rows
    reference: Rows
    reference_held_out: NDArray[np.bool_]
    since: int
    until: int
    candidates: list[Candidate] = field(default_factory=list)
    duplicates: int = 0
    spans: NDArray[np.int64] | None = None

    def counts(self) -> dict[str, int]:
        """How many rows there are of each, for the record."""
        return {"train": len(self.train), "holdout": len(self.holdout), "labelled": len(self.reference)}


def split_point(event_time: NDArray[np.int64]) -> int:
    """Index at which the newest quarter begins.

    Moved, between 20% and 30%, to the nearest change of event time, so that rows of one moment stay together.
    """
    n = len(event_time)
    aim = round(n * (1 - SHARE))
    changes = np.flatnonzero(np.diff(event_time)) + 1
    changes = changes[(changes >= n * (1 - MOST)) & (changes <= n * (1 - LEAST))]
    if not len(changes):
        return aim
    return int(changes[np.argmin(np.abs(changes - aim))])


def select(rows: Rows, since: int, cut: int, span_ms: int = DAY, p_value: float = 0.05) -> Selection:
    """Split ``rows`` (sorted, all before ``cut``). ``span_ms`` and ``p_value`` as the challenge will have them. ``since`` is the change point, or the end of the champion's own
    training rows where that is later: then the holdout is new to the champion too.
    """
    now = rows.event_time >= since
    reference = rows.take(now)
    first = split_point(reference.event_time)
    held = np.zeros(len(reference), dtype=bool)
    held[first:] = True
    position = np.flatnonzero(now)[first:]
    train = np.ones(len(rows), dtype=bool)
    train[position] = False
    training, holdout = rows.take(train), reference.take(held)
    copy = copied(training, holdout)
    training = training.take(~copy)
    tried = candidates(training.event_time, since, cut)
    spans = units(holdout.event_time, span_ms, fewest(p_value)).of
    return Selection(training, holdout, reference, held, since, cut, tried, int(copy.sum()), spans)
