"""Topic ``ground-truth``: one record an upload and partition."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from servicekit.kafka import publish

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
