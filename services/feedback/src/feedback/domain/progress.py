"""Who joins which partition, and how far, folded from ``join-progress``.

A partition is held by whoever claimed it last; its epoch is the offset of that claim. What is said under an older
epoch is void, so a worker that was taken for dead changes nothing when it wakes up (ADR 0011).
"""

from __future__ import annotations

from typing import NamedTuple

from contracts.events import JoinProgressed

from feedback.domain.panes import Position


class Claim(NamedTuple):
    """Who holds a partition since when, and where that worker answers."""

    epoch: int
    worker: str
    address: str


class Standing(NamedTuple):
    """What a partition's holder said last; ``panes`` is the offset in quality-panes behind what says it all."""

    epoch: int
    position: Position
    outcomes: int
    needed: Position
    clocks: dict[str, int]
    counts: dict[str, int]
    rerouted: dict[str, int]
    panes: int
    decided: int | None


class Progress:
    """What ``join-progress`` says, in the order of its offsets.

    >>> progress = Progress()
    >>> def claim(worker):
    ...     return JoinProgressed(what="claimed", worker=worker, partition=0)
    >>> def joined(worker, epoch, n):
    ...     position = {"ground-truth": n}
    ...     return JoinProgressed(what="joined", worker=worker, partition=0, epoch=epoch, positions=position)
    >>> events = [claim("a"), joined("a", 0, 5), claim("b"), joined("a", 0, 9), joined("b", 2, 6)]
    >>> for offset, event in enumerate(events):
    ...     progress.take(offset, event)
    >>> progress.claims[0].worker, progress.joined[0].position.labels  # what a said after b's claim is void
    ('b', 6)
    """

    def __init__(self) -> None:
        self.claims: dict[int, Claim] = {}
        self.joined: dict[int, Standing] = {}
        self.decided: int | None = None

    def take(self, offset: int, event: JoinProgressed) -> None:
        """Take up the record at an offset."""
        if event.what == "decided":
            if event.decided is not None and (self.decided is None or event.decided > self.decided):
                self.decided = event.decided
            return
        partition = event.partition
        epoch = offset if event.what == "claimed" else event.epoch
        if partition is None or epoch is None:
            return
        held = self.claims.get(partition)
        if held is not None and epoch < held.epoch:
            return
        # A claim may be compacted away where a later one was made; what was said under it still comes in order.
        self.claims[partition] = Claim(epoch, event.worker, event.address)
        if event.what == "joined":
            self.joined[partition] = Standing(
                epoch,
                Position.of(event.positions),
                event.positions.get("outcomes", 0),
                Position.of(event.needed),
                event.clocks,
                event.counts,
                event.rerouted,
                event.panes,
                event.decided,
            )

    def newest(self) -> int | None:
        """The largest event time seen, of all models."""
        clocks = (clock for standing in self.joined.values() for clock in standing.clocks.values())
        return max(clocks, default=None)

    def counts(self) -> dict[str, int]:
        """The counts of the join over all partitions."""
        total: dict[str, int] = {}
        for standing in self.joined.values():
            for name, count in standing.counts.items():
                total[name] = total.get(name, 0) + count
        return total
