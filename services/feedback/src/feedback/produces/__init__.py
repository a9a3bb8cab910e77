"""What goes out: one module a topic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import LabelsReported, QualityReported
from servicekit.kafka import publish, until_acknowledged

R = TypeVar("R", QualityReported, LabelsReported)


def make_publish_report(producer: AIOKafkaProducer, topic: str) -> Callable[[R], Awaitable[None]]:
    """How a window's report is written; the same window, version and boundary give the same ``ce_id``."""

    async def publish_report(report: R) -> None:
        ce_id = derived_id(topic, report.model, report.version, report.window_start, report.as_of)
        await until_acknowledged(
            topic, lambda: publish(producer, topic, report, source="feedback", key=report.model, ce_id=ce_id)
        )

    return publish_report
