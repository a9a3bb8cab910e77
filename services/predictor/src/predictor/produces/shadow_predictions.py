"""Topic ``shadow-predictions``: what a challenger says of the same rows, under the same ids. Nobody waits for it.

Best effort, and bounded: where the challenger is slower than the traffic, or Kafka is away, batches are left out and
counted. A comparison joins by id, so a batch that is missing biases nothing but its size.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from contracts.codec import derived_id
from contracts.events import PredictionsMade
from servicekit import metrics
from servicekit.kafka import publish

from predictor.domain.model import Model
from predictor.domain.request import Columns

log = logging.getLogger(__name__)
TOPIC = "shadow-predictions"
WAITING_BATCHES = 64
SEND_SECONDS = 5.0

Send = Callable[[PredictionsMade], Awaitable[object]]


def make_publish(producer: AIOKafkaProducer) -> Send:
    """Sends one event to the partition of its ``batch_id``, and returns when all replicas have it.

    Its id is not the answered record's, which has the same type and source.
    """

    async def send(event: PredictionsMade) -> None:
        ce_id = derived_id(TOPIC, event.batch_id, event.version)
        await publish(producer, TOPIC, event, source="predictor", key=event.batch_id, ce_id=ce_id)

    return send


class ShadowScorer:
    """Scores batches in a thread, one after the other; ``run`` has to be running beside it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: asyncio.Queue[tuple[Model, PredictionsMade, Columns]] = asyncio.Queue(WAITING_BATCHES)

    def take(self, challenger: Model, event: PredictionsMade, columns: Columns) -> None:
        """Score this batch when there is time; leave it out where too many wait."""
        try:
            self._waiting.put_nowait((challenger, event, columns))
        except asyncio.QueueFull:
            metrics.SHADOW_ROWS.labels("left out").inc(len(columns.event_time))

    async def run(self) -> None:
        """Score and publish, for ever."""
        while True:
            challenger, event, columns = await self._waiting.get()
            result = await self._one(challenger, event, columns)
            metrics.SHADOW_ROWS.labels(result).inc(len(columns.event_time))

    async def _one(self, challenger: Model, event: PredictionsMade, columns: Columns) -> str:
        try:
            scored = await asyncio.to_thread(challenger.score, columns.features, len(columns.event_time))
        except Exception as error:  # noqa: BLE001  whatever a challenger does, it does not touch who serves
            log.warning("version %s, unseen, did not score a batch: %s", challenger.version, error)
            return "not scored"
        shadow = msgspec.structs.replace(
            event, version=challenger.version, predictions=scored[0], probabilities=scored[1]
        )
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._send(shadow)
        except (KafkaError, TimeoutError):
            return "left out"
        return "published"
