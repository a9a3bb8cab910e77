"""``drift-reports``: one record a decided window and version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import WindowTested
from servicekit.kafka import publish, until_acknowledged

TOPIC = "drift-reports"
SOURCE = "drift-monitor"


def make_publish(producer: AIOKafkaProducer) -> Callable[[WindowTested], Awaitable[None]]:
    """How a report is written."""

    async def publish_report(report: WindowTested) -> None:
        ce_id = derived_id("window", report.model, report.version, report.window_start, report.window_end)
        await until_acknowledged(
            TOPIC, lambda: publish(producer, TOPIC, report, source=SOURCE, key=report.model, ce_id=ce_id)
        )

    return publish_report
