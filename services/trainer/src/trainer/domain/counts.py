"""How many rows were predicted and how many are labelled, by window: what feedback has said, as of any boundary.

What was said of a window is kept sorted by when, so that a question about one window costs a search, and one about what is new
between two boundaries costs what is new: a year of windows is not gone through at each boundary.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator

from contracts.events import QualityReported

Window = tuple[int, int]  # [start, end), event time in ms
_END = (float("inf"),)  # sorts behind all that was said as of a moment


class Counts:
    """Reports of one model, all versions together.

    >>> counts = Counts()
    >>> for as_of, labelled in ((10, 3), (20, 8)):
    ...     _ = counts.update(QualityReported("m", "1", 0, 10, as_of, 0, False, 9, labelled, 1.0, None, {}, None))
    >>> counts.of((0, 10), 10), counts.of((0, 10), 20), counts.said(10, 20)
    ((9, 3), (9, 8), {(0, 10)})
    """

    def __init__(self) -> None:
        self._by_window: dict[Window, dict[str, list[tuple[int, int, int]]]] = {}
        self._windows: list[tuple[int, int]] = []  # (end, start)
        self._said: list[tuple[int, Window]] = []  # (from which boundary on it counts, window)

    def update(self, report: QualityReported) -> tuple[int, Window]:
        """Take in a report; from which boundary on it counts, and for which window."""
        window = (report.window_start, report.window_end)
        if window not in self._by_window:
            self._by_window[window] = {}
            insort(self._windows, window[::-1])
        said = self._by_window[window].setdefault(report.version, [])
        insort(said, (report.as_of, report.predicted, report.labelled))
        found = max(report.as_of, report.window_end), window
        insort(self._said, found)
        return found

    def of(self, window: Window, boundary: int) -> tuple[int, int]:
        """(predicted, labelled) by what was known at a boundary; (0, 0) where nothing was."""
        predicted = labelled = 0
        for said in self._by_window.get(window, {}).values():
            known = bisect_right(said, (boundary, *_END))
            if known:
                predicted += said[known - 1][1]
                labelled += said[known - 1][2]
        return predicted, labelled

    def said(self, after: int | None, boundary: int) -> set[Window]:
        """The windows of which something counts from later than ``after``, and from no later than ``boundary`` on."""
        first = 0 if after is None else bisect_right(self._said, (after, _END))
        return {window for _, window in self._said[first : bisect_right(self._said, (boundary, _END))]}

    def until(self, boundary: int) -> Iterator[Window]:
        """The windows that have ended by a boundary, newest first."""
        for i in range(bisect_right(self._windows, (boundary, *_END)) - 1, -1, -1):
            yield self._windows[i][::-1]
