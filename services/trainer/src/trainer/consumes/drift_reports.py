"""Topic ``drift-reports``: which windows are decided, and the alert open after each."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import WindowTested

from trainer.domain.knowledge import Knowledge

TOPIC = "drift-reports"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(WindowTested, value, headers)
    if event.model == knowledge.model:
        knowledge.evidence.tested(event)
