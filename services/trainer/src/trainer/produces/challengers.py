"""Topic ``challengers``: the version that shadows the one that serves before it may take its place."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import ChallengerChanged
from servicekit.kafka import publish

TOPIC = "challengers"


async def announce(producer: AIOKafkaProducer, event: ChallengerChanged, run_id: str) -> None:
    """Returns when all replicas have it."""
    ce_id = derived_id(TOPIC, run_id, event.version or "")
    await publish(producer, TOPIC, event, source="trainer", key=event.model, ce_id=ce_id)
