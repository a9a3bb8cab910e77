"""Topic ``outcomes``: predictions with their truth, the training log."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import OutcomesJoined

from trainer.domain.knowledge import Knowledge

TOPIC = "outcomes"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(OutcomesJoined, value, headers)
    if event.model == knowledge.model:
        knowledge.ledger.update(event)
