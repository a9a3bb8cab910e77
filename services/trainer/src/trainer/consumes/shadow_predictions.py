"""Topic ``shadow-predictions``: that the predictor has asked a challenger, and when; what it said is computed again."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.codec import decode
from contracts.events import PredictionsMade

from trainer.domain.knowledge import Knowledge

TOPIC = "shadow-predictions"


def take(value: bytes | None, headers: Iterable[tuple[str, bytes]], knowledge: Knowledge) -> None:
    """Parse a record and tell the knowledge; raises ``Unreadable``."""
    event = decode(PredictionsMade, value, headers)
    if event.model == knowledge.model:
        knowledge.shadows.answered(event)
