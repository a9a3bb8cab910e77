"""Topic ``model-events``: the version that serves."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import ModelChanged

from trainer.domain.knowledge import Knowledge

TOPIC = "model-events"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(ModelChanged, value, headers)
    if event.model == knowledge.model:
        knowledge.changed(event)
