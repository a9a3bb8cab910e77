"""``concept-reports``: one record a boundary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from contracts.codec import derived_id
from contracts.events import ConceptTested
from servicekit.kafka import publish, until_acknowledged

TOPIC = "concept-reports"
SOURCE = "drift-monitor"


def make_publish(producer: AIOKafkaProducer) -> Callable[[ConceptTested], Awaitable[None]]:
    """How a report is written."""

    async def publish_report(report: ConceptTested) -> None:
        ce_id = derived_id("concept", report.model, report.version, report.as_of)
        await until_acknowledged(
            TOPIC, lambda: publish(producer, TOPIC, report, source=SOURCE, key=report.model, ce_id=ce_id)
        )

    return publish_report
