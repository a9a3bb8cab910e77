"""Topic ``predictions``: chunks go to who joins, and are acknowledged once what follows is in Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from feedback.faust_reader import Take, follow

TOPIC = "predictions"
WAITING = 500  # records; of a thousand rows each they are a tenth of a megabyte


def make_agent(app: Any, take: Take, failed: asyncio.Future[None], pace: Callable[[], float]) -> None:
    """The Faust agent that reads ``predictions``."""
    follow(app, TOPIC, take, failed, pace, WAITING)
