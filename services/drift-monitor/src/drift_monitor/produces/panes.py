"""``panes``: cumulative counts, in the order in which the counter touched them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id, encode
from contracts.events import PaneCounted

from drift_monitor.produces import until_acknowledged

TOPIC = "panes"
SOURCE = "drift-monitor"
# A pane of many features with thousands of cells each outgrows Kafka's 1 MiB; the topic allows this much.
MAX_BYTES = 16 * 1024 * 1024


def make_publish(producer: AIOKafkaProducer) -> Callable[[Sequence[PaneCounted]], Awaitable[None]]:
    """How panes are written: one partition of ``panes`` and an idempotent producer keep their order."""

    async def publish_panes(panes: Sequence[PaneCounted]) -> None:
        async def send() -> None:
            sent = []
            for pane in panes:
                key = f"{pane.model}/{pane.version}/{pane.partition}/{pane.pane_start}"
                key += "/late" if pane.late else ""
                value, headers = encode(pane, source=SOURCE, ce_id=derived_id("pane", key, pane.last_offset))
                sent.append(await producer.send(TOPIC, value, key=key.encode(), partition=0, headers=headers))
            await asyncio.gather(*sent)

        if panes:
            await until_acknowledged(TOPIC, send)

    return publish_panes
