"""The monitor's end, seen over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

from drift_monitor.bootstrap import _start_http
from servicekit.broker import free_port
from servicekit.config import Settings

READY = b"GET /health/ready HTTP/1.1\r\nhost: monitor\r\n\r\n"


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
        reader, writer = await connect(port)
        writer.write(READY)
        assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 200")
        draining = asyncio.create_task(drain())
        said = b""
        async with asyncio.timeout(10):
            while b"connection: close" not in said.lower():
                writer.write(READY)
                said = await reader.readuntil(b"}")
            assert said.startswith(b"HTTP/1.1 503")
            assert b'{"status":"draining"}' in said
            writer.close()
            await draining


async def ends() -> dict[int, int]:
    """A broker that answers."""
    return {0: 0}


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, once somebody listens."""
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection("127.0.0.1", port)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
