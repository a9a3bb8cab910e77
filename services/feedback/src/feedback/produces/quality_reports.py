"""Topic ``quality-reports``: one window of prediction time, as of a boundary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.events import QualityReported

from feedback.produces import make_publish_report

TOPIC = "quality-reports"


def make_publish(producer: AIOKafkaProducer) -> Callable[[QualityReported], Awaitable[None]]:
    """How a report is written."""
    return make_publish_report(producer, TOPIC)
