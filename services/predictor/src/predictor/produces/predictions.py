"""Topic ``predictions``: one record per scored batch, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from contracts.events import PredictionsMade
from servicekit import metrics
from servicekit.kafka import publish

from predictor.domain.service import Publish


class NotPublished(RuntimeError):
    """Kafka did not acknowledge; nothing was promised to the caller."""


# An idempotent aiokafka producer never gives up by itself, and a caller must not wait for ever.
PATIENCE_SECONDS = 20.0


def make_publish(producer: AIOKafkaProducer, patience: float = PATIENCE_SECONDS) -> Publish:
    """Sends one event, with its ``batch_id`` as key and id, and waits for the acknowledgement.

    Raises :class:`NotPublished` when there is none after ``patience`` seconds. Kafka may still come to hold
    the record, whose ids nobody was given.
    """

    async def send(event: PredictionsMade) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(patience):
                await publish(
                    producer,
                    "predictions",
                    event,
                    source="predictor",
                    key=event.batch_id,
                    ce_id=event.batch_id,
                )
        except (KafkaError, TimeoutError) as error:
            raise NotPublished(
                f"Kafka did not acknowledge the prediction ({type(error).__name__})"
            ) from error
        metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
        metrics.ROWS_PUBLISHED.labels(event.version).inc(len(event.predictions))

    return send
