"""``predictions``, in chunks, through Faust: decode, count, acknowledge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.codec import Unreadable
from servicekit import metrics
from servicekit.record_consumer import AsSent

from drift_monitor.counting import Counting, Fenced
from drift_monitor.domain.columns import Reader, Record

log = logging.getLogger(__name__)
TOPIC = "predictions"
# topic, partition, first offset and the one behind the last
ReadRange = Callable[[str, int, int, int], AsyncIterator[list[Any]]]
CHUNK_RECORDS = 1000
CHUNK_SECONDS = 0.2
FUTURE_MS = 300_000  # what clocks may be ahead, as at the predictor; what is further would end all windows


def read_predictions(
    app: Any,
    counting: Counting,
    to_dlq: Callable[[str, Any, str], Awaitable[None]],
    failed: asyncio.Future[None],
    read_range: ReadRange,
) -> None:
    """Declare the agent that counts.

    Faust restarts an agent that raises and goes on behind the chunk that it lost; so a failure ends the
    program instead, and what was not acknowledged is read again.
    """
    topic = app.topic(
        TOPIC, schema=AsSent(key_type=bytes, value_type=bytes, allow_empty=True), internal=False
    )

    def current(events: Sequence[Any]) -> list[Any]:
        return [e.message for e in events if e.message.generation_id == app.consumer_generation_id]

    async def predictions(stream: Any) -> None:
        async for events in stream.noack_take(CHUNK_RECORDS, within=CHUNK_SECONDS):
            try:
                # A record that was read before the last rebalance is read again after it: taken now it would move the
                # position over records before it that are not counted.
                await catch_up(counting, current(events), to_dlq, read_range)
                counted = await absorb(counting, current(events), to_dlq)
            except Exception as error:
                if not isinstance(error, Fenced):
                    log.exception("a chunk of predictions could not be counted")
                if not failed.done():
                    failed.set_exception(error)
                await asyncio.Event().wait()  # until the program ends
            for event in events:
                still = event.message.generation_id == app.consumer_generation_id
                if still and event.message.partition in counted:
                    event.ack()

    app.agent(topic, name="predictions")(predictions)

    async def assigned(_: Any, partitions: Any, **__: Any) -> None:
        counting.assign(at.partition for at in partitions if at.topic == TOPIC)

    async def revoked(_: Any, __: Any, **___: Any) -> None:
        counting.assign(())  # until they are assigned anew, the same ones perhaps

    app.on_partitions_assigned.connect(assigned, weak=False)
    app.on_partitions_revoked.connect(revoked, weak=False)


@dataclass(frozen=True)
class Reread:
    """A record as Faust would have brought it; ``timestamp`` in seconds."""

    partition: int
    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: float


async def catch_up(
    counting: Counting,
    messages: Sequence[Any],
    to_dlq: Callable[[str, Any, str], Awaitable[None]],
    read_range: ReadRange,
) -> None:
    """Count the records between what is counted and a chunk: a reader that was rebalanced may have passed over some.

    There are none where nothing but a transaction's marker, or what retention has taken, lies there.
    """
    first: dict[int, int] = {}
    for message in messages:
        first[message.partition] = min(first.get(message.partition, message.offset), message.offset)
    expected = await counting.next_offsets()
    for partition, offset in first.items():
        if expected.get(partition, offset) < offset:
            async for records in read_range(TOPIC, partition, expected[partition], offset):
                log.warning("%s/%d: %d records were passed over", TOPIC, partition, len(records))
                missed = [
                    Reread(r.partition, r.offset, r.value, r.headers, r.timestamp / 1000) for r in records
                ]
                if partition not in await absorb(counting, missed, to_dlq):
                    break  # it is ours no more


async def absorb(
    counting: Counting, messages: list[Any], to_dlq: Callable[[str, Any, str], Awaitable[None]]
) -> frozenset[int]:
    """Decode a chunk and count it; what cannot be read goes to the dead-letter topic.

    Returns the partitions whose part of the chunk may be acknowledged.
    """
    records: list[Record] = []
    unreadable: list[tuple[int, int, str]] = []
    reader = Reader()
    positions: dict[int, int] = {}
    for message in messages:
        positions[message.partition] = max(positions.get(message.partition, 0), message.offset + 1)
        try:
            event = reader.read(message.value, _headers(message.headers))
            if event.event_time and max(event.event_time) > 1000 * message.timestamp + FUTURE_MS:
                raise Unreadable("event_time lies more than five minutes after the record came")
            records.append(Record(message.partition, message.offset, event))
        except Unreadable as error:
            unreadable.append((message.partition, message.offset, str(error)))
    by_place = {(message.partition, message.offset): message for message in messages}

    async def refuse(refused: Sequence[tuple[int, int, str]]) -> None:
        for partition, offset, reason in refused:
            log.warning("%s/%d/%d is not readable: %s", TOPIC, partition, offset, reason)
            await to_dlq(TOPIC, by_place[partition, offset], reason)
            metrics.DLQ_RECORDS.labels(TOPIC).inc()

    return await counting.absorb(records, positions, unreadable, refuse)


def _headers(headers: Any) -> Any:
    return headers.items() if isinstance(headers, dict) else headers
