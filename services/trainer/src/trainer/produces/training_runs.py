"""Topic ``training-runs``: every decision of the trainer, with its reasons."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import TrainingDecided
from servicekit.kafka import publish

from trainer.domain.history import PENDING

TOPIC = "training-runs"


async def record(producer: AIOKafkaProducer, decision: TrainingDecided) -> None:
    """Returns when all replicas have it. A run that waits twice, for its shadow period and for a person, says so twice."""
    pending = [decision.waits_for] if decision.waits_for in PENDING else []
    ce_id = derived_id(TOPIC, decision.run_id, decision.decision, *pending)
    await publish(producer, TOPIC, decision, source="trainer", key=decision.model, ce_id=ce_id)
