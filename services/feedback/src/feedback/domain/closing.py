"""When is a boundary decided? Deterministically, however fast each partition was read.

This is feedback's twin of the drift-monitor's watermark, with labels beside the predictions. Boundary B closes
when every partition of ``predictions`` either has shown an event time of B + grace, or has been read to the
end offset that the broker named *after* some partition had shown one; and when, after that, all
``ground-truth`` partitions (and ``model-events``) have been read to the end offsets the broker named *then*.
So a partition that lags always holds a boundary, and an idle one never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Offsets = dict[tuple[str, int], int]
Need = Literal["wait", "prediction ends", "label ends", "close"]


class Closing:
    """Positions of the readers, and the end offsets they must reach."""

    def __init__(self, grace: int, partitions: int) -> None:
        self.grace = grace
        self._shown: dict[int, int | None] = dict.fromkeys(range(partitions))
        self._positions: Offsets = {}
        self._prediction_ends: Offsets = {}
        self._ends_top: int | None = None  # highest event time when the prediction ends were asked for
        self._label_ends: Offsets = {}
        self._label_through: int | None = None  # highest boundary the label ends are good for
        self._forced: int | None = None

    def read(self, topic: str, partition: int, position: int, event_time: int | None = None) -> None:
        """All records below ``position`` are absorbed; ``event_time`` is the highest shown by predictions."""
        at = (topic, partition)
        self._positions[at] = max(position, self._positions.get(at, 0))
        if event_time is not None:
            shown = self._shown.get(partition)
            self._shown[partition] = event_time if shown is None else max(event_time, shown)

    def force(self, boundary: int) -> None:
        """Behave, up to ``boundary``, as if some partition had shown what closes it: a replay has ended."""
        forced = boundary + self.grace
        self._forced = forced if self._forced is None else max(forced, self._forced)

    @property
    def top(self) -> int | None:
        """The highest event time any partition has shown."""
        shown = [t for t in (*self._shown.values(), self._forced) if t is not None]
        return max(shown) if shown else None

    @property
    def watermark(self) -> int | None:
        """The event time which every partition has shown or, being idle, may be taken to have passed."""
        lowest: int | None = None
        for partition, shown in self._shown.items():
            at, mark = ("predictions", partition), shown
            if self._ends_top is not None and self._positions.get(at, 0) >= self._prediction_ends[at]:
                mark = self._ends_top if shown is None else max(shown, self._ends_top)
            if mark is None:
                return None
            lowest = mark if lowest is None else min(lowest, mark)
        return lowest

    def need(self, boundary: int) -> Need:
        """What is to be done before ``boundary`` may close."""
        target = boundary + self.grace
        if (top := self.top) is None or top < target:
            return "wait"
        if (mark := self.watermark) is None or mark < target:
            return "prediction ends" if self._ends_top is None or self._ends_top < target else "wait"
        if self._label_through is None or self._label_through < boundary:
            return "label ends"
        reached = all(self._positions.get(at, 0) >= end for at, end in self._label_ends.items())
        return "close" if reached else "wait"

    def prediction_ends(self, top: int, ends: Mapping[tuple[str, int], int]) -> None:
        """The broker's end offsets of ``predictions``, asked for when ``top`` had been shown."""
        self._ends_top, self._prediction_ends = top, dict(ends)

    def label_ends(self, watermark: int, ends: Mapping[tuple[str, int], int]) -> None:
        """The broker's end offsets of the label side, asked for when the watermark stood at ``watermark``."""
        self._label_through, self._label_ends = watermark - self.grace, dict(ends)
