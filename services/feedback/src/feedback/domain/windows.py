"""Windows of event time: window k is [origin + k·step, origin + k·step + size); its end is a boundary."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MAX_EMPTY = 1000  # windows without rows that are decided one after the other, as by the drift-monitor


@dataclass(frozen=True)
class Windows:
    """The grid of windows.

    >>> hourly = Windows(size=60, step=60, origin=0)
    >>> hourly.starts(59), hourly.boundary_after(59), hourly.boundary_after(60)
    ([0], 60, 120)
    >>> Windows(size=60, step=20, origin=0).starts(65)
    [20, 40, 60]
    """

    size: int
    step: int
    origin: int = 0

    @cached_property
    def pane(self) -> int:
        """The size of a pane: windows are sums of panes, and each boundary is the end of one."""
        return math.gcd(self.size, self.step)

    def pane_of(self, time: int) -> int:
        """The start of the pane that holds ``time``.

        >>> Windows(size=60, step=40).pane, Windows(size=60, step=40).pane_of(45)
        (20, 40)
        """
        return self.origin + (time - self.origin) // self.pane * self.pane

    def panes_of(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """:meth:`pane_of` of each time."""
        return self.origin + (times - self.origin) // self.pane * self.pane

    def panes(self, start: int) -> range:
        """The starts of the panes of the window that begins at ``start``."""
        return range(start, start + self.size, self.pane)

    def starts(self, time: int) -> list[int]:
        """Starts of the windows that hold ``time``, ascending."""
        last = (time - self.origin) // self.step
        first = (time - self.origin - self.size) // self.step + 1
        return [self.origin + k * self.step for k in range(first, last + 1)]

    def boundary_after(self, time: int) -> int:
        """The first boundary B with ``time < B``: the first report that may count a label of that time."""
        return self.origin + ((time - self.origin - self.size) // self.step + 1) * self.step + self.size

    def boundary_from(self, time: int) -> int:
        """The first boundary B with ``time <= B``."""
        return self.boundary_after(time - 1)

    def boundary_until(self, time: int) -> int:
        """The last boundary B with ``B <= time``."""
        return self.boundary_after(time) - self.step

    def is_gap(self, filled: int, decided: int) -> bool:
        """Whether so many windows without rows are decided that not each of those that follow is, up to one with rows.

        ``filled`` is the end of the last window with rows. See :mod:`feedback.domain.boundaries`.

        >>> Windows(60, 60).is_gap(60, 999 * 60), Windows(60, 60).is_gap(60, 1001 * 60)
        (False, True)
        """
        return decided - filled >= MAX_EMPTY * self.step

    def mismatch(
        self,
        windows: Iterable[tuple[int, int]],
        boundaries: Iterable[int],
        filled: Iterable[tuple[int, int]] = (),
    ) -> str | None:
        """How windows (start, end), or the boundaries that were decided in turn, lie off this grid.

        ``filled`` are windows with rows: the boundary as of which one was reported, and its end. Boundaries are a step
        apart, but where :meth:`is_gap` says that some may be passed over.

        >>> Windows(60, 60).mismatch([(0, 60), (60, 120)], [60, 120]) is None
        True
        >>> Windows(60, 20).mismatch([(0, 60), (60, 120)], [60, 120])
        'boundaries 60 and 120 are 60 ms apart'
        """
        for start, end in windows:
            if end - start != self.size or (start - self.origin) % self.step:
                return f"window {start} to {end} is {end - start} ms long and begins at {start}"
        told, newest = deque(sorted(filled)), None
        for one, other in pairwise(sorted(set(boundaries))):
            while told and told[0][0] <= one:
                _, end = told.popleft()
                newest = end if newest is None else max(newest, end)
            in_gap = newest is not None and self.is_gap(newest, one) and (other - one) % self.step == 0
            if other - one != self.step and not in_gap:
                return f"boundaries {one} and {other} are {other - one} ms apart"
        return None
