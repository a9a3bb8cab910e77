"""Waiting for something to move, or a while: what moves it may have ended."""

from __future__ import annotations

import asyncio
import contextlib


async def moved_or(event: asyncio.Event, seconds: float) -> None:
    """Return when an event is set, or after some seconds; the event is clear then.

    ``asyncio.wait_for`` of Python 3.11 swallows a cancellation that comes in the moment in which the event is set.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
