"""Rows to panes: integer counts over the reference's cells, cumulative, with the last offset inside.

Guarantee: whatever the chunks, restarts and replays, each row is counted once. A pane says up to which offset
of its partition it has absorbed; what is replayed below that is skipped. Touched panes of a partition must be
written in the order returned, oldest first: then a crash between two writes leaves a state from which the
replay goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from contracts.events import PaneCounted, Value
from numpy.typing import NDArray
from summaries.categories import Categories
from summaries.profile import Profile

from drift_monitor.domain.columns import Batch, concatenate
from drift_monitor.domain.columns import Record as Record
from drift_monitor.domain.watermark import NEVER
from drift_monitor.domain.windows import Grid

MAX_UNSEEN = 100  # names of unseen categories kept for each feature of a pane
MAX_TIME = 253_402_300_799_999  # the year 9999
Version = tuple[str, str]  # model, version


class PaneKey(NamedTuple):
    """What a pane is counted for. ``late``: the ledger of its late rows, which has offsets of its own."""

    model: str
    version: str
    partition: int
    start: int
    late: bool = False

    @classmethod
    def of(cls, pane: PaneCounted) -> PaneKey:
        """The key of a written pane."""
        return cls(pane.model, pane.version, pane.partition, pane.pane_start, bool(pane.late))


@dataclass
class Pane:
    """Counts of one pane."""

    counts: dict[str, NDArray[np.int64]]
    rows: int = 0
    unseen: dict[str, dict[str, int]] = field(default_factory=dict)


class Counter:
    """Counts records into panes."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.replayed = 0  # rows skipped because a pane had them
        self._panes: dict[PaneKey, Pane] = {}
        self._stored: dict[PaneKey, PaneCounted] = {}  # restored, not touched since
        self._late: dict[PaneKey, dict[int, int]] = {}
        self._absorbed: dict[
            PaneKey, int
        ] = {}  # outlives the counts, so that a replay is not counted as late
        self._clock: dict[tuple[str, int], int] = {}

    def restore(self, pane: PaneCounted) -> None:
        """Take up a pane as it was last written."""
        key = PaneKey.of(pane)
        if pane.last_offset <= self._absorbed.get(key, -1):
            return
        self._absorbed[key] = pane.last_offset
        if key.late:
            self._late[key] = {int(start): rows for start, rows in pane.late.items()}
        else:
            self._stored[key] = pane
        at = (pane.model, pane.partition)
        self._clock[at] = max(self._clock.get(at, NEVER), pane.watermark)

    def evict(self, model: str, decided: int) -> None:
        """Forget the counts of panes whose windows are all decided."""
        for panes in (self._panes, self._stored):
            old = [
                key for key in panes if key.model == model and self.grid.last_window(key.start).end <= decided
            ]
            for key in old:
                del panes[key]

    def absorb(
        self, records: Iterable[Record], profiles: Mapping[Version, Profile], decided: Mapping[str, int]
    ) -> tuple[list[PaneCounted], list[tuple[Record, str]]]:
        """Count a chunk; returns the touched panes in the order they must be written, and what was refused.

        ``decided`` is per model the end of the last decided window. A row is late where its first window was
        over by its own partition's clock when it came (that is the same in every replay), or is decided. Late
        rows are not in their window; they are counted by the pane that was the newest when they came.
        """
        chunk = list(records)
        batches, refused = self._index(chunk, profiles)
        bad = {(record.partition, record.offset) for record, _ in refused}
        before = dict(self._clock)
        prior: dict[tuple[int, int], int] = {}
        last: dict[int, int] = {}
        for record in chunk:
            last[record.partition] = max(last.get(record.partition, -1), record.offset)
            place = (record.partition, record.offset)
            if place in bad or not record.event.event_time:
                continue
            at = (record.event.model, record.partition)
            clock = prior[place] = self._clock.get(at, NEVER)
            self._clock[at] = max(clock, max(record.event.event_time))
        touched: set[PaneKey] = set()
        for version, batch in batches.items():
            touched |= self._count(version, batch, prior, profiles[version], decided.get(version[0], NEVER))
        for key in touched:
            self._absorbed[key] = last[key.partition]
        # A ledger before its pane: what the pane has absorbed is skipped before it can be found late.
        ordered = sorted(touched, key=lambda key: (key.partition, key.start, not key.late, *key))
        return [self._written(key, before) for key in ordered], refused

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
        decided: int,
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
            fresh = offsets[rows] > self._absorbed.get(key, -1)
            if not fresh.all():
                self.replayed += int((~fresh).sum())
                rows = rows[fresh]
            window = self.grid.first_window(key.start)
            late = (clocks[rows] >= self.grid.closes_at(window)) | (window.end <= decided)
            if late.any():
                ledger = key._replace(late=True)
                untold = rows[late][offsets[rows[late]] > self._absorbed.get(ledger, -1)]
                if len(untold):
                    by_newest = self._late.setdefault(ledger, {})
                    for start in self.grid.panes_of(np.maximum(clocks[untold], decided)).tolist():
                        by_newest[start] = by_newest.get(start, 0) + 1
                    touched.add(ledger)
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

    def _open(self, key: PaneKey, profile: Profile) -> Pane:
        """The pane to add to."""
        pane = self._panes.get(key)
        if pane is None:
            pane = Pane(
                {name: np.zeros(ref.size, dtype=np.int64) for name, ref in profile.monitored().items()}
            )
            stored = self._stored.pop(key, None)
            if stored is not None:
                pane.rows = stored.rows
                pane.unseen = {name: dict(names) for name, names in stored.unseen.items()}
                for name, (indices, counts) in stored.counts.items():
                    pane.counts[name][indices] = counts
            self._panes[key] = pane
        return pane

    def _written(self, key: PaneKey, before: Mapping[tuple[str, int], int]) -> PaneCounted:
        """A pane as it goes on the wire, sparse.

        Its watermark claims no more than what is written once it is: a later pane of the chunk is not yet.
        """
        at, end = (key.model, key.partition), key.start + self.grid.pane
        pane = Pane({}) if key.late else self._panes[key]
        counts = {}
        for name, cells in pane.counts.items():
            indices = np.flatnonzero(cells)
            counts[name] = (indices.tolist(), cells[indices].tolist())
        return PaneCounted(
            model=key.model,
            version=key.version,
            partition=key.partition,
            pane_start=key.start,
            pane_end=end,
            rows=pane.rows,
            counts=counts,
            unseen={name: dict(names) for name, names in pane.unseen.items()},
            last_offset=self._absorbed[key],
            watermark=max(before.get(at, NEVER), min(self._clock[at], end - 1)),
            late={str(start): rows for start, rows in self._late[key].items()} if key.late else {},
        )


def _name_unseen(pane: Pane, name: str, values: list[Value], reference: Categories) -> None:
    """Remember which categories the reference does not know."""
    names = pane.unseen.setdefault(name, {})
    for category, times in reference.unseen_in(values).items():
        if category in names or len(names) < MAX_UNSEEN:
            names[category] = names.get(category, 0) + times
