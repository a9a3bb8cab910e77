"""The trainer's end, seen over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from servicekit.broker import free_port
from servicekit.config import Settings
from trainer import bootstrap

READY = b"GET /health/ready HTTP/1.1\r\nhost: trainer\r\n\r\n"


async def for_ever() -> None:
    """What runs until it is cancelled."""
    await asyncio.Event().wait()


async def nothing(*_: Any) -> Any:
    """An edge that is there."""
    return SimpleNamespace(start=nothing, stop=nothing, topics=nothing)


async def test_a_trainer_that_ends_says_that_it_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is connected is told so, and not that it is ready."""
    for edge in ("wait_for_kafka", "ensure_topics", "make_producer", "stop_consumer"):
        monkeypatch.setattr(bootstrap, edge, nothing)
    edge = await nothing()
    caught_up = asyncio.Event()
    caught_up.set()
    loop = SimpleNamespace(
        reader=SimpleNamespace(read=for_ever, caught_up=caught_up),
        decide=for_ever,
        alias=SimpleNamespace(follow=for_ever),
        status=dict,
        knowledge=SimpleNamespace(history=SimpleNamespace(pending=lambda: None)),
    )
    monkeypatch.setattr(bootstrap, "make_consumer", lambda *_, **__: edge)
    monkeypatch.setattr(bootstrap, "Loop", lambda *_: loop)
    port, pipeline = free_port(), SimpleNamespace()
    running = asyncio.create_task(bootstrap._run(Settings(trainer_port=port), pipeline))  # type: ignore[arg-type]
    reader, writer = await connect(port)
    writer.write(READY)
    assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 200")
    os.kill(os.getpid(), signal.SIGTERM)
    said = b""
    async with asyncio.timeout(10):
        while b"connection: close" not in said.lower():
            writer.write(READY)
            said = await reader.readuntil(b"}")
        assert said.startswith(b"HTTP/1.1 503")
        assert b'{"status":"draining"}' in said
        writer.close()
        await running


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, once somebody listens."""
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection("127.0.0.1", port)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
