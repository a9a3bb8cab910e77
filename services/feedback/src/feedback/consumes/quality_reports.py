"""Topic ``quality-reports``: what was said already, for whoever comes to decide."""

from __future__ import annotations

from contracts.events import QualityReported
from servicekit.config import Settings
from servicekit.topic_log import read_events

TOPIC = "quality-reports"


async def read_reports(settings: Settings) -> list[QualityReported]:
    """All that is there."""
    return await read_events(settings, TOPIC, QualityReported)
