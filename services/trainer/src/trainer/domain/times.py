"""When rows were predicted and when their labels came, sorted by the former, so that a span of them is found by a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
_TAIL = 65_536  # rows: the newest are sorted apart, so that a few more do not move a year of them


class EventTimes:
    """Pairs of an event and a label time (ms), in any order.

    >>> times = EventTimes()
    >>> times.update([30, 10, 20], [40, 11, 25])
    >>> times.count(10, 30, 30), times.count(10, 30, 20), times.count(0, 99, 99)
    (2, 1, 3)
    """

    def __init__(self) -> None:
        self._sorted = [_no_rows(), _no_rows()]  # [2, rows] of the older and of the newest, by event time
        self._events: list[int] = []
        self._labels: list[int] = []

    def update(self, events: Sequence[int], labels: Sequence[int]) -> None:
        """Take in rows."""
        self._events.extend(events)
        self._labels.extend(labels)

    def count(self, since: int, until: int, as_of: int) -> int:
        """How many rows of [since, until) had their label before ``as_of``."""
        self._sort()
        found = 0
        for events, labels in self._sorted:
            first, last = np.searchsorted(events, (since, until))
            found += int((labels[first:last] < as_of).sum())
        return found

    def _sort(self) -> None:
        if not self._events:
            return
        older, newest = self._sorted
        newest = _merged(newest, np.array([self._events, self._labels], dtype=np.int64))
        self._events, self._labels = [], []
        if newest.shape[1] > _TAIL:
            older, newest = _merged(older, newest), _no_rows()
        self._sorted = [older, newest]


def _no_rows() -> Times:
    return np.empty((2, 0), dtype=np.int64)


def _merged(one: Times, other: Times) -> Times:
    both = np.concatenate([one, other], axis=1)
    return both[:, np.argsort(both[0], kind="stable")]  # which is quick where the parts are sorted
