"""Topic ``model-events``: the promotion. The record is the truth; the registry's alias follows it."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import ModelChanged
from servicekit.kafka import publish

TOPIC = "model-events"


async def promote(producer: AIOKafkaProducer, event: ModelChanged, run_id: str) -> None:
    """Returns when all replicas have it."""
    ce_id = derived_id(TOPIC, run_id)
    await publish(producer, TOPIC, event, source="trainer", key=event.model, ce_id=ce_id)
