"""The watermark: event time up to which all rows are believed to be here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NEVER = -(2**62)  # before any event time


@dataclass(frozen=True)
class EndOffsets:
    """The log's ends, asked for after an event time of ``at`` had been read."""

    at: int
    ends: Mapping[int, int]


class Watermark:
    """The slowest partition's clock, where an idle partition goes by the others'.

    A partition's clock is the largest event time read from it. A partition that has been read to the end the
    broker named *after* some partition showed ``at`` held nothing back when it was asked: it counts as being
    at ``at`` too. So an idle partition never holds the watermark, a lagging one always does, and what it says
    does not depend on the order in which partitions are read.

    >>> watermark = Watermark([0, 1])
    >>> watermark.see(0, 100)
    >>> watermark.get() == NEVER, watermark.wants(90)
    (True, True)
    >>> watermark.end_offsets(EndOffsets(100, {0: 7, 1: 0}))
    >>> watermark.get() == NEVER  # partition 0 has shown it, 1 is not known to be read to its end
    True
    >>> watermark.read_to(1, 0)
    >>> watermark.get()
    100
    """

    def __init__(self, partitions: Iterable[int]) -> None:
        self._clock = dict.fromkeys(partitions, NEVER)
        self._next = dict.fromkeys(self._clock, -1)
        self._asked: EndOffsets | None = None
        if not self._clock:
            raise ValueError("a topic has at least one partition")

    @property
    def newest(self) -> int:
        """The largest event time seen."""
        return max(self._clock.values())

    def get(self) -> int:
        """The watermark; it never goes back."""
        return min(self._clock.values())

    def see(self, partition: int, event_time: int) -> None:
        """A partition has shown an event time."""
        self._clock[partition] = max(self._clock[partition], event_time)

    def read_to(self, partition: int, next_offset: int) -> None:
        """All records of a partition before ``next_offset`` are counted."""
        self._next[partition] = max(self._next[partition], next_offset)
        self._credit()

    def wants(self, until: int) -> bool:
        """Whether the log's ends must be asked for, so that ``until`` can be reached."""
        asked = self._asked is not None and self._asked.at >= until
        return not asked and self.get() < until <= self.newest

    def end_offsets(self, asked: EndOffsets) -> None:
        """Take up the log's ends."""
        self._asked = asked
        self._credit()

    def flush(self, until: int) -> None:
        """Nothing before ``until`` will come any more: a finished replay's end."""
        for partition in self._clock:
            self.see(partition, until)

    def _credit(self) -> None:
        if self._asked is None:
            return
        for partition in self._clock:
            if self._next[partition] >= self._asked.ends.get(partition, 0):
                self.see(partition, self._asked.at)
