"""Candidates: selections of the rows that may train. Which is best nobody knows beforehand: each is trained, and the
newest labelled rows, held out in time, decide.

After a change of the inputs alone old rows teach what they always did; after a change of the labelling they teach what is
wrong; most changes are between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALL, SINCE, RECENT, WEIGHTED = "all", "since the change", "recent", "weighted by recency"


@dataclass(frozen=True)
class Candidate:
    """The rows ``since`` a moment (event time, milliseconds; None: all, the project's base rows too), their weights halved
    each ``half_life_ms`` back (None: all weigh the same)."""

    name: str
    since: int | None = None
    half_life_ms: int | None = None


def candidates(event_time: NDArray[np.int64], since: int, until: int) -> list[Candidate]:
    """What to try on training rows of these times [rows], sorted; the change was at ``since``, they end at ``until``.

    Most data first: where the held-out rows cannot tell two apart, the first is taken. The weights' half-life is the span
    since the change: a row of the change's moment weighs half of the newest. ``recent`` takes as many rows from before
    the change as there are since, or all live ones where these are fewer: the project's base rows need have no time. A
    selection that can be seen to equal another is left out; which others are equal the project finds, which knows the base rows.

    >>> [(c.name, c.since) for c in candidates(np.arange(10), since=7, until=12)]
    [('all', None), ('weighted by recency', None), ('recent', 4), ('since the change', 7)]
    """
    found = [Candidate(ALL)]
    if len(event_time) < 2:
        return found
    first = int(np.searchsorted(event_time, since))
    new = len(event_time) - first
    if event_time[0] < event_time[-1]:
        found.append(Candidate(WEIGHTED, half_life_ms=max(until - since, 1)))
    if first and new:
        found.append(Candidate(RECENT, int(event_time[max(first - new, 0)])))
    if new:
        found.append(Candidate(SINCE, since))
    return found
