"""How far the workers have counted, folded from ``progress``: who holds a partition, where it stands, and what it is to
stand at once it is counted so far.

A partition is held by whoever claimed it last; its epoch is the offset of that claim. What is said under an older
epoch is void, so a worker that was taken for dead changes nothing when it wakes up.
"""

from __future__ import annotations

from typing import NamedTuple

from contracts.events import ProgressMade

from drift_monitor.domain.panes import Position


class Counted(NamedTuple):
    """What a partition's holder said last. ``panes``: the offset behind the last pane it had written by then."""

    epoch: int
    position: Position
    panes: int


class Ended(NamedTuple):
    """Where the log ended after an event time of ``at`` had been seen, or nothing before it was to come."""

    at: int
    ends: dict[int, int]


class Progress:
    """What ``progress`` says, in the order of its offsets.

    >>> progress = Progress()
    >>> def claim(worker):
    ...     return ProgressMade(what="claimed", worker=worker, partition=0)
    >>> def counted(epoch, n):
    ...     return ProgressMade(what="counted", worker="", partition=0, epoch=epoch, offsets={"0": n})
    >>> for offset, event in enumerate([claim("a"), counted(0, 5), claim("b"), counted(0, 9), counted(2, 6)]):
    ...     progress.take(offset, event)
    >>> progress.epochs[0], progress.counted[0].position.next_offset  # what a said after b's claim is void
    (2, 6)
    """

    def __init__(self) -> None:
        self.epochs: dict[int, int] = {}
        self.counted: dict[int, Counted] = {}
        self.ended: dict[str, Ended] = {}  # by model

    def take(self, offset: int, event: ProgressMade) -> None:
        """Take up the record at an offset."""
        if event.what == "ended":
            ends = {int(partition): end for partition, end in event.offsets.items()}
            for model, at in event.clocks.items():
                if model not in self.ended or self.ended[model].at < at:
                    self.ended[model] = Ended(at, ends)
            return
        partition = event.partition
        epoch = offset if event.what == "claimed" else event.epoch
        if partition is None or epoch is None or epoch < self.epochs.get(partition, -1):
            return
        # A claim may be compacted away where a later one was made; what was said under it still comes in order.
        self.epochs[partition] = epoch
        if event.what == "counted":
            position = Position(event.offsets.get(str(partition), 0), event.clocks)
            self.counted[partition] = Counted(epoch, position, event.panes)

    def newest(self) -> int | None:
        """The largest event time seen, of all models."""
        clocks = (clock for counted in self.counted.values() for clock in counted.position.clocks.values())
        return max(clocks, default=None)

    def models(self) -> set[str]:
        """All models that were seen."""
        return {model for counted in self.counted.values() for model in counted.position.clocks}
