"""The joiner: takes records in, keeps the domain's state, publishes what follows. One process owns all.

The log is the truth. State lives in memory and is rebuilt at the start by one pass over ``predictions`` and
``ground-truth`` from their beginnings (state on disk comes later). What ``outcomes`` and ``quality-reports``
already hold is read first, so nothing is published twice: an outcome is known by its id and revision, a
boundary by the report that ends it. What a crash kept from being published is published then. Records that
the agents are given once more, because the group had committed less, lie below the position: skipped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from contracts.codec import Unreadable, decode
from contracts.events import (
    Event,
    GroundTruthReceived,
    ModelChanged,
    OutcomesJoined,
    PredictionsMade,
    QualityReported,
)

from feedback.domain.closing import Closing, Offsets
from feedback.domain.join import Join, Joined
from feedback.domain.outcomes import compose, new_outcomes
from feedback.domain.quality_windows import QualityWindows, Task
from feedback.domain.windows import Windows

log = logging.getLogger(__name__)
E = TypeVar("E", bound=Event)

PREDICTIONS, GROUND_TRUTH, MODEL_EVENTS = "predictions", "ground-truth", "model-events"


class Record(Protocol):
    """A Kafka record, whichever client read it."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes]] | None: ...


class Log(Protocol):
    """What the joiner asks of Kafka."""

    async def publish_outcomes(self, partition: int, events: Sequence[OutcomesJoined]) -> None: ...
    async def publish_report(self, report: QualityReported) -> None: ...
    async def unreadable(self, topic: str, record: Record, reason: str) -> None: ...
    async def ends(self, *topics: str) -> Offsets: ...
    def replay(self, topic: str) -> AsyncIterator[Sequence[Record]]: ...


Fetch = Callable[[str, str], Awaitable[Task | None]]
Observe = Callable[[str, Any], None]


class Joiner:
    """Joins, counts and reports; ``restore`` first, then give it records and ``run`` it."""

    def __init__(
        self,
        kafka: Log,
        *,
        windows: Windows,
        grace: int,
        horizon: int,
        partitions: int,
        fetch_task: Fetch,
        observe: Observe = lambda what, value: None,
    ) -> None:
        self.kafka, self.windows, self._fetch_task, self._observe = kafka, windows, fetch_task, observe
        self.join = Join(horizon)
        self.quality = QualityWindows(windows, horizon)
        self.closing = Closing(grace, partitions)
        self.serving: dict[str, str] = {}
        self.ready = False
        self._next: Offsets = {}  # the first offset not yet absorbed
        self._tasks: dict[tuple[str, str], Task | None] = {}
        self._news = asyncio.Event()
        self._decided = asyncio.Condition()
        # While restoring: the revision of each id on ``outcomes``, and what the dead-letter queues hold.
        self._published: dict[str, int] = {}
        self._buried: set[str] = set()

    # What comes in

    async def take_predictions(self, records: Sequence[Record]) -> None:
        """Absorb a chunk of ``predictions``; returns once all that follows from it is in Kafka."""
        released: dict[int, list[Joined]] = {}
        shown: dict[int, int] = {}
        for record in records:
            if not self._is_new(PREDICTIONS, record):
                continue
            try:
                made = decode(PredictionsMade, record.value, record.headers)
                if len(made.batch_id) != 32:
                    raise Unreadable(f"batch_id {made.batch_id[:80]!r} is not 32 hexadecimal digits")
            except Unreadable as error:
                await self._unreadable(PREDICTIONS, record, error)
                continue
            joined = self.join.predict(made, record.value or b"")
            if joined is None or not made.event_time:
                continue  # published twice: counted once
            if (made.model, made.version) not in self._tasks:
                self._describe(made)
            self.quality.predict(made)
            newest = max(made.event_time)
            shown[record.partition] = max(newest, shown.get(record.partition, newest))
            if joined:
                self.quality.update(joined)
                released.setdefault(record.partition, []).extend(joined)
        await self._publish(released)
        self._have_read(PREDICTIONS, records, shown)

    async def take_ground_truth(self, records: Sequence[Record]) -> None:
        """Absorb a chunk of ``ground-truth``; returns once its outcomes are in Kafka."""
        joined: dict[int, list[list[Joined]]] = {}
        for record in records:
            if not self._is_new(GROUND_TRUTH, record):
                continue
            try:
                rows = self.join.label(
                    record.offset, decode(GroundTruthReceived, record.value, record.headers)
                )
            except Unreadable as error:
                await self._unreadable(GROUND_TRUTH, record, error)
                continue
            self.quality.update(rows)
            joined.setdefault(record.partition, []).append(rows)
        for partition, parts in joined.items():
            await self._publish_parts(partition, parts)
        self._have_read(GROUND_TRUTH, records, {})

    async def take_model_events(self, records: Sequence[Record]) -> None:
        """Note which version serves; the last word on the topic stands."""
        for record in records:
            if not self._is_new(MODEL_EVENTS, record) or record.value is None:
                continue
            try:
                changed = decode(ModelChanged, record.value, record.headers)
            except Unreadable as error:
                await self._unreadable(MODEL_EVENTS, record, error)
                continue
            self.serving[changed.model] = changed.version
        self._have_read(MODEL_EVENTS, records, {})

    # At the start

    async def restore(self) -> None:
        """Rebuild the state from the log, as the module says."""
        for topic in (PREDICTIONS, GROUND_TRUTH):
            async for records in self.kafka.replay(f"{topic}.dlq"):
                for record in records:
                    self._buried.add(dict(record.headers or ()).get("dlq_origin", b"").decode())
        async for records in self.kafka.replay("outcomes"):
            for outcomes in _readable(OutcomesJoined, records):
                for text, revision in zip(outcomes.prediction_id, outcomes.revision, strict=True):
                    self._published[text] = max(revision, self._published.get(text, 0))
        reports: list[QualityReported] = []
        async for records in self.kafka.replay("quality-reports"):
            reports += _readable(QualityReported, records)
        async for records in self.kafka.replay(MODEL_EVENTS):
            await self.take_model_events(records)
        async for records in self.kafka.replay(PREDICTIONS):
            await self.take_predictions(records)
        async for records in self.kafka.replay(GROUND_TRUTH):
            await self.take_ground_truth(records)
        await self._describe_all()
        self.quality.restore(reports, self._task)
        if self.quality.decided is not None:
            self.join.expire(self.quality.decided)
        self._published, self._buried = {}, set()
        self.ready = True
        log.info("restored: %s", self.status())

    # As event time passes

    async def run(self) -> None:
        """Decide boundaries for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while await self.advance():  # noqa: ASYNC110  between boundaries, requests are answered
                await asyncio.sleep(0)

    async def advance(self) -> bool:
        """Do the next thing towards the next boundary; False where there is nothing to do but wait."""
        boundary = self.quality.next_boundary()
        if boundary is None:
            return False
        match self.closing.need(boundary):
            case "prediction ends":
                top = self.closing.top
                assert top is not None
                self.closing.prediction_ends(top, await self.kafka.ends(PREDICTIONS))
            case "label ends":
                watermark = self.closing.watermark
                assert watermark is not None
                self.closing.label_ends(watermark, await self.kafka.ends(GROUND_TRUTH, MODEL_EVENTS))
            case "close":
                await self._close(boundary)
            case "wait":
                return False
        return True

    async def flush(self, until: int | None, seconds: float) -> int | None:
        """Decide all boundaries up to ``until`` (default: the newest window's end), though no more comes.

        Returns ``decided_through``, which is less where it took longer than ``seconds``.
        """
        if until is None:
            newest = [time for time, _ in self.quality.latest_event.values()]
            if not newest:
                return self.quality.decided
            until = self.windows.boundary_after(max(newest))
        boundary = self.windows.boundary_until(until)
        self.closing.force(boundary)
        self._news.set()

        def done() -> bool:
            following = self.quality.next_boundary()
            return following is None or following > boundary

        try:
            async with asyncio.timeout(seconds), self._decided:
                await self._decided.wait_for(done)
        except TimeoutError:
            pass
        return self.quality.decided

    # What is asked

    def status(self) -> dict[str, int | None]:
        """How far reports are decided, and the counts of the join."""
        return {"decided_through": self.quality.decided, **self.join.counts()}

    # Within

    async def _close(self, boundary: int) -> None:
        await self._describe_all()
        for report in self.quality.close(boundary, self._task, self.serving):
            await self.kafka.publish_report(report)
            self._observe("report", report)
        self.join.expire(boundary)
        self._observe("decided", boundary)
        async with self._decided:
            self._decided.notify_all()

    def _is_new(self, topic: str, record: Record) -> bool:
        at = (topic, record.partition)
        if record.offset < self._next.get(at, 0):
            return False
        self._next[at] = record.offset + 1
        return True

    def _have_read(self, topic: str, records: Sequence[Record], shown: dict[int, int]) -> None:
        for partition in {record.partition for record in records}:
            self.closing.read(topic, partition, self._next[(topic, partition)], shown.get(partition))
        self._news.set()

    async def _publish(self, joined: dict[int, list[Joined]]) -> None:
        for partition, rows in joined.items():
            await self._publish_parts(partition, [rows])

    async def _publish_parts(self, partition: int, parts: Iterable[list[Joined]]) -> None:
        events = [event for rows in parts for event in compose(new_outcomes(rows, self._published))]
        if events:
            await self.kafka.publish_outcomes(partition, events)
            self._observe("outcomes", sum(len(event.prediction_id) for event in events))

    async def _unreadable(self, topic: str, record: Record, error: Unreadable) -> None:
        origin = f"{topic}/{record.partition}/{record.offset}"
        if origin in self._buried:
            return
        log.warning("%s cannot be read: %s", origin, error)
        await self.kafka.unreadable(topic, record, str(error))
        self._observe("unreadable", topic)

    def _describe(self, made: PredictionsMade) -> None:
        """Probabilities name the classes in the model's order; without, the registry is asked at a close."""
        classes = tuple(made.probabilities or ())
        task = Task("classification", classes) if len(classes) > 1 else None
        self._tasks[(made.model, made.version)] = task

    async def _describe_all(self) -> None:
        for (model, version), task in list(self._tasks.items()):
            if task is None:
                self._tasks[(model, version)] = await self._fetch_task(model, version) or Task("")

    def _task(self, model: str, version: str) -> Task | None:
        task = self._tasks.get((model, version))
        return task if task and task.kind else None


def _readable(kind: type[E], records: Iterable[Record]) -> Iterator[E]:
    """The events on a topic that we write ourselves; what others put there is passed over."""
    for record in records:
        try:
            yield decode(kind, record.value, record.headers)
        except Unreadable as error:
            log.warning("a %s that cannot be read is passed over: %s", kind.__name__, error)
