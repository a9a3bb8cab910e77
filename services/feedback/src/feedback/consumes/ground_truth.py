"""Topic ``ground-truth``: chunks go to who joins, and are acknowledged once their outcomes are in Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from feedback.faust_reader import Take, follow

TOPIC = "ground-truth"
WAITING = 2_000  # records; an upload of a thousand labels makes twelve, of some kilobytes each


def make_agent(app: Any, take: Take, failed: asyncio.Future[None], pace: Callable[[], float]) -> None:
    """The Faust agent that reads ``ground-truth``."""
    follow(app, TOPIC, take, failed, pace, WAITING)
