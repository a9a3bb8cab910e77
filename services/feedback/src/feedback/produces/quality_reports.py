"""Topic ``quality-reports``: one window of prediction time, as of a boundary."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import QualityReported
from servicekit.kafka import publish

TOPIC = "quality-reports"


async def publish_report(producer: AIOKafkaProducer, report: QualityReported) -> None:
    """Publish one report; the same window, version and boundary give the same ``ce_id``."""
    ce_id = derived_id(TOPIC, report.model, report.version, report.window_start, report.as_of)
    await publish(producer, TOPIC, report, source="feedback", key=report.model, ce_id=ce_id)
