"""Start-up restore, no live loop: ``drift-reports``, our own, read whole once: what is decided already."""

from __future__ import annotations

from contracts.events import WindowTested
from servicekit.config import Settings
from servicekit.topic_log import read_events

TOPIC = "drift-reports"


async def read_reports(settings: Settings) -> list[WindowTested]:
    """All reports, in the order they were published."""
    return await read_events(settings, TOPIC, WindowTested)  # what is not written by us is not decided by us
