"""``outcomes``: predictions with their truth, read from the beginning, then followed."""

from __future__ import annotations

from typing import Any

from contracts.codec import decode
from contracts.events import OutcomesJoined

TOPIC = "outcomes"


def read(record: Any) -> OutcomesJoined:
    """The event of a record; raises ``Unreadable``."""
    return decode(OutcomesJoined, record.value, record.headers)
