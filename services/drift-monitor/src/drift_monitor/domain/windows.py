"""Windows of event time, and the panes they are sums of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Window(NamedTuple):
    """[start, end) of event time, milliseconds."""

    start: int
    end: int


@dataclass(frozen=True)
class Grid:
    """Hopping windows [origin + k·step, + size); tumbling where step equals size. Panes are gcd(size, step).

    >>> grid = Grid(origin=0, size=60, step=20, grace=5)
    >>> grid.pane, grid.pane_of(45), grid.first_window(40), grid.last_window(40)
    (20, 40, Window(start=0, end=60), Window(start=40, end=100))
    """

    origin: int
    size: int
    step: int
    grace: int

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.size:
            raise ValueError(f"a step of {self.step} ms leaves gaps between windows of {self.size} ms")
        if self.grace < 0:
            raise ValueError("grace is not negative")

    @property
    def pane(self) -> int:
        """The size of a pane."""
        return math.gcd(self.size, self.step)

    def pane_of(self, event_time: int) -> int:
        """The start of the pane that holds an event time."""
        return self.origin + (event_time - self.origin) // self.pane * self.pane

    def panes_of(self, event_times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The start of the pane of each event time."""
        return self.origin + (event_times - self.origin) // self.pane * self.pane

    def first_window(self, pane_start: int) -> Window:
        """The earliest window that holds a pane: a row must be in time for it."""
        start = self.origin + ((pane_start - self.size - self.origin) // self.step + 1) * self.step
        return Window(start, start + self.size)

    def last_window(self, pane_start: int) -> Window:
        """The latest window that holds a pane: after it the pane is not needed any more."""
        start = self.origin + (pane_start - self.origin) // self.step * self.step
        return Window(start, start + self.size)

    def after(self, window: Window) -> Window:
        """The next window."""
        return Window(window.start + self.step, window.end + self.step)

    def ending(self, end: int) -> Window:
        """The window that ends at ``end``."""
        return Window(end - self.size, end)

    def closes_at(self, window: Window) -> int:
        """The watermark at which a window is decided."""
        return window.end + self.grace
