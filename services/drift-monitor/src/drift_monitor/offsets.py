"""Offsets of a topic: where its partitions end, and where a group goes on in them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from servicekit.config import Settings
from servicekit.kafka import make_consumer, stop_consumer

COORDINATOR_SECONDS = 30.0


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """All partitions of a topic, which exists."""
    found = await consumer._client._wait_on_metadata(topic)  # the public call asks nobody
    return [TopicPartition(topic, partition) for partition in sorted(found)]


class Offsets:
    """The offsets of one topic, asked for when they are wanted."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.topic = topic
        self._consumer = make_consumer(settings)
        self._partitions: list[TopicPartition] = []

    async def start(self) -> list[int]:
        """Connect; returns the partitions."""
        await self._consumer.start()
        self._partitions = await partitions_of(self._consumer, self.topic)
        return [partition.partition for partition in self._partitions]

    async def stop(self) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)

    async def ends(self) -> dict[int, int]:
        """Per partition the offset that the next record will get."""
        found = await self._consumer.end_offsets(self._partitions)
        return {partition.partition: offset for partition, offset in found.items()}

    async def committed(self, settings: Settings, group: str) -> Mapping[int, int]:
        """Per partition where ``group`` goes on: its committed offset, else the beginning."""
        found = await self._consumer.beginning_offsets(self._partitions)
        positions = {partition.partition: offset for partition, offset in found.items()}
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        await admin.start()
        try:
            for partition, at in (await _offsets_of(admin, group)).items():
                if partition.topic == self.topic:
                    positions[partition.partition] = max(positions.get(partition.partition, 0), at.offset)
        finally:
            await admin.close()
        return positions


async def _offsets_of(admin: AIOKafkaAdminClient, group: str) -> Mapping[TopicPartition, Any]:
    """A group's committed offsets. On a new broker the group's coordinator is not there at once."""
    deadline = asyncio.get_running_loop().time() + COORDINATOR_SECONDS
    while True:
        try:
            found: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
            return found
        except KafkaError as error:
            if not error.retriable or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)
