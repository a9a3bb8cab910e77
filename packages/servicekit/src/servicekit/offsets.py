"""Offsets of a topic: its partitions, and where they end."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from servicekit.config import Settings
from servicekit.kafka import make_consumer, stop_consumer


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """All partitions of a topic, which exists."""
    found = await consumer._client._wait_on_metadata(topic)  # the public call asks nobody
    return [TopicPartition(topic, partition) for partition in sorted(found)]


class Offsets:
    """The offsets of one topic, asked for when they are wanted."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic = topic
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []

    async def start(self) -> list[int]:
        """Connect; returns the partitions."""
        self._consumer = make_consumer(self._settings)
        await self._consumer.start()
        self._partitions = await partitions_of(self._consumer, self.topic)
        return [partition.partition for partition in self._partitions]

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def ends(self) -> dict[int, int]:
        """Per partition the offset that the next record will get."""
        assert self._consumer is not None, "start first"
        found = await self._consumer.end_offsets(self._partitions)
        return {partition.partition: offset for partition, offset in found.items()}
