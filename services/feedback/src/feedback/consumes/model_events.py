"""Topic ``model-events``: followed from its beginning by each process, for the version that serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from contracts.events import ModelChanged
from servicekit.config import Settings
from servicekit.followed import Followed

TOPIC = "model-events"


class ModelEvents(Followed[ModelChanged]):
    """Hands each change over."""

    def __init__(
        self,
        settings: Settings,
        take: Callable[[ModelChanged], None],
        to_dlq: Callable[[str, Any, str], Awaitable[None]],
        moved: Callable[[], None],
    ) -> None:
        super().__init__(settings, TOPIC, ModelChanged, take, to_dlq, moved=moved)
