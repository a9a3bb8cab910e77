"""A backlog that consumers read again from its beginning, as if they had never been there."""

from __future__ import annotations

import asyncio
import time

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from contracts.flow import load_topics
from servicekit.config import Settings
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.topics import ensure_topics

PATIENCE_SECONDS = 60.0


async def forget(settings: Settings, kept: set[str], group: str) -> None:
    """Empty all topics but the ``kept`` ones, and have a group without members read these from their beginning."""
    gone = [name for topic in load_topics().values() for name in (topic.name, topic.dlq) if name not in kept]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.delete_topics(gone)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while set(gone) & set(await admin.list_topics()):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    finally:
        await admin.close()
    await ensure_topics(settings.kafka, settings.partitions)
    if not kept:  # a deleted topic's offsets go with it
        return
    consumer = make_consumer(settings, group_id=group)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, p) for topic in kept for p in range(settings.partitions)]
        consumer.assign(partitions)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                await consumer.commit(dict.fromkeys(partitions, 0))
                return
            except KafkaError:  # the broker still believes that the group has members
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
    finally:
        await stop_consumer(consumer)
