"""Topic ``quality-panes``: cumulative quality of panes, each in the partition that it is of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata
from contracts.codec import Headers, derived_id, encode
from contracts.events import QualityPaneCounted
from servicekit.kafka import until_acknowledged

TOPIC = "quality-panes"
# A pane of many classes or many segments outgrows Kafka's 1 MiB; the topic allows this much.
MAX_BYTES = 16 * 1024 * 1024


def key_of(pane: QualityPaneCounted) -> bytes:
    """A record's key. Each epoch has its own: what a worker writes that was taken for dead replaces nothing."""
    named = (pane.model, pane.version, pane.partition, pane.by, pane.pane_start, pane.feature, pane.epoch)
    return "/".join(map(str, named)).encode()


def make_publish(
    producer: AIOKafkaProducer,
) -> Callable[[Sequence[QualityPaneCounted]], Awaitable[Mapping[int, int]]]:
    """How panes are written; returns by partition the offset behind.

    There may be thousands at once: they are put into batches here, which costs a tenth of sending one by one.
    """

    async def publish_panes(panes: Sequence[QualityPaneCounted]) -> Mapping[int, int]:
        ends: dict[int, int] = {}
        encoded: dict[int, list[tuple[bytes, bytes, Headers]]] = {}
        for pane in panes:
            key = key_of(pane)
            ce_id = derived_id("quality-pane", key.decode(), *pane.positions.values())
            encoded.setdefault(pane.partition, []).append(
                (key, *encode(pane, source="feedback", ce_id=ce_id))
            )

        async def send() -> None:
            sent: list[tuple[int, asyncio.Future[RecordMetadata]]] = []
            for partition, records in encoded.items():
                for batch in _batches(producer, records):
                    sent.append(
                        (batch.record_count(), await producer.send_batch(batch, TOPIC, partition=partition))
                    )
            for count, future in sent:
                told = await future  # of the batch's first record
                ends[told.partition] = max(ends.get(told.partition, 0), told.offset + count)

        if panes:
            await until_acknowledged(TOPIC, send)
        return ends

    return publish_panes


def _batches(producer: AIOKafkaProducer, records: Sequence[tuple[bytes, bytes, Headers]]) -> Iterator[Any]:
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:  # full
            yield batch
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)  # the first one always fits
    yield batch


def make_forget(producer: AIOKafkaProducer) -> Callable[[Sequence[QualityPaneCounted]], Awaitable[None]]:
    """How panes are struck out."""

    async def forget_panes(panes: Sequence[QualityPaneCounted]) -> None:
        async def send() -> None:
            sent = [
                await producer.send(TOPIC, None, key=key_of(pane), partition=pane.partition) for pane in panes
            ]
            await asyncio.gather(*sent)

        if panes:
            await until_acknowledged(TOPIC, send)

    return forget_panes
