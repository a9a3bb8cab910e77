"""Counting: what any worker does with the partitions it was given; knows its edges by shape only.

A partition is claimed before its first record is counted, and taken over where its last holder left it. A chunk is
counted when its panes are written and its position, written after them, has been read back under a claim that still
holds: only then may it be acknowledged. So what a worker says that was taken for dead counts for nothing, and what it
has acknowledged counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from contracts.events import PaneCounted, ProgressMade
from servicekit import metrics
from summaries.profile import Profile

from drift_monitor.domain.panes import Counter, Position, Record
from drift_monitor.domain.progress import Progress
from drift_monitor.domain.windows import Grid

log = logging.getLogger(__name__)


class UnusableProfile(ValueError):
    """A version's profile is there and cannot be read; to ask again would not help."""


class Fenced(Exception):
    """Another worker has claimed a partition that this one believed to be its own; what was counted last is void."""


class Missing(NamedTuple):
    """A profile that is not there; ``since`` is the wall clock's, milliseconds.

    What needs it is held until it comes; where it is ``unusable``, records go to the dead letters instead.
    """

    model: str
    version: str
    since: int
    reason: str
    unusable: bool


class Profiles(Protocol):
    """Where profiles come from; waits until it has one."""

    async def get(self, model: str, version: str) -> Profile:
        """The profile of a version; raises :class:`UnusableProfile` where there will never be one."""

    def missing(self) -> list[Missing]:
        """What was asked for and is not there."""


class FollowedProgress(Protocol):
    """``progress``, read as it is written."""

    state: Progress

    async def read_past(self, offset: int) -> None:
        """Return when the record at an offset has been taken up."""


# partition, offset and reason of records that are dead letters
Refused = Sequence[tuple[int, int, str]]


@dataclass(frozen=True)
class Edges:
    """What counting calls at its edges."""

    profiles: Profiles
    progress: FollowedProgress
    # returns the offsets behind, by partition
    publish_panes: Callable[[Sequence[PaneCounted]], Awaitable[Mapping[int, int]]]
    publish_progress: Callable[[ProgressMade], Awaitable[int]]  # the record's offset
    # where a partition stood, under an epoch that is over
    forget_progress: Callable[[int, int], Awaitable[None]]
    # of so many partitions of panes what is there now, and the offsets behind
    read_panes: Callable[[Iterable[int]], Awaitable[tuple[list[PaneCounted], Mapping[int, int]]]]
    # of so many partitions of predictions the batches before each offset, by id with their offsets
    read_batches: Callable[[Mapping[int, int]], Awaitable[Mapping[int, Mapping[str, int]]]]


class Counting:
    """Counts chunks of the partitions that were assigned."""

    def __init__(self, grid: Grid, worker: str, edges: Edges) -> None:
        self.counter = Counter(grid)
        self.worker = worker
        self.edges = edges
        self.assigned: frozenset[int] = frozenset()
        self.is_assigned = False  # has been, if only nothing
        self._generation = 0  # of the assignment; partitions are claimed anew in each
        self._claimed = -1  # the generation they are claimed in
        self._panes: dict[int, int] = {}  # the offset behind what was written, by partition
        self._lock = asyncio.Lock()

    # --- who holds what

    def assign(self, partitions: Iterable[int]) -> None:
        """So many partitions are ours from now on, and no others."""
        self.assigned = frozenset(partitions)
        self._generation += 1
        self.is_assigned = True

    def owns(self, partition: int) -> bool:
        """Whether a partition is held, and nobody else has claimed it since."""
        epoch = self.counter.held.get(partition)
        return (
            epoch is not None
            and partition in self.assigned
            and self.edges.progress.state.epochs.get(partition) == epoch
        )

    async def hold(self) -> None:
        """Claim what was assigned; returns when it is held."""
        async with self._lock:
            await self._hold()

    async def _hold(self) -> None:
        while self._claimed != self._generation:
            generation, wanted = self._generation, sorted(self.assigned)
            before = {p: known.epoch for p, known in self.edges.progress.state.counted.items()}
            self.counter.drop(self.counter.held)
            claims = [ProgressMade(what="claimed", worker=self.worker, partition=p) for p in wanted]
            epochs = await asyncio.gather(*(self.edges.publish_progress(claim) for claim in claims))
            if epochs:
                await self.edges.progress.read_past(max(epochs))
            # Read after the claims: whatever is written under an older epoch from now on is void.
            panes, ends = await self.edges.read_panes(wanted)
            counted = self.edges.progress.state.counted
            positions = {p: counted[p].position if p in counted else Position() for p in wanted}
            batches = await self.edges.read_batches({p: at.next_offset for p, at in positions.items()})
            for partition, epoch in zip(wanted, epochs, strict=True):
                self.counter.take(partition, epoch, positions[partition], panes, batches.get(partition, {}))
                self._panes[partition] = ends.get(partition, 0)
            await self._tell(wanted)
            for partition in wanted:
                if partition in before:  # ours stands in its place
                    await self.edges.forget_progress(partition, before[partition])
            self._claimed = generation
            log.info("counting partitions %s", ", ".join(map(str, wanted)) or "none")

    # --- what comes in

    async def next_offsets(self) -> dict[int, int]:
        """Of each partition that is ours the offset of the record that is to be counted next."""
        async with self._lock:
            await self._hold()
            return {p: self.counter.position(p).next_offset for p in self.counter.held}

    async def absorb(
        self,
        records: Sequence[Record],
        positions: Mapping[int, int],
        unreadable: Refused,
        refuse: Callable[[Refused], Awaitable[None]],
    ) -> frozenset[int]:
        """Count a chunk, write its panes and its dead letters; returns the partitions of which it may be acknowledged.

        ``positions`` is per partition the offset after the chunk's last record; ``unreadable`` is no record of
        ``records``. What is not ours (any more), or was read under an older assignment, is not counted. Raises
        :class:`Fenced` where a partition is said to be ours and is not.
        """
        generation = self._generation
        profiles, lost = await self._profiles(records)
        async with self._lock:
            await self._hold()
            if generation != self._generation:  # it is read again
                return frozenset()
            ours = {p: offset for p, offset in positions.items() if p in self.counter.held}
            usable = [
                record
                for record in records
                if record.partition in ours and (record.event.model, record.event.version) in profiles
            ]
            duplicates, rows = self.counter.duplicates, dict(self.counter.rows)
            panes, refused = self.counter.absorb(usable, profiles, ours)
            self._panes.update(await self.edges.publish_panes(panes))
            dead = [*unreadable, *((r.partition, r.offset, reason) for r, reason in [*refused, *lost])]
            # Before the position: what lies behind it is not looked at again.
            await refuse([each for each in dead if each[0] in ours])
            self._advance()
            counted = await self._tell(ours)
        metrics.DUPLICATES.inc(self.counter.duplicates - duplicates)
        for version, n in self.counter.rows.items():
            metrics.ROWS_COUNTED.labels(*version).inc(n - rows.get(version, 0))
        return counted

    async def advance(self) -> None:
        """Move idle partitions on, where they are counted to the end that was named."""
        async with self._lock:
            if moved := self._advance():
                await self._tell(moved)

    def _advance(self) -> set[int]:
        moved: set[int] = set()
        for model, ended in self.edges.progress.state.ended.items():
            moved |= self.counter.advance(model, ended.at, ended.ends)
        return moved

    async def _tell(self, partitions: Iterable[int]) -> frozenset[int]:
        """Write where partitions stand, and read it back; returns those that were still ours then.

        Raises :class:`Fenced` where one was not that the broker says is ours.
        """
        asked = sorted(partitions)
        told = []
        for partition in asked:
            position = self.counter.position(partition)
            event = ProgressMade(
                what="counted",
                worker=self.worker,
                partition=partition,
                epoch=self.counter.held[partition],
                offsets={str(partition): position.next_offset},
                clocks=dict(position.clocks),
                panes=self._panes[partition],
            )
            told.append(self.edges.publish_progress(event))
        if told:
            await self.edges.progress.read_past(max(await asyncio.gather(*told)))
        epochs = self.edges.progress.state.epochs
        lost = {p for p in asked if epochs[p] != self.counter.held[p]}
        if taken := sorted(lost & self.assigned):
            raise Fenced(
                f"partition {', '.join(map(str, taken))} of predictions was given to another worker in the meantime"
            )
        return frozenset(asked) - lost

    async def _profiles(
        self, records: Sequence[Record]
    ) -> tuple[dict[tuple[str, str], Profile], list[tuple[Record, str]]]:
        """The profiles that records need, and the records whose profile nobody can read, with the reason."""
        profiles: dict[tuple[str, str], Profile] = {}
        lost: list[tuple[Record, str]] = []
        for model, version in dict.fromkeys((r.event.model, r.event.version) for r in records):
            try:
                profiles[model, version] = await self.edges.profiles.get(model, version)
            except UnusableProfile as error:
                reason = f"{model} version {version}: {error}"
                lost += [(r, reason) for r in records if (r.event.model, r.event.version) == (model, version)]
        return profiles, lost
