"""Topic ``challengers``: which version shadows, whoever has announced it."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import ChallengerChanged

from trainer.domain.knowledge import Knowledge

TOPIC = "challengers"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(ChallengerChanged, value, headers)
    if event.model == knowledge.model:
        knowledge.shadows.changed(event)
