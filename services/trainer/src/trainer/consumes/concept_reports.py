"""Topic ``concept-reports``: the real alert that is open as of each boundary."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import ConceptTested

from trainer.domain.knowledge import Knowledge

TOPIC = "concept-reports"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(ConceptTested, value, headers)
    if event.model == knowledge.model:
        knowledge.evidence.judged(event)
