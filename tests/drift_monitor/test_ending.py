"""The monitor's end, seen over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

from drift_monitor.bootstrap import _start_http
from kept_connection import connect, get, told_that_it_drains
from servicekit.broker import free_port
from servicekit.config import Settings


async def test_a_monitor_that_ends_says_that_it_drains() -> None:
    """Who is connected is told so, and not that it is ready."""
    port, nothing = free_port(), SimpleNamespace()
    there: Any = SimpleNamespace(
        deciding=None,
        concepts=None,
        is_assigned=True,
        edges=SimpleNamespace(profiles=SimpleNamespace(missing=list)),
        state=SimpleNamespace(newest=lambda: None),
        started=True,
        crashed=False,
        ends=ends,
    )
    flush: Any = nothing
    async with AsyncExitStack() as stack:
        _, drain = await _start_http(
            stack, Settings(drift_monitor_port=port), there, there, there, there, there, flush
        )
        connection = await connect(port)
        assert "200 OK" in await get(*connection, "/health/ready")
        draining = asyncio.create_task(drain())
        await told_that_it_drains(connection)
        connection[1].close()
        await asyncio.wait_for(draining, 10)


async def ends() -> dict[int, int]:
    """A broker that answers."""
    return {0: 0}
