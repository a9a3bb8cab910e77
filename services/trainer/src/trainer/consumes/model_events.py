"""Topic ``model-events``: the version that serves."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode, published_at, published_by
from contracts.events import ModelChanged

from trainer.domain.knowledge import Knowledge

TOPIC = "model-events"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(ModelChanged, value, headers)
    if event.model == knowledge.model:
        knowledge.changed(event)
        by_trainer = published_by(headers) == "trainer"
        knowledge.actions.changed(event, published_at(headers), by_trainer)
