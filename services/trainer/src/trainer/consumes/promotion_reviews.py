"""Topic ``promotion-reviews``: the looks at promoted versions, the trainer's own as they come back."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode, published_at
from contracts.events import PromotionReviewed

from trainer.domain.knowledge import Knowledge

TOPIC = "promotion-reviews"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(PromotionReviewed, value, headers)
    if event.model == knowledge.model:
        knowledge.reviews.looked(event)
        knowledge.actions.looked(event, published_at(headers))
