"""Topic ``training-requests``: what is asked for by HTTP."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.events import TrainingRequested
from servicekit.kafka import publish

TOPIC = "training-requests"


async def request(producer: AIOKafkaProducer, event: TrainingRequested) -> None:
    """Returns when all replicas have it."""
    await publish(producer, TOPIC, event, source="trainer", key=event.model, ce_id=event.request_id)
