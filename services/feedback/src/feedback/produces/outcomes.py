"""Topic ``outcomes``: predictions with their truth, in the partition of both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaProducer
from contracts.codec import encode
from contracts.events import OutcomesJoined
from servicekit.kafka import until_acknowledged

from feedback.domain.compose import outcome_id

TOPIC = "outcomes"
Publish = Callable[[int, Sequence[OutcomesJoined]], Awaitable[int]]


def make_publish(producer: AIOKafkaProducer) -> Publish:
    """How outcomes are written, in order; returns the offset behind the last."""

    async def publish_outcomes(partition: int, events: Sequence[OutcomesJoined]) -> int:
        end = 0

        async def send() -> None:
            nonlocal end
            sent = []
            for event in events:
                value, headers = encode(event, source="feedback", ce_id=outcome_id(event))
                key = event.prediction_id[0][:32].encode()
                sent.append(await producer.send(TOPIC, value, key=key, partition=partition, headers=headers))
            end = max(told.offset + 1 for told in await asyncio.gather(*sent))

        await until_acknowledged(TOPIC, send)
        return end

    return publish_outcomes
