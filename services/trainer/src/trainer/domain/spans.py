"""Spans of event time whose rows share their luck.

Rows of a day share its weather, its customers, its broken sensor. A test that takes them as independent finds a difference
where there was one good day. So what is added up, and flipped or drawn or averaged, are whole spans: a day, unless the
setting says otherwise (``ATALAIA_SPAN_MS``). What is assumed is that spans are independent of each other and rows within one need not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

HOUR, DAY = 3_600_000, 86_400_000
PARTS = (1, 4, 24, 96)  # of the span asked for: of a day these are a day, 6 h, 1 h, 15 min
FEWEST = 5

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """What a test takes as independent: the unit of each row [rows], numbered from 0 on, and its name, plural."""

    of: Ints
    name: str

    @classmethod
    def rows(cls, n: int) -> Units:
        """Each row a unit."""
        return cls(np.arange(n, dtype=np.int64), "rows")

    def __len__(self) -> int:
        return count(self.of)

    def sums(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of each unit [units, columns] of ``rows`` [rows, columns]."""
        found = np.zeros((len(self), rows.shape[1]))
        np.add.at(found, self.of, rows)
        return found


def spans(event_time: Ints, length: int) -> Ints:
    """The span [rows], from 0 on, of rows in order of event time (ms); a span is ``length`` ms long. Empty ones are skipped.

    >>> spans(np.array([0, 5, 10, 40]), 10).tolist()
    [0, 0, 1, 2]
    """
    span: Ints
    _, span = np.unique(event_time // length, return_inverse=True)
    return span


def count(span: Ints) -> int:
    """How many spans there are."""
    return int(span.max(initial=-1)) + 1


def fewest(p_value: float) -> int:
    """How many units a test at this level takes at least: of fewer even the luckiest signs come to more than a quarter of it.

    >>> fewest(0.05), fewest(0.001)
    (7, 12)
    """
    return max(FEWEST, ceil(log2(4 / p_value)))


def units(event_time: Ints, length: int, least: int) -> Units:
    """Spans of ``length`` ms where there are ``least``; else the coarsest parts of them of which there are twice as many; else rows.

    ``event_time`` [rows] in ms, in order. Parts are a makeshift, for what lasts for the whole span they still share: so
    they must not be few as well.
    """
    for part in PARTS:
        size = max(length // part, 1)
        span = spans(event_time, size)
        if (least if part == 1 else 2 * least) <= count(span) < len(span):
            return Units(span, named(size))
    return Units.rows(len(event_time))


def named(length: int) -> str:
    """Spans of this length (ms), in words.

    >>> named(DAY), named(DAY // 4), named(DAY // 96)
    ('days', 'spans of 6 h', 'spans of 15 min')
    """
    if length == DAY:
        return "days"
    if length % HOUR == 0:
        return f"spans of {length // HOUR} h"
    return f"spans of {length / 60_000:g} min"
