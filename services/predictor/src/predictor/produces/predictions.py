"""Topic ``predictions``: one record per scored batch, in Kafka or in the spool before anybody gets an answer.

Kafka is asked first (``acks=all``, idempotent). What it has not acknowledged after ``patience`` goes to the spool, all
that comes later behind it, and the spool is replayed in order once Kafka answers again; then new records go to
Kafka first again. Whatever the producer still held when the spool took over is not sent twice: the replay waits to
hear what became of it. A record comes twice only after a kill, or where a producer gave up on what it had sent; then
under the same ``ce_id``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from contracts.codec import attributes
from contracts.events import PredictionsMade
from msgspec.structs import asdict
from servicekit import metrics

from predictor.disk import Disk, Numbered
from predictor.spool import Record, Spool, SpoolFailed

log = logging.getLogger(__name__)
TOPIC = "predictions"

_TICK_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_REPLAY_RECORDS, _REPLAY_BYTES = 200, 4_000_000
_UNDER_WAY_BYTES = 512_000_000  # of requests that are not answered yet
_ROOM_BYTES = 1_000_000  # or a twentieth of the bound: less than that is none
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
    acknowledged: asyncio.Future[Any] | None = None


class PredictionLog:
    """Keeps each record in Kafka or in ``spool``; ``run`` has to be running beside it.

    ``max_bytes``: what the spool may hold. ``patience``, seconds of ``clock``: how long Kafka may take. ``accept``: a
    record counts as safe once it is handed to the producer: up to 16 MB of answers are lost if the process is killed then.
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
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._producer, self._connect, self._disk = producer, connect, Disk(spool, max_bytes)
        self._max_bytes, self._patience, self._accept = max_bytes, patience, accept
        self._flights: dict[int, _Flight] = {}
        self._flown = self._flying_bytes = 0
        self._admitted = 0  # bytes of requests that are not answered yet
        self._spooling = spool.records > 0
        # What the producer held when the spool took over, with its number there; none where the disk did not take it.
        self._unsettled: list[tuple[int | None, Record, asyncio.Future[Any]]] = []
        self._probe_at = 0.0
        self._ending = False
        self._said = self._why = ""  # the last words in the log; why Kafka has not taken a record

    # -- what the domain sees ----------------------------------------------------------------------
    def admit(self, size: int) -> None:
        """Keep room for ``size`` bytes until they are given back by ``release``.

        Raises :class:`NotPublished` where the spool is in use and has no more, or where too much is under way.
        """
        if self._spooling and self._disk.failed:
            raise NotPublished(
                f"Kafka takes no predictions ({self._why}) and the spool {self._disk.spool.path} cannot be written"
            )
        if self._spooling and self._held + size > self._max_bytes:
            raise NotPublished(
                f"Kafka takes no predictions ({self._why}) and the spool is full "
                f"({self._disk.spool.bytes:,} of {self._max_bytes:,} bytes, ATALAIA_SPOOL_MAX_BYTES)"
            )
        if self._admitted + size > _UNDER_WAY_BYTES:
            raise NotPublished(f"{self._admitted:,} bytes of requests are under way already")
        self._admitted += size

    def release(self, size: int) -> None:
        """What was admitted is answered."""
        self._admitted -= size

    async def publish(self, event: PredictionsMade) -> None:
        """Return once Kafka has acknowledged ``event`` or the spool has it on disk; raises :class:`NotPublished`."""
        headers = attributes(PredictionsMade, source="predictor", ce_id=event.batch_id)
        value = orjson.dumps(asdict(event))  # half the time of the codec's own, for columns of floats
        record = Record(event.batch_id.encode(), value, headers, event.version, len(event.event_time))
        metrics.BATCH_ROWS.observe(record.rows)
        if self._spooling:
            await self._hold([record])
            return
        flight = _Flight(record, self._clock(), asyncio.get_running_loop().create_future())
        self._flown += 1
        self._flights[self._flown] = flight
        self._flying_bytes += record.size
        flight.sending = asyncio.create_task(self._send(self._flown, flight))
        if not self._accept or self._flying_bytes > _ACCEPTED_BYTES:
            await flight.safe
        else:
            flight.safe.add_done_callback(lambda safe: _lost(safe, record))

    @property
    def spooling(self) -> bool:
        """Whether records go to the spool now."""
        return self._spooling

    @property
    def has_room(self) -> bool:
        """Whether the spool would take a few more requests, if it had to."""
        return (
            not self._disk.failed and self._held + min(_ROOM_BYTES, self._max_bytes // 20) <= self._max_bytes
        )

    # -- beside it -----------------------------------------------------------------------------------
    async def run(self) -> None:
        """Watch how long Kafka takes, and replay the spool, until ``end``."""
        while not self._ending:
            if self._disk.failed and time.monotonic() >= self._probe_at:
                self._probe_at = time.monotonic() + _RETRY_SECONDS
                await self._disk.probe()
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

    def end(self) -> None:
        """Let ``run`` return once what it is at is done."""
        self._ending = True

    async def close(self, seconds: float) -> None:
        """Wait for what is under way, at most ``seconds``; what Kafka has not taken then goes to the spool."""
        waiting = [flight.safe for flight in self._flights.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        if self._flights:
            await self._divert("the service ends")
        with contextlib.suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(self._producer.stop(), 1.0 if self._spooling else seconds)
        await self._settle(0)
        await self._disk.close()

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
            metrics.PUBLISH_SECONDS.observe(self._clock() - flight.started)
            _published("sent", flight.record)
            if not flight.safe.done():
                flight.safe.set_result(None)

    def _landed(self, number: int, flight: _Flight) -> bool:
        """Whether the flight was still under way, and not diverted to the spool."""
        if self._flights.pop(number, None) is None:
            return False
        self._flying_bytes -= flight.record.size
        return True

    def _late(self) -> bool:
        oldest = next(iter(self._flights.values()), None)
        return oldest is not None and self._clock() - oldest.started > self._patience

    # -- to the spool --------------------------------------------------------------------------------
    @property
    def _held(self) -> int:
        """Bytes in the spool, or admitted and perhaps on their way to it."""
        return self._disk.spool.bytes + self._admitted

    async def _divert(self, why: str) -> None:
        """From here on the spool takes everything, first of all what is under way."""
        if not self._spooling:
            log.warning("predictions go to the spool %s: %s", self._disk.spool.path, why)
        self._spooling, self._why = True, why
        flights, self._flights, self._flying_bytes = list(self._flights.values()), {}, 0
        if not flights:
            return
        for flight in flights:
            if flight.acknowledged is None and flight.sending is not asyncio.current_task():
                assert flight.sending is not None
                flight.sending.cancel()  # still outside of the producer: it will not be sent from there
        numbers: list[int | None] = [None] * len(flights)
        refused: NotPublished | None = None
        try:
            numbers[:] = await self._hold([flight.record for flight in flights])
        except NotPublished as error:
            refused = NotPublished(
                f"{error}; the producer may still bring it to Kafka, under an id that nobody has"
            )
        for number, flight in zip(numbers, flights, strict=True):
            if flight.acknowledged is not None:
                self._unsettled.append((number, flight.record, flight.acknowledged))
            if flight.safe.done():
                continue
            if refused is None:
                flight.safe.set_result(None)
            else:
                flight.safe.set_exception(refused)

    async def _hold(self, records: list[Record]) -> list[int]:
        try:
            return await self._disk.append(records)
        except SpoolFailed as error:
            log.error("the spool does not take any more: %s", error)
            raise NotPublished(
                f"Kafka takes no predictions ({self._why}) and the spool failed ({error})"
            ) from error

    # -- and back ------------------------------------------------------------------------------------
    async def _replay(self) -> None:
        """Send what the spool holds, oldest first; return after a round of it, or to try again."""
        async with self._disk.order:  # whoever has just diverted first says what the producer holds
            pass
        try:
            there = await self._settle(_RETRY_SECONDS)
            if self._unsettled:
                return
            head = await self._disk.head(_REPLAY_RECORDS, _REPLAY_BYTES)
            if head:
                await self._send_again(head)
            elif not self._disk.coming and not self._disk.spool.records:
                await self._back(there)
            else:
                await asyncio.sleep(0)
        except SpoolFailed as error:  # what was replayed and not forgotten comes again, under the same ids
            self._say(f"the spool fails: {error}")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _back(self, there: bool) -> None:
        """The spool is empty; Kafka has what came from it. If nothing did, Kafka is asked whether it is there."""
        if self._disk.failed and not there and not await self._reconnect():
            await asyncio.sleep(_RETRY_SECONDS)
            return
        self._spooling, self._said = False, ""
        log.info("the spool is empty: predictions go to Kafka again")

    async def _send_again(self, head: list[Numbered]) -> None:
        failure: BaseException | None = None
        sent: list[asyncio.Future[Any]] = []
        try:
            for _, record in head:
                try:
                    future = await self._producer.send(
                        TOPIC, record.value, key=record.key, headers=record.headers
                    )
                except MessageSizeTooLargeError as error:
                    future = asyncio.get_running_loop().create_future()
                    future.set_exception(error)
                sent.append(future)
        except KafkaError as error:
            failure = error
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        done = list(zip(head, outcomes, strict=False))
        await self._forget([each for each, outcome in done if not isinstance(outcome, BaseException)])
        for (number, record), outcome in done:
            if isinstance(outcome, MessageSizeTooLargeError):
                await self._disk.set_aside(number, record, f"the topic {TOPIC} refuses its size: {outcome}")
            elif isinstance(outcome, BaseException):
                failure = failure or outcome
        if failure is not None:
            self._why = f"{type(failure).__name__}: {failure}"
            self._say(f"the spool is not replayed yet: {self._why}")
            await asyncio.sleep(_RETRY_SECONDS)
            await self._reconnect()

    async def _settle(self, seconds: float) -> bool:
        """Hear what became of what the producer had in hand; what Kafka has needs no replay. Whether it has any."""
        if self._unsettled and seconds:
            await asyncio.wait([future for *_, future in self._unsettled], timeout=seconds)
        done = [entry for entry in self._unsettled if entry[2].done()]
        self._unsettled = [entry for entry in self._unsettled if not entry[2].done()]
        there = [e for e in done if not e[2].cancelled() and e[2].exception() is None]
        await self._forget([(number, record) for number, record, _ in there if number is not None])
        for number, record, _ in there:
            if number is None:
                _published("late", record)
        return bool(there)

    async def _forget(self, gone: list[Numbered]) -> None:
        await self._disk.drop(gone)
        for _, record in gone:
            _published("replayed", record)

    async def _reconnect(self) -> bool:
        """A producer that has failed is of no use any more. Whether there is another one."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._producer.stop(), _RETRY_SECONDS)
        with contextlib.suppress(Exception):
            self._producer = await self._connect()
            return True
        return False

    def _say(self, what: str) -> None:
        """Once, for as long as it stays so."""
        log.log(logging.DEBUG if what == self._said else logging.WARNING, "%s", what)
        self._said = what


def _published(how: str, record: Record) -> None:
    metrics.ROWS_KEPT.labels(how).inc(record.rows)
    metrics.ROWS_PUBLISHED.labels(record.version).inc(record.rows)


def _lost(safe: asyncio.Future[None], record: Record) -> None:
    """In accept mode nobody waits: what neither Kafka nor the spool took is said aloud and counted."""
    if not safe.cancelled() and safe.exception() is not None:
        log.error("%d answered predictions are lost: %s", record.rows, safe.exception())
        metrics.ROWS_KEPT.labels("lost").inc(record.rows)
