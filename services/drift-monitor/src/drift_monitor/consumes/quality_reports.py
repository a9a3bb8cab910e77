"""``quality-reports``: when feedback has said what it has to say as of a boundary, and so published its outcomes."""

from __future__ import annotations

from typing import Any

from contracts.codec import decode
from contracts.events import QualityReported

TOPIC = "quality-reports"


def read(record: Any) -> tuple[str, int] | None:
    """The model and the boundary, if the report is of the window that ends there; raises ``Unreadable``."""
    report = decode(QualityReported, record.value, record.headers)
    return (report.model, report.as_of) if report.as_of == report.window_end else None
