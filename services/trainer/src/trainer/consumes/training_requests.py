"""Topic ``training-requests``: the trainings that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import TrainingRequested

from trainer.domain.knowledge import Knowledge

TOPIC = "training-requests"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(TrainingRequested, value, headers)
    if event.model == knowledge.model:
        knowledge.requests.requested(event)
