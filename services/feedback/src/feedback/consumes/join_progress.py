"""Topic ``join-progress``: who joins what, and how far. Read from the beginning, then followed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from contracts.events import JoinProgressed
from servicekit.config import Settings
from servicekit.followed import Followed

from feedback.domain.progress import Progress

TOPIC = "join-progress"


class FollowedProgress(Followed[JoinProgressed]):
    """Folds it into ``state``, and says when it has ``moved``."""

    def __init__(
        self,
        settings: Settings,
        moved: Callable[[], None],
        to_dlq: Callable[[str, Any, str], Awaitable[None]],
    ) -> None:
        super().__init__(settings, TOPIC, JoinProgressed, lambda event: moved(), to_dlq)
        self.state = Progress()

    def taken(self, event: JoinProgressed, record: Any) -> None:
        """Take it up with its offset, which is a claim's epoch."""
        self.state.take(record.offset, event)
        super().taken(event, record)
