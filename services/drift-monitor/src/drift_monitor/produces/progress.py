"""``progress``: claims, positions, and the log's ends that were asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.events import ProgressMade
from servicekit.kafka import publish, until_acknowledged

from drift_monitor.domain.progress import Ended

TOPIC = "progress"
SOURCE = "drift-monitor"


def _key(event: ProgressMade) -> str:
    """A position has its epoch in the key: compaction must not take the holder's for that of one taken for dead."""
    return f"{event.what}/{event.partition}" + (f"/{event.epoch}" if event.what == "counted" else "")


def make_publish(producer: AIOKafkaProducer) -> Callable[[ProgressMade], Awaitable[int]]:
    """How a claim or a position is written; returns its offset."""

    async def publish_progress(event: ProgressMade) -> int:
        offset = -1

        async def send() -> None:
            nonlocal offset
            offset = (await publish(producer, TOPIC, event, source=SOURCE, key=_key(event))).offset

        await until_acknowledged(TOPIC, send)
        return offset

    return publish_progress


def make_publish_ended(
    producer: AIOKafkaProducer, worker: str, why: str
) -> Callable[[str, Ended], Awaitable[None]]:
    """How the log's ends are written; ``why`` they were asked for is in the key."""

    async def publish_ended(model: str, ended: Ended) -> None:
        event = ProgressMade(
            what="ended",
            worker=worker,
            offsets={str(partition): end for partition, end in ended.ends.items()},
            clocks={model: ended.at},
        )
        await until_acknowledged(
            TOPIC, lambda: publish(producer, TOPIC, event, source=SOURCE, key=f"ended/{model}/{why}")
        )

    return publish_ended


def make_forget(producer: AIOKafkaProducer) -> Callable[[int, int], Awaitable[None]]:
    """How a position of an epoch that is over is struck out."""

    async def forget(partition: int, epoch: int) -> None:
        key = f"counted/{partition}/{epoch}".encode()
        await until_acknowledged(TOPIC, lambda: producer.send_and_wait(TOPIC, None, key=key))

    return forget
