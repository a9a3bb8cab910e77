"""A topic read whole: from its beginning to the end it has now."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from contracts.codec import Unreadable, decode
from contracts.events import Event
from prometheus_client import Counter

from servicekit.config import Settings
from servicekit.kafka import RETRY_SECONDS, make_consumer, passes, stop_consumer

E = TypeVar("E", bound=Event)
log = logging.getLogger(__name__)
BATCH_RECORDS = 2_000
FETCH_BYTES = 4_194_304


async def read_whole(
    settings: Settings, topic: str, partitions: Iterable[int] | None = None
) -> AsyncIterator[list[Any]]:
    """The records there are now, of all partitions or some, in batches; a partition's in order.

    None where there is no such topic.
    """
    consumer = make_consumer(
        settings,
        *([topic] if partitions is None else []),
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        try:
            await consumer.start()
        except UnknownTopicOrPartitionError:
            return
        if partitions is not None:
            consumer.assign([TopicPartition(topic, partition) for partition in partitions])
        ends = await consumer.end_offsets(sorted(consumer.assignment()))  # without a group: all there are
        await consumer.seek_to_beginning()
        async for batch in read_until(consumer, {tp: end for tp, end in ends.items() if end > 0}):
            yield batch
    finally:
        await stop_consumer(consumer)


async def read_range(
    settings: Settings, topic: str, partition: int, first: int, end: int
) -> AsyncIterator[list[Any]]:
    """The records of a partition from an offset up to another, in batches; what retention has taken is not there.

    A broker that is away in between is waited for, and reading goes on where it stood.
    """
    while first < end:
        try:
            async for batch in _range(settings, topic, partition, first, end):
                yield batch
                first = batch[-1].offset + 1
            return
        except KafkaError as error:
            if not passes(error):
                raise
            log.warning("%s/%d could not be read, going on from %d: %s", topic, partition, first, error)
            await asyncio.sleep(RETRY_SECONDS)


async def _range(
    settings: Settings, topic: str, partition: int, first: int, end: int
) -> AsyncIterator[list[Any]]:
    consumer = make_consumer(settings, max_partition_fetch_bytes=FETCH_BYTES)
    try:
        await consumer.start()
        at = TopicPartition(topic, partition)
        consumer.assign([at])
        found = await consumer.beginning_offsets([at])
        consumer.seek(at, max(first, found[at]))
        ends = await consumer.end_offsets([at])
        async for batch in read_until(consumer, {at: min(end, ends[at])}):
            yield batch
    finally:
        await stop_consumer(consumer)


async def read_until(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
) -> AsyncIterator[list[Any]]:
    """The records from where a consumer stands to some offsets, in batches of one partition."""
    left = set(ends)
    while left:
        found = await consumer.getmany(*left, timeout_ms=200, max_records=BATCH_RECORDS)
        for tp, records in found.items():
            if kept := [record for record in records if record.offset < ends[tp]]:
                yield kept
        for tp in list(left):
            # the position, not the last record's offset: compaction leaves gaps
            if await consumer.position(tp) >= ends[tp]:
                left.discard(tp)


async def read_events(settings: Settings, topic: str, kind: type[E]) -> list[E]:
    """All events of a topic, a partition's in order; what is not one is the followers' dead letter, not ours."""
    return [event async for batch in read_whole(settings, topic) for event in _readable(kind, batch)]


async def follow_events(settings: Settings, topic: str, kind: type[E]) -> AsyncGenerator[list[E], None]:
    """A topic's events: first all there are, in one list, then what comes, as it comes; an empty list where nothing did for
    a moment, so that whoever follows can look at the clock.
    """
    consumer = make_consumer(settings, topic, isolation_level="read_committed")
    try:
        await consumer.start()
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        await consumer.seek_to_beginning()
        there = read_until(consumer, {tp: end for tp, end in ends.items() if end > 0})
        yield [event async for batch in there for event in _readable(kind, batch)]
        while True:
            found = await consumer.getmany(timeout_ms=200, max_records=BATCH_RECORDS)
            yield [event for batch in found.values() for event in _readable(kind, batch)]
    finally:
        await stop_consumer(consumer)


def _readable(kind: type[E], records: Iterable[Any]) -> Iterator[E]:
    for record in records:
        with contextlib.suppress(Unreadable):
            yield decode(kind, record.value, record.headers)


def read_or_skip(kind: type[E], record: Any, skipped: Counter) -> E | None:
    """The event in ``record``; None for one that cannot be read, which is said and counted in ``skipped`` by its
    topic, and stays where it is.
    """
    try:
        return decode(kind, record.value, record.headers)
    except Unreadable as error:
        log.error("%s, offset %d, is skipped: %s", record.topic, record.offset, error)
        skipped.labels(record.topic).inc()
        return None
