"""Topic ``shadow-predictions``: a challenger's answers to the rows of a record on ``predictions``."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import PredictionsMade
from servicekit.kafka import publish

from predictor.domain.service import Publish

TOPIC = "shadow-predictions"


def make_publish(producer: AIOKafkaProducer) -> Publish:
    """Sends one event to the partition of its ``batch_id``, and returns when all replicas have it.

    Its id is not the answered record's, which has the same type and source.
    """

    async def send(event: PredictionsMade) -> None:
        ce_id = derived_id(TOPIC, event.batch_id, event.version)
        await publish(producer, TOPIC, event, source="predictor", key=event.batch_id, ce_id=ce_id)

    return send
