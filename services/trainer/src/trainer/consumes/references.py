"""Topic ``references``: the alerts that a person has accepted, for which no training begins any more."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import ReferenceAccepted

from trainer.domain.knowledge import Knowledge

TOPIC = "references"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(ReferenceAccepted, value, headers)
    if event.model == knowledge.model:
        knowledge.evidence.accepted(event)
