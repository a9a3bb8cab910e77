"""``drift-reports``, our own: what is decided already, read at the start."""

from __future__ import annotations

from contracts.codec import Unreadable, decode
from contracts.events import WindowTested
from servicekit.config import Settings

from drift_monitor.topic_log import read_whole

TOPIC = "drift-reports"


async def read_reports(settings: Settings) -> list[WindowTested]:
    """All reports, in the order they were published."""
    reports = []
    async for record in read_whole(settings, TOPIC):
        try:
            reports.append(decode(WindowTested, record.value, record.headers))
        except Unreadable:  # not written by us, and so not decided by us
            continue
    return reports
