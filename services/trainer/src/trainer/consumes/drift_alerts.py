"""Topic ``drift-alerts``: since when the world looks different."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import AlertChanged

from trainer.domain.knowledge import Knowledge

TOPIC = "drift-alerts"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(AlertChanged, value, headers)
    if event.model == knowledge.model:
        knowledge.evidence.alerted(event)
