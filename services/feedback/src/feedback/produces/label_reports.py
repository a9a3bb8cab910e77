"""Topic ``label-reports``: one window of label time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.events import LabelsReported

from feedback.produces import make_publish_report

TOPIC = "label-reports"


def make_publish(producer: AIOKafkaProducer) -> Callable[[LabelsReported], Awaitable[None]]:
    """How a report is written."""
    return make_publish_report(producer, TOPIC)
