"""Topic ``training-runs``: the trainer's own past decisions, read back at a start."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode, published_at
from contracts.events import TrainingDecided

from trainer.domain.knowledge import Knowledge

TOPIC = "training-runs"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(TrainingDecided, value, headers)
    if event.model == knowledge.model:
        said_at = published_at(headers)
        knowledge.history.record(event, said_at)
        knowledge.actions.decided(event, said_at)
