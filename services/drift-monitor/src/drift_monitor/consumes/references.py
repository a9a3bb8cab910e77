"""``references``: what a person has accepted as a version's reference. Read from the beginning, then followed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from contracts.events import ReferenceAccepted
from servicekit.config import Settings
from servicekit.followed import Followed

TOPIC = "references"


class AcceptedReferences(Followed[ReferenceAccepted]):
    """Hands each acceptance over."""

    def __init__(
        self,
        settings: Settings,
        accepted: Callable[[ReferenceAccepted], None],
        to_dlq: Callable[[str, Any, str], Awaitable[None]],
    ) -> None:
        super().__init__(settings, TOPIC, ReferenceAccepted, accepted, to_dlq)
