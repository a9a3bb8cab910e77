"""Waits that end: either what was waited for comes, or :class:`Missing` says what did not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.errors import KafkaError
from servicekit.errors import UserError

TICK_SECONDS = 0.2  # to be asked is work for a worker too
PATIENCE_SECONDS = 120.0
T = TypeVar("T")


class Missing(Exception):
    """Something did not come in time, or ended before it was there."""


async def until(what: str, fact: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return once ``fact``, which is asked in a thread, holds; raises :class:`Missing` with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(fact):
        if time.monotonic() > deadline:
            raise Missing(f"{what}: not so after {seconds:.0f} s")
        await asyncio.sleep(TICK_SECONDS)


async def within(what: str, work: Awaitable[T], seconds: float = PATIENCE_SECONDS) -> T:
    """What ``work`` returns; raises :class:`Missing` where it takes longer, or where no broker lets it end."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Missing(f"{what}: not done after {seconds:.0f} s") from None
    except (KafkaError, UserError) as error:
        raise Missing(f"{what}: {error}") from error
