"""Topic ``promotion-reviews``: each look at a promoted version."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import PromotionReviewed
from servicekit.kafka import publish

TOPIC = "promotion-reviews"


async def look(producer: AIOKafkaProducer, event: PromotionReviewed) -> None:
    """Returns when all replicas have it."""
    ce_id = derived_id(TOPIC, event.model, event.version, event.as_of)
    await publish(producer, TOPIC, event, source="trainer", key=event.model, ce_id=ce_id)
