"""Rows to panes: integer counts over the reference's cells, cumulative, with the last offset inside.

Guarantee: whatever the chunks, crashes, replays and changes of hand, each row is counted once. A partition is taken
with an epoch, at the position its last holder wrote: all before it is skipped. Behind it lie at most the panes of one
unfinished chunk, and each says up to which offset it has absorbed; what is replayed below that is skipped too. What
is late depends on the partition's own clock alone, which is part of the position. A batch that was sent again is
counted the first time only, where no more than :data:`REMEMBERED` records of its partition lie between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from contracts.events import PaneCounted, Value
from numpy.typing import NDArray
from summaries.categories import Categories
from summaries.counts import pack, unpack
from summaries.profile import Profile

from drift_monitor.domain.columns import Batch, concatenate
from drift_monitor.domain.columns import Record as Record
from drift_monitor.domain.watermark import NEVER
from drift_monitor.domain.windows import Grid

MAX_UNSEEN = 100  # names of unseen categories kept for each feature of a pane
REMEMBERED = 10_000  # records of a partition within which a batch that comes again is a duplicate
MAX_TIME = 253_402_300_799_999  # the year 9999
Version = tuple[str, str]  # model, version


class PaneKey(NamedTuple):
    """What a pane is counted for. ``late``: not its rows, but the late ones that came while it was the newest."""

    model: str
    version: str
    partition: int
    start: int
    late: bool = False

    @classmethod
    def of(cls, pane: PaneCounted) -> PaneKey:
        """The key of a written pane."""
        return cls(pane.model, pane.version, pane.partition, pane.pane_start, bool(pane.late))


def newer(pane: PaneCounted, known: PaneCounted | None) -> bool:
    """Whether of two records of a pane the first one holds."""
    return known is None or (pane.epoch, pane.last_offset) > (known.epoch, known.last_offset)


@dataclass
class Pane:
    """Counts of one pane; of a late one ``rows`` alone."""

    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    rows: int = 0
    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    last_offset: int = -1


class Position(NamedTuple):
    """How far a partition is counted: the offset of the next record, and its clock by model."""

    next_offset: int = 0
    clocks: Mapping[str, int] = {}


@dataclass
class _Held:
    """A partition that is counted here."""

    epoch: int
    next_offset: int
    clocks: dict[str, int]
    batches: dict[str, int]  # the offset at which each came last
    written: int  # panes have absorbed all before it: more than is told, after a crash


class Counter:
    """Counts the records of the partitions it holds into panes."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.replayed = 0  # rows skipped because they are counted
        self.rows: dict[Version, int] = {}  # counted, late ones too
        self.duplicates = 0  # records skipped because their batch came before
        self._held: dict[int, _Held] = {}
        self._panes: dict[PaneKey, Pane] = {}
        self._stored: dict[PaneKey, PaneCounted] = {}  # as last written, not touched since

    def take(
        self,
        partition: int,
        epoch: int,
        position: Position,
        panes: Iterable[PaneCounted],
        batches: Mapping[str, int] = {},
    ) -> None:
        """Hold a partition from where it was left.

        Of ``panes``, as written, its own are taken up. ``batches``: by id the offset of those that came among the
        :data:`REMEMBERED` records before the position.
        """
        self.drop([partition])
        before = {batch: offset for batch, offset in batches.items() if offset < position.next_offset}
        held = _Held(epoch, position.next_offset, dict(position.clocks), before, 0)
        self._held[partition] = held
        for pane in panes:
            key = PaneKey.of(pane)
            if key.partition != partition:
                continue
            held.written = max(held.written, pane.last_offset + 1)
            if not self._closed(key) and newer(pane, self._stored.get(key)):
                self._stored[key] = pane

    def drop(self, partitions: Iterable[int]) -> None:
        """Hold partitions no longer."""
        gone = set(partitions)
        for partition in gone:
            self._held.pop(partition, None)
        self._panes = {key: pane for key, pane in self._panes.items() if key.partition not in gone}
        self._stored = {key: pane for key, pane in self._stored.items() if key.partition not in gone}

    @property
    def held(self) -> dict[int, int]:
        """The epoch of each partition that is held."""
        return {partition: held.epoch for partition, held in self._held.items()}

    def position(self, partition: int) -> Position:
        """Where a held partition stands."""
        held = self._held[partition]
        return Position(held.next_offset, dict(held.clocks))

    def advance(self, model: str, at: int, ends: Mapping[int, int]) -> set[int]:
        """Held partitions that are counted up to ``ends`` stand at event time ``at`` too; returns those it moved."""
        moved = {
            partition
            for partition, held in self._held.items()
            if held.next_offset >= max(ends.get(partition, 0), held.written)
            and held.clocks.get(model, NEVER) < at
        }
        for partition in moved:
            self._held[partition].clocks[model] = at
        if moved:  # else no pane has closed since the last chunk
            self._forget()
        return moved

    def absorb(
        self,
        records: Iterable[Record],
        profiles: Mapping[Version, Profile],
        positions: Mapping[int, int] = {},
    ) -> tuple[list[PaneCounted], list[tuple[Record, str]]]:
        """Count a chunk of held partitions; returns the touched panes, in the order they must be written, and what was
        refused. ``positions``: the offset behind each partition's part of the chunk, where records of it are not given.

        A row is late where its first window was over by its own partition's clock when it came. Late rows are not in
        their window; they are counted by the pane that was the newest when they came.
        """
        given = list(records)
        new = [record for record in given if record.offset >= self._held[record.partition].next_offset]
        self.replayed += sum(len(r.event.event_time) for r in given) - sum(
            len(r.event.event_time) for r in new
        )
        chunk = [record for record in new if not self._came_before(record)]
        self.duplicates += len(new) - len(chunk)
        batches, refused = self._index(chunk, profiles)
        bad = {(record.partition, record.offset) for record, _ in refused}
        prior: dict[tuple[int, int], int] = {}
        for record in new:
            held = self._held[record.partition]
            held.next_offset = max(held.next_offset, record.offset + 1)
        for record in chunk:
            held, model = self._held[record.partition], record.event.model
            place = (record.partition, record.offset)
            if place in bad or not record.event.event_time:
                continue
            clock = prior[place] = held.clocks.get(model, NEVER)
            held.clocks[model] = max(clock, max(record.event.event_time))
        for partition, offset in positions.items():
            self._held[partition].next_offset = max(self._held[partition].next_offset, offset)
        touched: set[PaneKey] = set()
        for version, batch in batches.items():
            touched |= self._count(version, batch, prior, profiles[version])
        for key in touched:
            self._panes[key].last_offset = self._held[key.partition].next_offset - 1
        # Late ones before the pane: what the pane has absorbed is skipped before it can be found late.
        ordered = sorted(touched, key=lambda key: (key.partition, not key.late, key.start, *key))
        written = [self._written(key) for key in ordered]
        self._forget()
        return written, refused

    def _index(
        self, chunk: list[Record], profiles: Mapping[Version, Profile]
    ) -> tuple[dict[Version, Batch], list[tuple[Record, str]]]:
        """The cells of all rows, all records of a version at once."""
        grouped: dict[Version, list[Record]] = {}
        refused: list[tuple[Record, str]] = []
        for record in chunk:
            times = record.event.event_time
            if times and not -MAX_TIME <= min(times) <= max(times) <= MAX_TIME:
                refused.append((record, "event_time is out of range; milliseconds since 1970 are expected"))
            elif times:
                grouped.setdefault((record.event.model, record.event.version), []).append(record)
        batches = {}
        for version, records in grouped.items():
            try:
                batches[version] = concatenate(records, profiles[version])
            except (ValueError, TypeError, OverflowError):  # one of them; find out which
                good = []
                for record in records:
                    try:
                        concatenate([record], profiles[version])
                        good.append(record)
                    except (ValueError, TypeError, OverflowError) as error:
                        refused.append((record, f"not what the profile of {'/'.join(version)} says: {error}"))
                if good:
                    batches[version] = concatenate(good, profiles[version])
        return batches, refused

    def _count(
        self,
        version: Version,
        batch: Batch,
        prior: Mapping[tuple[int, int], int],
        profile: Profile,
    ) -> set[PaneKey]:
        """Add the rows of one version to their panes."""
        records, cells = batch.records, batch.cells
        sizes = [len(record.event.event_time) for record in records]
        partitions = np.repeat([record.partition for record in records], sizes)
        offsets = np.repeat([record.offset for record in records], sizes)
        clocks = np.repeat([prior[record.partition, record.offset] for record in records], sizes)
        times = np.array([t for record in records for t in record.event.event_time], dtype=np.int64)
        starts = self.grid.panes_of(times)
        references = profile.monitored()
        order = np.lexsort((starts, partitions))
        changes = (np.diff(partitions[order]) != 0) | (np.diff(starts[order]) != 0)
        touched: set[PaneKey] = set()
        for rows in np.split(order, np.flatnonzero(changes) + 1):
            key = PaneKey(*version, int(partitions[rows[0]]), int(starts[rows[0]]))
            rows = self._fresh(key, rows, offsets)
            self.rows[version] = self.rows.get(version, 0) + len(rows)
            late = clocks[rows] >= self.grid.closes_at(self.grid.first_window(key.start))
            if late.any():
                touched |= self._count_late(key, rows[late], offsets, clocks)
                rows = rows[~late]
            if not len(rows):
                continue
            pane = self._open(key, profile)
            pane.rows += len(rows)
            for name, reference in references.items():
                at, counts = cells[name][rows], pane.counts[name]
                if 8 * len(at) < len(counts):
                    np.add.at(counts, at, 1)
                else:
                    counts += np.bincount(at, minlength=len(counts))
                if isinstance(reference, Categories) and (at == reference.unseen).any():
                    _name_unseen(pane, name, batch.values(name, rows[at == reference.unseen]), reference)
            touched.add(key)
        return touched

    def _came_before(self, record: Record) -> bool:
        """Whether a record's batch came before, not too long ago; it is remembered."""
        batches, batch = self._held[record.partition].batches, record.event.batch_id
        before = batches.pop(batch, None)
        batches[batch] = record.offset
        if len(batches) > 2 * REMEMBERED:
            for old in list(batches)[:REMEMBERED]:
                del batches[old]
        return before is not None and before != record.offset and record.offset - before <= REMEMBERED

    def _count_late(
        self, key: PaneKey, rows: NDArray[np.int64], offsets: NDArray[np.int64], clocks: NDArray[np.int64]
    ) -> set[PaneKey]:
        """Late rows, by the pane that was the newest when they came."""
        newest = self.grid.panes_of(clocks[rows])
        touched = set()
        for start in np.unique(newest).tolist():
            ledger = key._replace(start=start, late=True)
            untold = self._fresh(ledger, rows[newest == start], offsets)
            if len(untold):
                self._open(ledger).rows += len(untold)
                touched.add(ledger)
        return touched

    def _fresh(self, key: PaneKey, rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that a pane has not absorbed yet."""
        known: Pane | PaneCounted | None = self._panes.get(key) or self._stored.get(key)
        if known is None:
            return rows
        fresh = offsets[rows] > known.last_offset
        self.replayed += int((~fresh).sum())
        return rows[fresh]

    def _open(self, key: PaneKey, profile: Profile | None = None) -> Pane:
        """The pane to add to; without a profile one of late rows."""
        pane = self._panes.get(key)
        if pane is None:
            monitored = {} if profile is None else profile.monitored()
            stored = self._stored.pop(key, None)
            if stored is None:
                pane = Pane({name: np.zeros(ref.size, dtype=np.int64) for name, ref in monitored.items()})
            else:
                pane = Pane(
                    {name: unpack(stored.counts[name], ref.size) for name, ref in monitored.items()},
                    stored.late or stored.rows,
                    {name: dict(names) for name, names in stored.unseen.items()},
                    stored.last_offset,
                )
            self._panes[key] = pane
        return pane

    def _closed(self, key: PaneKey) -> bool:
        """Whether nothing can be added to a pane any more: its rows are late, or it is not the newest."""
        clock = self._held[key.partition].clocks.get(key.model, NEVER)
        if key.late:
            return key.start + self.grid.pane <= clock
        return clock >= self.grid.closes_at(self.grid.first_window(key.start))

    def _forget(self) -> None:
        for key in [key for key in self._panes if self._closed(key)]:
            del self._panes[key]
        for key in [key for key in self._stored if self._closed(key)]:
            del self._stored[key]

    def _written(self, key: PaneKey) -> PaneCounted:
        """A pane as it goes on the wire."""
        pane = self._panes[key]
        return PaneCounted(
            model=key.model,
            version=key.version,
            partition=key.partition,
            epoch=self._held[key.partition].epoch,
            pane_start=key.start,
            pane_end=key.start + self.grid.pane,
            rows=0 if key.late else pane.rows,
            counts={name: pack(counts) for name, counts in pane.counts.items()},
            unseen={name: dict(names) for name, names in pane.unseen.items()},
            last_offset=pane.last_offset,
            late=pane.rows if key.late else 0,
        )


def _name_unseen(pane: Pane, name: str, values: list[Value], reference: Categories) -> None:
    """Remember which categories the reference does not know."""
    names = pane.unseen.setdefault(name, {})
    for category, times in reference.unseen_in(values).items():
        if category in names or len(names) < MAX_UNSEEN:
            names[category] = names.get(category, 0) + times
