"""Kafka in a list, and a feedback worker on it: whoever dies leaves the log, and the next goes on from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from contracts.codec import decode, encode
from contracts.events import (
    Event,
    GroundTruthReceived,
    JoinProgressed,
    LabelsReported,
    ModelChanged,
    OutcomesJoined,
    QualityPaneCounted,
    QualityReported,
)
from feedback import deciding, joining_edges
from feedback.answers import WorkerAnswers
from feedback.deciding import Deciding
from feedback.domain.misplaced import HEADER
from feedback.domain.panes import PaneKey, Segments, order
from feedback.domain.progress import Progress
from feedback.domain.store import Store
from feedback.domain.task import Task
from feedback.domain.windows import Windows
from feedback.joining import Joining
from feedback.tasks import Fetch, Tasks

NOW = 1_700_000_000_000


class Killed(BaseException):
    """kill -9: nothing catches it."""


class Record(NamedTuple):
    """A record as Faust's message, and as aiokafka's."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: float = NOW


class FakeKafka:
    """Topics as lists. ``fuse`` counts down with each write, and kills the writer at 0: before or after it is there."""

    def __init__(self, partitions: int = 3) -> None:
        self.partitions = partitions
        self.topics: dict[str, list[list[Record]]] = {}
        self.fuse: int | None = None
        self.lost = False  # whether the write that kills is not there

    def append(self, topic: str, event: Event | bytes | None, partition: int = 0, **more: Any) -> Record:
        """One more record."""
        value, headers = (event, []) if not isinstance(event, Event) else encode(event, source="test")
        headers = [*headers, *more.get("headers", [])]
        records = self.topics.setdefault(topic, [[] for _ in range(self.partitions)])[partition]
        records.append(Record(topic, partition, len(records), more.get("key"), value, headers))
        return records[-1]

    def write(self, topic: str, event: Event | bytes | None, partition: int = 0, **more: Any) -> Record:
        """What a worker writes."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse == 0 and self.lost:
                raise Killed
        record = self.append(topic, event, partition, **more)
        if self.fuse == 0:
            raise Killed
        return record

    def records(self, topic: str) -> list[Record]:
        """All of a topic, by partition and offset."""
        return [record for part in self.topics.get(topic, []) for record in part]

    def events(self, topic: str, kind: type[Event]) -> list[Any]:
        """All events of a topic, by partition and offset."""
        return [decode(kind, r.value, r.headers) for r in self.records(topic) if r.value is not None]

    def ends(self, topic: str) -> dict[int, int]:
        """End offsets."""
        found = self.topics.get(topic, [[] for _ in range(self.partitions)])
        return {p: len(records) for p, records in enumerate(found)}


class FakeProgress:
    """``join-progress``: what is written has been read."""

    def __init__(self, kafka: FakeKafka) -> None:
        self.kafka, self.state = kafka, Progress()
        for record in kafka.records("join-progress"):
            self.read(record)

    def read(self, record: Record) -> None:
        """Take up a record."""
        if record.value is not None:
            self.state.take(record.offset, decode(JoinProgressed, record.value, record.headers))

    async def read_past(self, offset: int) -> None:
        """It is read already."""


class FakeFollower:
    """A topic whose records are handed over at the start and whenever ``poll`` is called."""

    def __init__(self, kafka: FakeKafka, topic: str, kind: type[Event], take: Callable[[Any], None]) -> None:
        self.kafka, self.topic, self.kind, self.take = kafka, topic, kind, take
        self.next: dict[int, int] = {}

    def poll(self) -> None:
        """Hand over what is new."""
        for partition, records in enumerate(self.kafka.topics.get(self.topic, [])):
            for record in records[self.next.get(partition, 0) :]:
                if record.value is not None:
                    self.take(decode(self.kind, record.value, record.headers))
            self.next[partition] = len(records)

    async def start(self) -> None:
        """Begin."""
        self.poll()

    async def stop(self) -> None:
        """End."""

    async def follow(self) -> None:
        """Nothing comes by itself."""
        await asyncio.Event().wait()

    async def read(self) -> None:
        """All that is there."""
        self.poll()

    def positions(self) -> dict[int, int]:
        """What is read."""
        self.poll()
        return dict(self.next)


class FakeStores:
    """State on disk in memory; it outlives its worker."""

    def __init__(self, make: Callable[[], Store]) -> None:
        self.make = make
        self.stores: dict[int, Store] = {}

    def open(self, partition: int) -> Store:
        """The partition's."""
        return self.stores.setdefault(partition, self.make())

    def drop(self, partition: int) -> None:
        """Throw it away."""
        self.stores.pop(partition, None)

    def close(self, partition: int | None = None) -> None:
        """Nothing is open."""


async def no_registry(model: str, version: str) -> Task:
    """A registry that is away."""
    raise ConnectionError("nobody answers")


class FakeWorker:
    """A worker that is given records by hand; ``settle`` lets it decide."""

    def __init__(
        self,
        kafka: FakeKafka,
        stores: FakeStores,
        *,
        windows: Windows,
        horizon: int = 10_000,
        grace: int = 0,
        fetch: Fetch = no_registry,
        observe: Callable[[str, Any], None] = lambda what, value: None,
        segments: Sequence[str] = (),
        name: str = "worker",
    ) -> None:
        self.kafka, self.progress = kafka, FakeProgress(kafka)
        self.given: dict[tuple[str, int], int] = {}
        windows_of = windows

        async def publish_outcomes(partition: int, events: Sequence[OutcomesJoined]) -> int:
            return [kafka.write("outcomes", event, partition) for event in events][-1].offset + 1

        async def publish_panes(panes: Sequence[QualityPaneCounted]) -> Mapping[int, int]:
            return {
                pane.partition: kafka.write("quality-panes", pane, pane.partition).offset + 1
                for pane in panes
            }

        async def publish_progress(event: JoinProgressed) -> int:
            record = kafka.write("join-progress", event)
            self.progress.read(record)
            return record.offset

        async def forget(*_: Any) -> None:
            """Compaction is Kafka's."""

        async def read_panes(wanted: Iterable[int]) -> Any:
            found: dict[int, dict[PaneKey, QualityPaneCounted]] = {p: {} for p in wanted}
            for pane in kafka.events("quality-panes", QualityPaneCounted):
                if pane.partition in found:
                    held = found[pane.partition].get(PaneKey.of(pane))
                    if held is None or order(pane) >= order(held):
                        found[pane.partition][PaneKey.of(pane)] = pane
            return {p: list(panes.values()) for p, panes in found.items()}, kafka.ends("quality-panes")

        async def read_range(topic: str, partition: int, first: int, end: int) -> AsyncIterator[list[Any]]:
            records = kafka.topics.get(topic, [[] for _ in range(kafka.partitions)])[partition][first:end]
            for at in range(0, len(records), 3):
                yield records[at : at + 3]

        async def ends(topic: str) -> Mapping[int, int]:
            return kafka.ends(topic)

        async def reroute(
            parts: Sequence[tuple[int, GroundTruthReceived]], partition: int, offset: int
        ) -> None:
            for target, event in parts:
                origin = f"{partition}/{offset}".encode()
                kafka.write("ground-truth", event, target, headers=[(HEADER, origin)])

        async def refuse(topic: str, record: Any, reason: str) -> None:
            origin = f"{topic}/{record.partition}/{record.offset}".encode()
            kafka.write(f"{topic}.dlq", record.value, headers=[("dlq_origin", origin)])
            observe("unreadable", topic)

        async def publish_report(report: QualityReported) -> None:
            kafka.write("quality-reports", report)

        async def publish_label_report(report: LabelsReported) -> None:
            kafka.write("label-reports", report)

        async def read_reports() -> list[QualityReported]:
            return kafka.events("quality-reports", QualityReported)

        async def read_label_reports() -> list[LabelsReported]:
            return kafka.events("label-reports", LabelsReported)

        self.joining = Joining(
            name,
            f"http://{name}",
            windows_of,
            horizon,
            kafka.partitions,
            Segments(tuple(segments)),
            joining_edges.Edges(
                progress=self.progress,
                stores=stores,
                publish_outcomes=publish_outcomes,
                publish_panes=publish_panes,
                publish_progress=publish_progress,
                forget_progress=forget,
                read_panes=read_panes,
                read_range=read_range,
                ends=ends,
                reroute=reroute,
                refuse=refuse,
            ),
            observe,
        )
        self.tasks = Tasks(fetch, observe, patience=5.0, retry_seconds=0.01)
        self.deciding = Deciding(
            name,
            windows,
            grace=grace,
            horizon=horizon,
            partitions=kafka.partitions,
            min_labelled=1,
            segments=segments,
            segment_values=50,
            tasks=self.tasks,
            edges=deciding.Edges(
                owns=lambda: self.joining.owns(deciding.OWNER),
                progress=self.progress.state,
                model_events=FakeFollower(
                    kafka, "model-events", ModelChanged, lambda e: self.deciding.changed(e)
                ),
                follow_panes=lambda take: FakeFollower(kafka, "quality-panes", QualityPaneCounted, take),
                read_reports=read_reports,
                read_label_reports=read_label_reports,
                ends=ends,
                publish_report=publish_report,
                publish_label_report=publish_label_report,
                publish_progress=publish_progress,
                read_past=self.progress.read_past,
                forget_panes=forget,
            ),
            observe=observe,
        )
        self.answers = WorkerAnswers(
            self.joining, self.deciding, self.progress.state, windows, kafka.partitions
        )
        self._deciding: asyncio.Task[None] | None = None

    async def start(self, partitions: Iterable[int] | None = None) -> FakeWorker:
        """Take partitions over, and decide where that is ours."""
        self.joining.assign(range(self.kafka.partitions) if partitions is None else partitions)
        await self.joining.hold()
        self._deciding = asyncio.create_task(self.deciding.run())
        return self

    @property
    def is_dead(self) -> bool:
        """Whether it was killed while it decided."""
        return self._deciding is not None and self._deciding.done()

    async def end(self) -> None:
        """Stop, whatever is under way."""
        self.tasks.stop()
        if self._deciding is not None:
            self._deciding.cancel()
            await asyncio.gather(self._deciding, return_exceptions=True)
        self.joining.close()

    async def give(self, *records: Record) -> None:
        """Hand records of one topic over."""
        take = (
            self.joining.take_predictions
            if records[0].topic == "predictions"
            else self.joining.take_ground_truth
        )
        await take(records)
        self.deciding.moved.set()

    async def give_all(self, chunk: int = 100) -> None:
        """Hand all over that is there and was not: predictions, then labels."""
        more = True
        while more:
            more = False
            for topic in ("predictions", "ground-truth"):
                for partition, records in enumerate(self.kafka.topics.get(topic, [])):
                    at = self.given.get((topic, partition), 0)
                    while at < len(records):
                        part = records[at : at + chunk]
                        await self.give(*part)
                        at, more = at + len(part), True
                    self.given[topic, partition] = at

    async def flush(self, until: int | None = None) -> int | None:
        """Decide what is left open, and let it be known."""
        decided = await self.deciding.flush(until, 10.0)
        await self.joining.advance()
        return decided
