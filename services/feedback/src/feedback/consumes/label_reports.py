"""Topic ``label-reports``: what was said already, for whoever comes to decide."""

from __future__ import annotations

from contracts.events import LabelsReported
from servicekit.config import Settings
from servicekit.topic_log import read_events

TOPIC = "label-reports"


async def read_reports(settings: Settings) -> list[LabelsReported]:
    """All that is there."""
    return await read_events(settings, TOPIC, LabelsReported)
