"""Topic ``model-events``: a promotion, or a rollback by a review. The record is the truth; the registry's alias follows it."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import ModelChanged
from servicekit.kafka import publish

TOPIC = "model-events"


async def change(producer: AIOKafkaProducer, event: ModelChanged, *decided: object) -> None:
    """``decided``: what it follows from, which names it. Returns when all replicas have it."""
    ce_id = derived_id(TOPIC, *decided)
    await publish(producer, TOPIC, event, source="trainer", key=event.model, ce_id=ce_id)
