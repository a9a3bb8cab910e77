"""Topic ``quality-reports``: one window of prediction time, as of a boundary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import QualityReported
from servicekit.kafka import publish, until_acknowledged

TOPIC = "quality-reports"


def make_publish(producer: AIOKafkaProducer) -> Callable[[QualityReported], Awaitable[None]]:
    """How a report is written; the same window, version and boundary give the same ``ce_id``."""

    async def publish_report(report: QualityReported) -> None:
        ce_id = derived_id(TOPIC, report.model, report.version, report.window_start, report.as_of)
        await until_acknowledged(
            TOPIC, lambda: publish(producer, TOPIC, report, source="feedback", key=report.model, ce_id=ce_id)
        )

    return publish_report
