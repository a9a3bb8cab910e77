"""``panes``: cumulative counts, in the order in which the counter touched them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id, encode
from contracts.events import PaneCounted
from servicekit.kafka import until_acknowledged

TOPIC = "panes"
SOURCE = "drift-monitor"
# A pane of many features with thousands of cells each outgrows Kafka's 1 MiB; the topic allows this much.
MAX_BYTES = 16 * 1024 * 1024


def key_of(pane: PaneCounted) -> bytes:
    """A record's key. Each epoch has its own: what a worker writes that was taken for dead replaces nothing."""
    key = f"{pane.model}/{pane.version}/{pane.partition}/{pane.pane_start}/{pane.epoch}"
    return (key + "/late" if pane.late else key).encode()


def make_publish(
    producer: AIOKafkaProducer,
) -> Callable[[Sequence[PaneCounted]], Awaitable[Mapping[int, int]]]:
    """How panes are written, in order; returns by partition the offset behind."""

    async def publish_panes(panes: Sequence[PaneCounted]) -> Mapping[int, int]:
        ends: dict[int, int] = {}

        async def send() -> None:
            sent = []
            for pane in panes:
                key = key_of(pane)
                ce_id = derived_id("pane", key.decode(), pane.last_offset)
                value, headers = encode(pane, source=SOURCE, ce_id=ce_id)
                sent.append(
                    await producer.send(TOPIC, value, key=key, partition=pane.partition, headers=headers)
                )
            for told in await asyncio.gather(*sent):
                ends[told.partition] = max(ends.get(told.partition, 0), told.offset + 1)

        if panes:
            await until_acknowledged(TOPIC, send)
        return ends

    return publish_panes


def make_forget(producer: AIOKafkaProducer) -> Callable[[Sequence[tuple[bytes, int]]], Awaitable[None]]:
    """How panes are struck out, by key and partition."""

    async def forget_panes(panes: Sequence[tuple[bytes, int]]) -> None:
        async def send() -> None:
            sent = [
                await producer.send(TOPIC, None, key=key, partition=partition) for key, partition in panes
            ]
            await asyncio.gather(*sent)

        await until_acknowledged(TOPIC, send)

    return forget_panes
