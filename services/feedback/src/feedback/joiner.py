"""The joiner owns all state, in one process. It takes records in, publishes outcomes as labels are joined,
closes boundaries as event time passes and publishes quality at each; at the start it restores itself.

The log is the truth. State lives in memory and is rebuilt at the start by one pass over ``predictions`` and
``ground-truth`` from their beginnings (state on disk comes later). What ``outcomes`` and ``quality-reports``
already hold is read first, so nothing is published twice: an outcome is known by its id and revision, a
boundary by the serving version's report of the window that ends there. What a crash kept from being published is published then. Records that
the agents are given once more, because the group had committed less, lie below the position: skipped.

A record that cannot be used goes to the dead-letter queue. It must not raise here: the log is read again at
each start, and so the process would end at each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
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
from servicekit.errors import UserError

from feedback.domain.closing import Closing, Offsets
from feedback.domain.join import Join, Joined
from feedback.domain.outcomes import compose, new_outcomes
from feedback.domain.quality_windows import QualityWindows
from feedback.domain.serving import Serving
from feedback.domain.windows import Windows
from feedback.tasks import Observe, Tasks

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
        tasks: Tasks,
        observe: Observe = lambda what, value: None,
    ) -> None:
        self.kafka, self.windows, self.tasks, self._observe = kafka, windows, tasks, observe
        self.join = Join(horizon)
        self.quality = QualityWindows(windows, horizon)
        self.closing = Closing(grace, partitions)
        self.serving = Serving()
        self.ready = False
        self._next: Offsets = {}  # the first offset not yet absorbed
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
                joined = self.join.predict(made, record.value or b"")
            except Unreadable as error:
                await self._unreadable(PREDICTIONS, record, error)
                continue
            if joined is None or not made.event_time:
                continue  # published twice: counted once
            self.tasks.see(made)
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
                rows = self.join.label(decode(GroundTruthReceived, record.value, record.headers))
            except Unreadable as error:
                await self._unreadable(GROUND_TRUTH, record, error)
                continue
            self.quality.update(rows)
            joined.setdefault(record.partition, []).append(rows)
        for partition, parts in joined.items():
            await self._publish_parts(partition, parts)
        self._have_read(GROUND_TRUTH, records, {})

    async def take_model_events(self, records: Sequence[Record]) -> None:
        """Note which version serves from when."""
        for record in records:
            if not self._is_new(MODEL_EVENTS, record) or record.value is None:
                continue
            try:
                changed = decode(ModelChanged, record.value, record.headers)
            except Unreadable as error:
                await self._unreadable(MODEL_EVENTS, record, error)
                continue
            self.serving.changed(changed)
        self._have_read(MODEL_EVENTS, records, {})

    # At the start

    async def restore(self) -> None:
        """Rebuild the state from the log, as the module says."""
        for topic in (PREDICTIONS, GROUND_TRUTH):
            async for records in self.kafka.replay(f"{topic}.dlq"):
                for record in records:
                    origin = dict(record.headers or ()).get("dlq_origin")
                    self._buried.add((origin or b"").decode(errors="replace"))
        async for records in self.kafka.replay("outcomes"):
            for outcomes in _readable(OutcomesJoined, records):
                for text, revision in zip(outcomes.prediction_id, outcomes.revision, strict=False):
                    self._published[text] = max(revision, self._published.get(text, 0))
        reports: list[QualityReported] = []
        async for records in self.kafka.replay("quality-reports"):
            reports += _readable(QualityReported, records)
        self._check_grid(reports)
        async for records in self.kafka.replay(MODEL_EVENTS):
            await self.take_model_events(records)
        async for records in self.kafka.replay(PREDICTIONS):
            await self.take_predictions(records)
        async for records in self.kafka.replay(GROUND_TRUTH):
            await self.take_ground_truth(records)
        self.quality.restore(reports, self.serving.at)
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
        """Decide all boundaries up to ``until`` (default: the end of the newest row's window), though no more comes.

        Returns ``decided_through``, which is less where it took longer than ``seconds``.
        """
        newest = self.quality.newest
        if newest is None:
            return self.quality.decided
        boundary = (
            self.windows.boundary_after(newest) if until is None else self.windows.boundary_until(until)
        )
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

    def status(self) -> dict[str, Any]:
        """How far reports are decided, the counts of the join, and what cannot be measured."""
        return {
            "decided_through": self.quality.decided,
            **self.join.counts(),
            **self._unmeasured(),
            "waits_for_profiles": [
                f"{model} version {version}" for model, version in sorted(self.tasks.missing)
            ],
        }

    # Within

    async def _close(self, boundary: int) -> None:
        await self.tasks.settle()
        before = self._unmeasured()
        reports = self.quality.close(boundary, self.tasks.get, self.serving.at(boundary))
        self.join.expire(boundary)
        for report in reports:
            await self.kafka.publish_report(report)
            self._observe("report", report)
        for what, count in self._unmeasured().items():
            self._observe(what, count - before[what])
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

    def _unmeasured(self) -> dict[str, int]:
        return {
            "unusable_truths": self.quality.unusable_truths,
            "unknown_classes": self.quality.unknown_classes,
        }

    def _check_grid(self, reports: Sequence[QualityReported]) -> None:
        """Boundaries go on from the last report: one of another grid would never meet the monitor's again."""
        why = self.windows.mismatch(
            ((report.window_start, report.window_end) for report in reports),
            (report.as_of for report in reports if report.as_of == report.window_end),
        )
        if why:
            raise UserError(
                f"Topic quality-reports was made with other windows than ATALAIA_WINDOW_MS={self.windows.size}, "
                f"step {self.windows.step} and ATALAIA_WINDOW_ORIGIN_MS={self.windows.origin}: {why}. "
                f"Set what it was made with, or begin with empty topics."
            )


def _readable(kind: type[E], records: Iterable[Record]) -> Iterator[E]:
    """The events on a topic that we write ourselves; what others put there is passed over."""
    for record in records:
        try:
            yield decode(kind, record.value, record.headers)
        except Unreadable as error:
            log.warning("a %s that cannot be read is passed over: %s", kind.__name__, error)
