"""Joining: what any worker does with the partitions it was given; knows its edges by shape only.

Kafka is the truth. A partition is claimed on ``join-progress`` before its first record is taken, and taken over where
its last holder left it (ADR 0011, ADR 0013). Of a chunk, outcomes and panes are published, then where the partition
stands; once that has been read back under a claim that still holds, the state on disk takes the chunk in and it may be
acknowledged. So the disk is never ahead of Kafka: after a crash it catches up from its own position, and where there is
none, from the offsets that ``join-progress`` says are needed, without counting or publishing anything again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from contracts.codec import Unreadable, decode
from contracts.events import GroundTruthReceived, JoinProgressed, QualityPaneCounted

from feedback.domain.compose import compose, new_outcomes
from feedback.domain.misplaced import all_placed, origin_of, split_misplaced
from feedback.domain.panes import GROUND_TRUTH, PREDICTIONS, Segments
from feedback.domain.rows import Joined
from feedback.domain.store import StoreLost
from feedback.domain.windows import Windows
from feedback.faust_reader import headers
from feedback.held_partition import HeldPartition
from feedback.joining_edges import Edges
from feedback.records import batches_of, pieces
from feedback.taking_over import OUTCOMES, UNCOUNTED, TakingOver

log = logging.getLogger(__name__)
MAX_PACE = 10.0  # seconds
CHUNK_BYTES = 2_000_000
Observe = Callable[[str, Any], None]


class Fenced(Exception):
    """Another worker has claimed a partition that this one believed to be its own; what was joined last is void."""


Take = Callable[[int, HeldPartition, list[Any]], Awaitable[list[Joined]]]


class Joining:
    """Joins chunks of the partitions that were assigned."""

    def __init__(
        self,
        worker: str,
        address: str,
        windows: Windows,
        horizon: int,
        partitions: int,
        segments: Segments,
        edges: Edges,
        observe: Observe = lambda what, value: None,
    ) -> None:
        self.worker, self.address = worker, address
        self.windows, self.horizon, self.partitions = windows, horizon, partitions
        self.edges, self._observe = edges, observe
        self._taking_over = TakingOver(edges, windows, horizon, partitions, segments)
        self.assigned: frozenset[int] = frozenset()
        self.is_assigned = False  # has been, if only nothing
        self.held: dict[int, HeldPartition] = {}
        self._generation = 0  # of the assignment; partitions are claimed anew in each
        self._claimed = -1  # the generation they are claimed in
        self._lock = asyncio.Lock()
        self._cost = 0.0  # seconds that telling of the last chunk took, as far as it is told

    def pace(self) -> float:
        """Seconds to let records gather, so that telling of them takes a tenth of the time or so."""
        return min(MAX_PACE, 9 * self._cost)

    # --- who holds what

    def assign(self, partitions: Iterable[int]) -> None:
        """So many partitions are ours from now on, and no others."""
        self.assigned = frozenset(partitions)
        self._generation += 1
        self.is_assigned = True

    def owns(self, partition: int) -> bool:
        """Whether a partition is held, and nobody else has claimed it since."""
        held, claim = self.held.get(partition), self.edges.progress.state.claims.get(partition)
        return (
            held is not None
            and partition in self.assigned
            and claim is not None
            and claim.epoch == held.epoch
        )

    @property
    def ready(self) -> bool:
        """Whether all that was assigned is held."""
        return self.is_assigned and self._claimed == self._generation

    async def hold(self) -> None:
        """Claim what was assigned; returns when it is held."""
        async with self._lock:
            await self._hold()

    def close(self) -> None:
        """Let go of the state on disk."""
        self.edges.stores.close()
        self.held.clear()

    async def _hold(self) -> None:
        while self._claimed != self._generation:
            generation, wanted = self._generation, sorted(self.assigned)
            before = {p: standing.epoch for p, standing in self.edges.progress.state.joined.items()}
            self.close()
            claims = [
                JoinProgressed(what="claimed", worker=self.worker, address=self.address, partition=p)
                for p in wanted
            ]
            epochs = await asyncio.gather(*(self.edges.publish_progress(claim) for claim in claims))
            if epochs:
                await self.edges.progress.read_past(max(epochs))
            # Read after the claims: whatever is written under an older epoch from now on is void.
            panes, behind = await self.edges.read_panes(wanted)
            for partition, epoch in zip(wanted, epochs, strict=True):
                if generation != self._generation:
                    break
                self.held[partition] = await self._take_over(
                    partition, epoch, panes.get(partition, []), behind.get(partition, 0)
                )
            if generation != self._generation:
                continue
            for partition in await self._tell(wanted):
                if partition in before:  # ours stands in its place
                    await self.edges.forget_progress(partition, before[partition])
            self._claimed = generation
            log.info("joining partitions %s", ", ".join(map(str, wanted)) or "none")

    async def _take_over(
        self, partition: int, epoch: int, panes: list[QualityPaneCounted], behind: int
    ) -> HeldPartition:
        held = await self._taking_over.take_over(partition, epoch, panes, behind)
        # Some panes may be out that the last holder had no time to tell of.
        ahead = held.panes.ahead
        for topic, take in ((PREDICTIONS, self._predictions), (GROUND_TRUTH, self._labels)):
            range_ = self.edges.read_range(topic, partition, held.position.at(topic), ahead.at(topic))
            if missed := [record async for records in range_ for record in records]:
                await self._take(topic, take, partition, held, missed)
        return held

    # --- what comes in

    async def take_predictions(self, records: Sequence[Any]) -> frozenset[int]:
        """Absorb a chunk of ``predictions``; returns the partitions of which it may be acknowledged."""
        return await self._absorb(PREDICTIONS, records, self._predictions)

    async def take_ground_truth(self, records: Sequence[Any]) -> frozenset[int]:
        """Absorb a chunk of ``ground-truth``; returns the partitions of which it may be acknowledged."""
        return await self._absorb(GROUND_TRUTH, records, self._labels)

    async def _absorb(self, topic: str, records: Sequence[Any], take: Take) -> frozenset[int]:
        generation = self._generation
        async with self._lock:
            await self._hold()
            if generation != self._generation:  # it is read again
                return frozenset()
            parts: dict[int, list[Any]] = {}
            for record in records:
                parts.setdefault(record.partition, []).append(record)
            ours = [partition for partition in sorted(parts) if partition in self.held]
            self._cost = 0.0
            taken, size, lost = [], 0, frozenset[int]()
            for partition in ours:
                held, given = self.held[partition], parts[partition]
                start = held.position.at(topic)
                fresh = [record for record in given if record.offset >= start]
                if not fresh:
                    continue
                if fresh[0].offset > start:  # the group had acknowledged more than was told
                    range_ = self.edges.read_range(topic, partition, start, fresh[0].offset)
                    fresh = [record async for missed in range_ for record in missed] + fresh
                for piece in pieces(fresh):
                    await self._take(topic, take, partition, held, piece)
                    # Before it is told, so that no more than a piece is in memory; see Published.
                    await self._publish_outcomes(partition, held)
                taken.append(partition)
                size += sum(len(record.value or b"") for record in fresh)
                if size > CHUNK_BYTES:  # what waits to be committed is in memory
                    lost |= frozenset(taken) - await self._tell(taken)
                    taken, size = [], 0
            return frozenset(ours) - lost - (frozenset(taken) - await self._tell(taken))

    async def _take(
        self, topic: str, take: Take, partition: int, held: HeldPartition, records: list[Any]
    ) -> None:
        """Join records, count them and note what is to be published."""
        with self._dropping(partition):
            joined = await take(partition, held, records)
            held.panes.update(joined)
        held.said += compose(new_outcomes(joined, held.outcomes.revision))
        held.outcomes.met(joined)
        held.position = held.position.moved(topic, records[-1].offset + 1)

    async def _predictions(self, partition: int, held: HeldPartition, records: list[Any]) -> list[Joined]:
        batches, refused = batches_of(records, self.partitions)
        found = held.join.predict(batches)
        for offset, made in found.taken:
            held.panes.predict(offset, made)
            newest = max(made.event_time, default=None)
            if newest is not None:
                held.clocks[made.model] = max(newest, held.clocks.get(made.model, newest))
        await self._refuse(PREDICTIONS, records, [*refused, *found.refused])
        return found.released

    async def _labels(self, partition: int, held: HeldPartition, records: list[Any]) -> list[Joined]:
        uploads: list[tuple[int, GroundTruthReceived, bytes | None]] = []
        refused: list[tuple[int, str]] = []
        for record in records:
            given = headers(record)
            try:
                event = decode(GroundTruthReceived, record.value, given)
            except Unreadable as error:
                refused.append((record.offset, str(error)))
                continue
            origin = origin_of(given)
            if origin is None or held.rerouted.is_new(origin):
                uploads.append((record.offset, event, origin))
        if all_placed([event for _, event, _ in uploads], partition, self.partitions):  # as nearly always
            own = [(offset, event) for offset, event, _ in uploads]
        else:
            own = await self._sort_out(partition, uploads, refused)
        found = held.join.label(own)
        await self._refuse(GROUND_TRUTH, records, [*refused, *found.refused])
        return found.joined

    async def _sort_out(
        self,
        partition: int,
        uploads: Iterable[tuple[int, GroundTruthReceived, bytes | None]],
        refused: list[tuple[int, str]],
    ) -> list[tuple[int, GroundTruthReceived]]:
        """Send labels where they belong; returns those that belong here."""
        own: list[tuple[int, GroundTruthReceived]] = []
        for offset, event, origin in uploads:
            kept, misplaced = split_misplaced(event, partition, self.partitions)
            if misplaced and origin is not None:
                # Sent here by one who counts other partitions: it would circle.
                refused.append((offset, f"re-routed labels that do not belong in partition {partition}"))
                continue
            if misplaced:
                await self.edges.reroute(misplaced, partition, offset)
                self._observe("rerouted", sum(len(part.prediction_id) for _, part in misplaced))
            if kept is not None:
                own.append((offset, kept))
        return own

    async def _refuse(self, topic: str, records: Sequence[Any], refused: Iterable[tuple[int, str]]) -> None:
        by_offset = {record.offset: record for record in records}
        for offset, reason in refused:
            record = by_offset[offset]
            log.warning("%s/%d/%d is not readable: %s", topic, record.partition, offset, reason)
            await self.edges.refuse(topic, record, reason)

    # --- as boundaries are decided

    async def advance(self) -> None:
        """Take up what was decided: rows expire, and what is over is forgotten."""
        if self._is_up_to_date():
            return
        async with self._lock:
            decided = self.edges.progress.state.decided
            if decided is None or self._claimed != self._generation:
                return
            for partition, held in self.held.items():
                with self._dropping(partition):
                    held.join.expire(decided)
                    held.panes.decided = decided
                    held.spilled.forget(decided - 2 * self.horizon - self.windows.pane)
            await self._tell(sorted(self.held))

    def _is_up_to_date(self) -> bool:
        decided = self.edges.progress.state.decided
        return decided is None or all(held.panes.decided == decided for held in self.held.values())

    @contextmanager
    def _dropping(self, partition: int) -> Iterator[None]:
        """Throw the state on disk away where it cannot be read; whoever takes the partition over builds it anew."""
        try:
            yield
        except StoreLost:
            self.edges.stores.drop(partition)
            raise

    # --- what is told

    async def _tell(self, partitions: Iterable[int]) -> frozenset[int]:
        """Publish what follows from what was taken, write where partitions stand, read it back, commit.

        Returns those that were still ours then. Raises :class:`Fenced` where one was not that the broker says is ours.
        """
        began = time.monotonic()
        asked = sorted(partitions)
        panes: list[QualityPaneCounted] = []
        for partition in asked:
            held = self.held[partition]
            panes += held.panes.publish(partition, held.epoch, held.position)
        behind, _ = await asyncio.gather(
            self.edges.publish_panes(panes),
            asyncio.gather(*(self._publish_outcomes(p, self.held[p]) for p in asked)),
        )
        for partition, offset in behind.items():
            self.held[partition].behind = offset
        for partition in asked:
            self.held[partition].outcomes.reached(self.held[partition].position)
        told = [self.edges.publish_progress(self._standing(p, self.held[p])) for p in asked]
        if told:
            await self.edges.progress.read_past(max(await asyncio.gather(*told)))
        claims = self.edges.progress.state.claims
        lost = {p for p in asked if claims[p].epoch != self.held[p].epoch}
        if taken := sorted(lost & self.assigned):
            raise Fenced(
                f"partition {', '.join(map(str, taken))} was given to another worker in the meantime"
            )
        for partition in asked:
            if partition not in lost:
                with self._dropping(partition):
                    self.held[partition].join.commit(self.held[partition].position.by_topic())
        self._cost += time.monotonic() - began
        return frozenset(asked) - lost

    async def _publish_outcomes(self, partition: int, held: HeldPartition) -> None:
        events, held.said = held.said, []
        if not events:
            return
        held.outcomes.end = await self.edges.publish_outcomes(partition, events)
        self._observe("outcomes", sum(len(event.prediction_id) for event in events))

    def _standing(self, partition: int, held: HeldPartition) -> JoinProgressed:
        return JoinProgressed(
            what="joined",
            worker=self.worker,
            address=self.address,
            partition=partition,
            epoch=held.epoch,
            positions={**held.position.by_topic(), OUTCOMES: held.outcomes.told},
            needed=held.join.needed(),
            rerouted=dict(held.rerouted.highest),
            clocks=dict(held.clocks),
            counts={**held.join.counts.as_dict(), UNCOUNTED: held.panes.uncounted},
            panes=held.behind,
            decided=held.join.decided,
        )
