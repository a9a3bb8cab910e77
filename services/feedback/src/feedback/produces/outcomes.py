"""Topic ``outcomes``: predictions with their truth, in the partition of both."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from contracts.codec import encode
from contracts.events import OutcomesJoined

from feedback.domain.outcomes import outcome_id

TOPIC = "outcomes"


async def publish_outcomes(
    producer: AIOKafkaProducer, partition: int, events: Sequence[OutcomesJoined]
) -> None:
    """Send in order; returns when Kafka has acknowledged all."""
    sent = []
    for event in events:
        value, headers = encode(event, source="feedback", ce_id=outcome_id(event))
        key = event.prediction_id[0][:32].encode()
        sent.append(await producer.send(TOPIC, value, key=key, partition=partition, headers=headers))
    await asyncio.gather(*sent)
