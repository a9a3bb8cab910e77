"""Topic ``model-events``: followed from its beginning by each process, for the version that serves."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from servicekit.config import Settings
from servicekit.kafka import make_consumer, stop_consumer

from feedback.joiner import Joiner

TOPIC = "model-events"


async def follow(settings: Settings, joiner: Joiner) -> None:
    """Read for ever; needs no group, because it reads all from the start."""
    consumer: AIOKafkaConsumer = make_consumer(settings, client_id="feedback-model-events")
    try:
        await consumer.start()
        at = TopicPartition(TOPIC, 0)
        consumer.assign([at])
        await consumer.seek_to_beginning(at)
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                await joiner.take_model_events(records)
    finally:
        await stop_consumer(consumer)
