"""Topic ``join-progress``: who joins what, and how far. Read from the beginning, then followed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from contracts.events import JoinProgressed
from servicekit.config import Settings
from servicekit.followed import Folded

from feedback.domain.progress import Progress

TOPIC = "join-progress"
FollowedProgress = Folded[JoinProgressed, Progress]


def follow_progress(
    settings: Settings, moved: Callable[[], None], to_dlq: Callable[[str, Any, str], Awaitable[None]]
) -> FollowedProgress:
    """What tells when it has ``moved``; not started."""
    return Folded(settings, TOPIC, JoinProgressed, Progress(), moved, to_dlq)
