"""A connection to a service that is kept open: what it answers, and that it says it drains."""

from __future__ import annotations

import asyncio
import contextlib
import time

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(port: int) -> Connection:
    """A connection, once somebody listens."""
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection("127.0.0.1", port)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> str:
    """A whole answer, head and body."""
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
    return head + (await reader.readexactly(int(length.split(":")[1]))).decode()


async def told_that_it_drains(connection: Connection) -> None:
    """Ask for readiness until the connection is about to be closed: the last answer says why."""
    said = ""
    async with asyncio.timeout(10):
        while "connection: close" not in said:
            said = await get(*connection, "/health/ready")
    assert ("503" in said, '{"status":"draining"}' in said) == (True, True)
