"""Topic ``predictions``: one record per scored batch, acknowledged by all replicas."""

from __future__ import annotations

import time

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from contracts.events import PredictionsMade
from servicekit import metrics
from servicekit.kafka import publish

from predictor.domain.service import Publish


class NotPublished(RuntimeError):
    """Kafka did not acknowledge; nothing was promised to the caller."""


def make_publish(producer: AIOKafkaProducer) -> Publish:
    """Sends one event, with its ``batch_id`` as key and id, and waits for the acknowledgement."""

    async def send(event: PredictionsMade) -> None:
        started = time.perf_counter()
        try:
            await publish(
                producer, "predictions", event, source="predictor", key=event.batch_id, ce_id=event.batch_id
            )
        except KafkaError as error:
            raise NotPublished(
                f"Kafka did not acknowledge the prediction ({type(error).__name__})"
            ) from error
        metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
        metrics.ROWS_PUBLISHED.labels(event.version).inc(len(event.predictions))

    return send
