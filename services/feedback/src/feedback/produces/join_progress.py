"""Topic ``join-progress``: claims, where partitions stand, and what is decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.events import JoinProgressed
from servicekit.kafka import publish, until_acknowledged

TOPIC = "join-progress"


def _key(event: JoinProgressed) -> str:
    """A standing has its epoch in the key: compaction must not take the holder's for that of one taken for dead."""
    if event.what == "decided":
        return "decided"
    return f"{event.what}/{event.partition}" + (f"/{event.epoch}" if event.what == "joined" else "")


def make_publish(producer: AIOKafkaProducer) -> Callable[[JoinProgressed], Awaitable[int]]:
    """How a record is written; returns its offset."""

    async def publish_progress(event: JoinProgressed) -> int:
        offset = -1

        async def send() -> None:
            nonlocal offset
            offset = (await publish(producer, TOPIC, event, source="feedback", key=_key(event))).offset

        await until_acknowledged(TOPIC, send)
        return offset

    return publish_progress


def make_forget(producer: AIOKafkaProducer) -> Callable[[int, int], Awaitable[None]]:
    """How a standing of an epoch that is over is struck out."""

    async def forget(partition: int, epoch: int) -> None:
        key = f"joined/{partition}/{epoch}".encode()
        await until_acknowledged(TOPIC, lambda: producer.send_and_wait(TOPIC, None, key=key))

    return forget
