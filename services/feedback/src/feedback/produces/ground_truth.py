"""Topic ``ground-truth``: one record an upload and partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id, encode
from contracts.events import GroundTruthReceived
from servicekit import metrics
from servicekit.kafka import publish

from feedback.domain.misplaced import HEADER, origin
from feedback.domain.splitting import split
from feedback.domain.uploads import Labels

TOPIC = "ground-truth"


async def send(
    producer: AIOKafkaProducer, partitions: int, labels: Labels, upload_id: str, block: int = 0
) -> None:
    """Split by the partition of the prediction, publish; returns when Kafka has acknowledged all.

    A long upload comes in several blocks, one after the other. Raises what the producer raises.
    """
    await asyncio.gather(
        *(
            publish(
                producer,
                TOPIC,
                event,
                source="feedback",
                partition=partition,
                ce_id=derived_id(TOPIC, upload_id, block, i),
            )
            for i, (partition, event) in enumerate(split(labels, upload_id, partitions))
        )
    )


async def reroute(
    producer: AIOKafkaProducer,
    parts: Sequence[tuple[int, GroundTruthReceived]],
    origin_partition: int,
    origin_offset: int,
) -> None:
    """Publish the misplaced labels of one record where they belong; returns when Kafka has acknowledged all.

    Called for one record of a partition after the other, in their order: so the reader there knows what was published
    twice (:class:`feedback.domain.misplaced.Rerouted`). Raises what the producer raises; then do not go on.
    """
    by_partition: dict[int, list[GroundTruthReceived]] = {}
    for partition, event in parts:
        by_partition.setdefault(partition, []).append(event)
    await asyncio.gather(
        *(
            _reroute(producer, partition, events, origin_partition, origin_offset)
            for partition, events in by_partition.items()
        )
    )


async def _reroute(
    producer: AIOKafkaProducer,
    partition: int,
    events: Sequence[GroundTruthReceived],
    origin_partition: int,
    origin_offset: int,
) -> None:
    for part, event in enumerate(events):
        came_from = origin(origin_partition, origin_offset, part)
        ce_id = derived_id(TOPIC, "rerouted", came_from.decode(), partition)
        value, headers = encode(event, source="feedback", ce_id=ce_id)
        await producer.send_and_wait(
            TOPIC, value, partition=partition, headers=[*headers, (HEADER, came_from)]
        )
        metrics.LABELS.labels("rerouted").inc(len(event.prediction_id))
