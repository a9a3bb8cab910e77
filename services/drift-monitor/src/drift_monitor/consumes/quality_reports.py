"""``quality-reports``: how good windows were, and when feedback has said what it has to say as of a boundary."""

from __future__ import annotations

from typing import Any

from contracts.codec import decode
from contracts.events import QualityReported
from servicekit.config import Settings
from servicekit.topic_log import read_events

TOPIC = "quality-reports"


def read(record: Any) -> QualityReported:
    """One report; raises ``Unreadable``."""
    return decode(QualityReported, record.value, record.headers)


def is_word(report: QualityReported) -> bool:
    """Whether feedback has published its outcomes as of the report's boundary: it is of the window that ends there."""
    return report.as_of == report.window_end


async def read_reports(settings: Settings) -> list[QualityReported]:
    """Start-up restore, no live loop: all reports, in the order they were published."""
    return await read_events(settings, TOPIC, QualityReported)
