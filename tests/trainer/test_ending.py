"""The trainer's end, seen over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
from kept_connection import connect, get, told_that_it_drains
from servicekit.broker import free_port
from servicekit.config import Settings
from trainer import bootstrap


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
    connection = await connect(port)
    assert "200 OK" in await get(*connection, "/health/ready")
    os.kill(os.getpid(), signal.SIGTERM)
    await told_that_it_drains(connection)
    connection[1].close()
    await asyncio.wait_for(running, 10)
