"""The watermark: event time up to which all rows are believed to be here."""

from __future__ import annotations

from collections.abc import Iterable

NEVER = -(2**62)  # before any event time


class Watermark:
    """The slowest partition's clock, where an idle partition goes by the others'.

    A partition's clock is the largest event time read from it. Whoever decides asks for the log's ends once some
    partition has shown an event time that would do; a partition that is counted to the end the broker named then held
    nothing back, and its counter moves it on to that time (:meth:`~drift_monitor.domain.panes.Counter.advance`). So
    an idle partition never holds the watermark, a lagging one always does, and what it says does not depend on the
    order in which partitions are read.

    >>> watermark = Watermark([0, 1])
    >>> watermark.see(0, 100)
    >>> watermark.get() == NEVER, watermark.wants(90)
    (True, True)
    >>> watermark.asked(100)
    >>> watermark.wants(90)
    False
    >>> watermark.see(1, 100)
    >>> watermark.get()
    100
    """

    def __init__(self, partitions: Iterable[int]) -> None:
        self._clock = dict.fromkeys(partitions, NEVER)
        self._asked = NEVER
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
        """A partition's clock stands at an event time."""
        self._clock[partition] = max(self._clock[partition], event_time)

    def wants(self, until: int) -> bool:
        """Whether the log's ends must be asked for, so that ``until`` can be reached."""
        return self._asked < until and self.get() < until <= self.newest

    def asked(self, at: int) -> None:
        """The log's ends were asked for after an event time of ``at`` had been seen."""
        self._asked = max(self._asked, at)

    def flush(self, until: int) -> None:
        """Nothing before ``until`` will come any more: a finished replay's end."""
        for partition in self._clock:
            self.see(partition, until)
