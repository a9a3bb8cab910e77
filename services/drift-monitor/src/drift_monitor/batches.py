"""The newest of ``predictions``, read back by who takes over a partition: so that it knows a batch that is sent again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiokafka import TopicPartition
from servicekit.config import Settings
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.topic_log import FETCH_BYTES, read_until

from drift_monitor.consumes.predictions import TOPIC
from drift_monitor.domain.panes import REMEMBERED


class _Batch(msgspec.Struct):
    """All that is needed of a record."""

    batch_id: str


async def read_batches(settings: Settings, before: Mapping[int, int]) -> dict[int, dict[str, int]]:
    """By partition and id the offsets of the batches among the last records before an offset."""
    found: dict[int, dict[str, int]] = {partition: {} for partition in before}
    consumer = make_consumer(settings, max_partition_fetch_bytes=FETCH_BYTES)
    try:
        await consumer.start()
        partitions = [TopicPartition(TOPIC, partition) for partition in before]
        if not partitions:
            return found
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        until = {}
        for at in partitions:
            start, end = (
                max(begins[at], before[at.partition] - REMEMBERED),
                min(before[at.partition], ends[at]),
            )
            if start < end:
                consumer.seek(at, start)
                until[at] = end
        decoder = msgspec.json.Decoder(_Batch)
        async for records in read_until(consumer, until):
            for record in records:
                try:
                    found[record.partition][decoder.decode(record.value).batch_id] = record.offset
                except (msgspec.MsgspecError, TypeError, ValueError):
                    continue  # a dead letter
    finally:
        await stop_consumer(consumer)
    return found
