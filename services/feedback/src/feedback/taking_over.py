"""Taking a partition over where its last holder left it: its state on disk, its panes, and what is out already."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from contracts.events import GroundTruthReceived, OutcomesJoined, QualityPaneCounted
from servicekit.errors import UserError

from feedback.domain.cells import Cell
from feedback.domain.misplaced import Rerouted, origin_of, split_misplaced
from feedback.domain.panes import GROUND_TRUTH, PREDICTIONS, Panes, Position, Segments
from feedback.domain.partition_join import PartitionJoin
from feedback.domain.progress import Standing
from feedback.domain.spilled import Spilled
from feedback.domain.store import Store, StoreLost
from feedback.domain.windows import Windows
from feedback.faust_reader import headers
from feedback.held_partition import HeldPartition, Published
from feedback.joining_edges import Edges
from feedback.records import batches_of, read, readable

log = logging.getLogger(__name__)
OUTCOMES = "outcomes"
UNCOUNTED = "uncounted"


class TakingOver:
    """Builds what a holder knows, from Kafka and the disk; counts and publishes nothing."""

    def __init__(
        self, edges: Edges, windows: Windows, horizon: int, partitions: int, segments: Segments
    ) -> None:
        self.edges, self.windows, self.horizon = edges, windows, horizon
        self.partitions, self.segments = partitions, segments

    async def take_over(
        self, partition: int, epoch: int, panes: list[QualityPaneCounted], behind: int
    ) -> HeldPartition:
        """The partition as its last holder has told of it. ``panes`` may hold more: see :attr:`Panes.ahead`."""
        progress = self.edges.progress.state
        told = progress.joined.get(partition)
        check_panes(partition, told, panes, behind)
        standing = told or Standing(epoch, Position(), 0, Position(), {}, {}, {}, 0, None)
        try:
            store, join = await self._restore(partition, standing)
        except StoreLost as error:
            log.warning("the state on disk of partition %d is built anew: %s", partition, error)
            self.edges.stores.drop(partition)
            store, join = await self._restore(partition, standing)
        outcomes = await self._published(partition, standing)
        spilled = Spilled(store)
        spilled.clear()
        counted = Panes(self.windows, self.horizon, self.segments, spilled.load, spilled.save)
        counted.decided = progress.decided
        counted.uncounted = standing.counts.get(UNCOUNTED, 0)
        counted.restore(panes, standing.position)
        held = HeldPartition(
            epoch,
            spilled,
            join,
            counted,
            standing.position,
            outcomes,
            dict(standing.clocks),
            Rerouted(standing.rerouted),
            behind,
        )
        if progress.decided is not None:
            join.expire(progress.decided)  # what is given up since counts
        return held

    async def _published(self, partition: int, standing: Standing) -> Published:
        ends = [
            (await self.edges.ends(topic)).get(partition, 0)
            for topic in (PREDICTIONS, GROUND_TRUTH, OUTCOMES)
        ]
        revision: dict[str, int] = {}
        async for records in self.edges.read_range(OUTCOMES, partition, standing.outcomes, ends[2]):
            for outcomes in readable(OutcomesJoined, records):
                for text, number in zip(outcomes.prediction_id, outcomes.revision, strict=True):
                    revision[text] = max(number, revision.get(text, 0))
        return Published(standing.outcomes, ends[2], revision, Position(ends[0], ends[1]))

    async def _restore(self, partition: int, standing: Standing) -> tuple[Store, PartitionJoin]:
        """The state on disk, brought to where the partition stands, silently."""
        store = self.edges.stores.open(partition)
        join = PartitionJoin(store, self.horizon, counts=standing.counts)
        if not standing.position.covers(Position.of(join.positions)):
            raise StoreLost("it is ahead of join-progress, so of another log")
        rerouted = Rerouted()
        with join.rebuild(standing.needed.by_topic(), standing.decided):
            position = Position.of(join.positions)
            for topic in (PREDICTIONS, GROUND_TRUTH):
                range_ = self.edges.read_range(
                    topic, partition, position.at(topic), standing.position.at(topic)
                )
                async for records in range_:
                    if topic == PREDICTIONS:
                        join.predict(batches_of(records, self.partitions)[0])
                    else:
                        join.label(list(self._own_labels(partition, records, rerouted)))
                    position = position.moved(topic, records[-1].offset + 1)
                    join.commit(position.by_topic())
            join.commit(standing.position.by_topic())
        return store, join

    def _own_labels(
        self, partition: int, records: Iterable[Any], rerouted: Rerouted
    ) -> Iterable[tuple[int, GroundTruthReceived]]:
        """Of records that were taken before, the labels that belong here."""
        for record in records:
            event = read(GroundTruthReceived, record)
            origin = origin_of(headers(record))
            if event is None or (origin is not None and not rerouted.is_new(origin)):
                continue
            kept, misplaced = split_misplaced(event, partition, self.partitions)
            if kept is not None and not (misplaced and origin is not None):  # that was refused as a whole
                yield record.offset, kept


def check_panes(
    partition: int, standing: Standing | None, panes: list[QualityPaneCounted], behind: int
) -> None:
    """Raise where ``quality-panes`` does not fit ``join-progress``: what was counted would be missing for good."""
    why = None
    if standing is not None and behind < standing.panes:
        why = f"ends at {behind} in partition {partition}, where join-progress says that it reached {standing.panes}"
    for pane in panes[:1]:  # who began with older ones has not got here
        try:
            for data in pane.cells.values():
                cell = Cell.from_bytes(data)
                for at in cell.label_panes:
                    cell.tally(at)
        except ValueError as error:
            why = f"has panes of another version of Atalaia ({error})"
    if why:
        raise UserError(
            f"Topic quality-panes {why}. Stop all feedback workers and delete the topics quality-panes and join-progress "
            f"together: everything is counted anew, and no outcome is published twice."
        )
