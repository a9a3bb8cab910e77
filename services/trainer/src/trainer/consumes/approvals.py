"""Topic ``approvals``: what people say of challengers that wait for them."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode, published_at
from contracts.events import ChallengerReviewed

from trainer.domain.knowledge import Knowledge

TOPIC = "approvals"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(ChallengerReviewed, value, headers)
    if event.model == knowledge.model:
        knowledge.approvals.reviewed(event)
        knowledge.actions.reviewed(event, published_at(headers))
