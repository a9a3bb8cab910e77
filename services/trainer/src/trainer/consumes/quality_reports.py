"""Topic ``quality-reports``: how many labels each window has, as of each boundary."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import QualityReported

from trainer.domain.knowledge import Knowledge

TOPIC = "quality-reports"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(QualityReported, value, headers)
    if event.model == knowledge.model:
        knowledge.evidence.measured(event)
