"""Topic ``predictions``: one record per scored batch, in Kafka or in the spool before anybody gets an answer.

Kafka is asked first (``acks=all``, idempotent). What it has not acknowledged after ``patience`` goes to the spool, all
that comes later behind it, and the spool is replayed in order once Kafka answers again; then new records go to
Kafka first again. Whatever the producer still held when the spool took over is not sent twice: the replay waits to
hear what became of it. Only after the end of the process may a record come twice, under the same ``ce_id``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import orjson
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from contracts.codec import attributes
from contracts.events import PredictionsMade
from msgspec.structs import asdict
from servicekit import metrics

from predictor.spool import Record, Spool, SpoolFailed

log = logging.getLogger(__name__)
TOPIC = "predictions"
T = TypeVar("T")

_TICK_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_REPLAY_RECORDS, _REPLAY_BYTES = 200, 4_000_000
_ACCEPTED_BYTES = 16_000_000  # answered and not acknowledged: no more than that could be lost


class NotPublished(RuntimeError):
    """Neither Kafka nor the spool has the prediction; nothing was promised to the caller."""


class Producer(Protocol):
    """What is used of aiokafka's."""

    async def send(self, topic: str, value: bytes, *, key: bytes, headers: Any) -> asyncio.Future[Any]:
        """Hand a record over; the future is Kafka's acknowledgement."""

    async def stop(self) -> None:
        """Send what is left, and end."""


Connect = Callable[[], Awaitable[Producer]]


@dataclass(eq=False)
class _Flight:
    """A record on its way to Kafka: ``safe`` once it is there or in the spool."""

    record: Record
    started: float
    safe: asyncio.Future[None]
    sending: asyncio.Task[None] | None = None
    acknowledged: asyncio.Future[Any] | None = field(default=None)


class PredictionLog:
    """Keeps each record in Kafka or in ``spool``; ``run`` has to be running beside it.

    ``max_bytes``: what the spool may hold. ``patience``, seconds: how long Kafka may take. ``accept``: a record counts
    as safe once it is handed to the producer: up to 16 MB of answers are lost if the process is killed then.
    """

    def __init__(
        self,
        producer: Producer,
        connect: Connect,
        spool: Spool,
        *,
        max_bytes: int,
        patience: float,
        accept: bool = False,
    ) -> None:
        self._producer, self._connect, self._spool = producer, connect, spool
        self._max_bytes, self._patience, self._accept = max_bytes, patience, accept
        self._flights: dict[int, _Flight] = {}
        self._flown = 0
        self._flying_bytes = 0
        self._coming = 0  # bytes that were admitted while the spool is in use, and are not in it yet
        self._disk = ThreadPoolExecutor(1, "spool")
        self._order = asyncio.Lock()
        self._spooling = spool.records > 0
        self._unsettled: dict[int, tuple[Record, asyncio.Future[Any]]] = {}
        self._said = ""
        self._full = False
        self._show()

    # -- what the domain sees ----------------------------------------------------------------------
    def admit(self, size: int) -> None:
        """Raises :class:`NotPublished` where the spool is in use and has no room for ``size`` bytes more."""
        self._full = self._spooling and self._spool.bytes + self._coming + size > self._max_bytes
        if self._full:
            raise NotPublished(
                "Kafka does not answer and the spool is full "
                f"({self._spool.bytes:,} of {self._max_bytes:,} bytes, ATALAIA_SPOOL_MAX_BYTES)"
            )

    async def publish(self, event: PredictionsMade) -> None:
        """Return once Kafka has acknowledged ``event`` or the spool has it on disk; raises :class:`NotPublished`."""
        headers = attributes(PredictionsMade, source="predictor", ce_id=event.batch_id)
        value = orjson.dumps(asdict(event))  # half the time of the codec's own, for columns of floats
        record = Record(event.batch_id.encode(), value, headers, event.version, len(event.event_time))
        metrics.BATCH_ROWS.observe(record.rows)
        if self._spooling:
            await self._hold([record])
            return
        flight = _Flight(record, time.perf_counter(), asyncio.get_running_loop().create_future())
        self._flown += 1
        self._flights[self._flown] = flight
        self._flying_bytes += record.size
        flight.sending = asyncio.create_task(self._send(self._flown, flight))
        if not self._accept or self._flying_bytes > _ACCEPTED_BYTES:
            await flight.safe
        else:
            flight.safe.add_done_callback(_lost)

    # -- beside it -----------------------------------------------------------------------------------
    async def run(self) -> None:
        """Watch how long Kafka takes, and replay the spool, for ever."""
        while True:
            if self._spooling:
                await self._replay()
            elif self._late():
                await self._divert(f"no acknowledgement within {self._patience:g} s")
            else:
                await asyncio.sleep(min(_TICK_SECONDS, self._patience / 4))

    async def replayed(self) -> None:
        """Return once the spool is empty."""
        while self._spooling:
            await self._replay()

    async def close(self, seconds: float) -> None:
        """Wait for what is under way, at most ``seconds``; what Kafka has not taken then goes to the spool."""
        waiting = [flight.safe for flight in self._flights.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        if self._flights:
            await self._divert("the service ends")
        with contextlib.suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(self._producer.stop(), 1.0 if self._spooling else seconds)
        await self._settle()
        if self._spool.records:
            log.warning("%d records stay in %s until the next start", self._spool.records, self._spool.path)
        await self._on_disk(self._spool.close)
        self._disk.shutdown()

    @property
    def spooling(self) -> bool:
        """Whether records go to the spool now."""
        return self._spooling

    @property
    def has_room(self) -> bool:
        """Whether what was asked for last found room."""
        return not self._full

    # -- to Kafka ------------------------------------------------------------------------------------
    async def _send(self, number: int, flight: _Flight) -> None:
        """Until Kafka has acknowledged the flight. What goes wrong diverts all flights to the spool."""
        try:
            flight.acknowledged = await self._producer.send(
                TOPIC, flight.record.value, key=flight.record.key, headers=flight.record.headers
            )
            await flight.acknowledged
        except (
            MessageSizeTooLargeError
        ) as error:  # the topic takes less than it was made to: no spool mends that
            if self._landed(number, flight):
                flight.safe.set_exception(
                    NotPublished(f"the topic {TOPIC} refuses the record's size: {error}")
                )
            return
        except KafkaError as error:
            if number in self._flights:
                await self._divert(f"{type(error).__name__}: {error}")
            return
        if self._landed(number, flight):
            metrics.PUBLISH_SECONDS.observe(time.perf_counter() - flight.started)
            self._published("sent", flight.record)
            if not flight.safe.done():
                flight.safe.set_result(None)

    def _landed(self, number: int, flight: _Flight) -> bool:
        """Whether the flight was still under way, and not diverted to the spool."""
        if self._flights.pop(number, None) is None:
            return False
        self._flying_bytes -= flight.record.size
        return True

    @staticmethod
    def _published(how: str, record: Record) -> None:
        metrics.ROWS_KEPT.labels(how).inc(record.rows)
        metrics.ROWS_PUBLISHED.labels(record.version).inc(record.rows)

    def _late(self) -> bool:
        oldest = next(iter(self._flights.values()), None)
        return oldest is not None and time.perf_counter() - oldest.started > self._patience

    # -- to the spool --------------------------------------------------------------------------------
    async def _divert(self, why: str) -> None:
        """From here on the spool takes everything, first of all what is under way."""
        if not self._spooling:
            log.warning("predictions go to the spool %s: %s", self._spool.path, why)
        self._spooling = True
        flights, self._flights, self._flying_bytes = list(self._flights.values()), {}, 0
        if not flights:
            return
        for flight in flights:
            if flight.acknowledged is None and flight.sending is not asyncio.current_task():
                assert flight.sending is not None
                flight.sending.cancel()  # still outside of the producer: it will not be sent from there
        try:
            numbers = await self._hold([flight.record for flight in flights])
        except NotPublished as error:
            for flight in flights:
                if not flight.safe.done():
                    flight.safe.set_exception(error)
            return
        for number, flight in zip(numbers, flights, strict=True):
            if flight.acknowledged is not None:
                self._unsettled[number] = flight.record, flight.acknowledged
            if not flight.safe.done():
                flight.safe.set_result(None)

    async def _hold(self, records: list[Record]) -> list[int]:
        size = sum(record.size for record in records)
        self._coming += size
        try:
            async with self._order:
                numbers = await self._on_disk(self._spool.append, records)
        except SpoolFailed as error:
            log.error("the spool does not take any more: %s", error)
            raise NotPublished(f"Kafka does not answer and the spool failed ({error})") from error
        finally:
            self._coming -= size
        metrics.ROWS_KEPT.labels("spooled").inc(sum(record.rows for record in records))
        self._show()
        return numbers

    # -- and back ------------------------------------------------------------------------------------
    async def _replay(self) -> None:
        """Send what the spool holds, oldest first; return once it is empty, or to try again."""
        async with self._order:  # whoever has just diverted first says what the producer holds
            pass
        await self._settle(wait=True)
        head = await self._on_disk(self._spool.head, _REPLAY_RECORDS, _REPLAY_BYTES)
        if not head:
            if not self._coming and not self._spool.records:
                self._spooling, self._full, self._said = False, False, ""
                log.info("the spool is empty: predictions go to Kafka again")
            else:
                await asyncio.sleep(0)
            return
        failure: BaseException | None = None
        sent: list[asyncio.Future[Any]] = []
        try:
            for _, record in head:
                sent.append(
                    await self._producer.send(TOPIC, record.value, key=record.key, headers=record.headers)
                )
        except KafkaError as error:
            failure = error
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        await self._forget(
            [h for h, of in zip(head, outcomes, strict=False) if not isinstance(of, BaseException)]
        )
        failure = next((of for of in outcomes if isinstance(of, BaseException)), failure)
        if failure is not None:
            said = f"{type(failure).__name__}: {failure}"
            log.log(
                logging.DEBUG if said == self._said else logging.WARNING,
                "the spool is not replayed yet: %s",
                said,
            )
            self._said = said
            await asyncio.sleep(_RETRY_SECONDS)
            await self._reconnect()

    async def _settle(self, wait: bool = False) -> None:
        """What the producer had in hand when the spool took over: what Kafka has of it needs no replay."""
        if wait and self._unsettled:
            await asyncio.wait([future for _, future in self._unsettled.values()])
        unsettled, self._unsettled = self._unsettled, {}
        there = []
        for number, (record, future) in unsettled.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                there.append((number, record))
        await self._forget(there)

    async def _forget(self, gone: list[tuple[int, Record]]) -> None:
        if not gone:
            return
        try:
            await self._on_disk(self._spool.drop, gone)
        except SpoolFailed as error:  # they will come again, under the same ids
            log.error("what was replayed stays in the spool: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)
            return
        for _, record in gone:
            self._published("replayed", record)
        self._show()

    async def _reconnect(self) -> None:
        """A producer that has failed is of no use any more."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._producer.stop(), _RETRY_SECONDS)
        with contextlib.suppress(Exception):
            self._producer = await self._connect()

    async def _on_disk(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    def _show(self) -> None:
        metrics.SPOOL_ROWS.set(self._spool.rows)
        metrics.SPOOL_BYTES.set(self._spool.bytes)


def _lost(safe: asyncio.Future[None]) -> None:
    """In accept mode nobody waits: what neither Kafka nor the spool took is said aloud and counted."""
    if not safe.cancelled() and safe.exception() is not None:
        log.error("an answered prediction is lost: %s", safe.exception())
