"""Topic ``approvals``: a person's word on a challenger, given by HTTP."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import ChallengerReviewed
from servicekit.kafka import publish

TOPIC = "approvals"


async def review(producer: AIOKafkaProducer, event: ChallengerReviewed) -> None:
    """Returns when all replicas have it."""
    ce_id = derived_id(TOPIC, event.run_id, event.approved)
    await publish(producer, TOPIC, event, source="trainer", key=event.model, ce_id=ce_id)
