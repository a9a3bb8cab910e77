"""The service as processes on real Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from contracts.codec import decode
from contracts.events import Event
from servicekit.config import Settings
from servicekit.kafka import make_consumer

HOUR = 3_600_000


class Service:
    """``python -m feedback`` in a process of its own."""

    def __init__(self, kafka: str, port: int, log: Path) -> None:
        self.port, self.log = port, log
        self.env = {
            **os.environ,
            "ATALAIA_KAFKA": kafka,
            "ATALAIA_FEEDBACK_PORT": str(port),
            "ATALAIA_WINDOW_MS": str(HOUR),
            "ATALAIA_MLFLOW": "http://127.0.0.1:9",
            "ATALAIA_DATA_DIR": str(log.parent / "data"),
        }
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and wait until it is ready."""
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "feedback", env=self.env, stdout=out, stderr=out
            )

        async def ready() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self.log.read_text()
            try:
                return (await self.http.get("/health/ready")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready)

    async def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 30)

    async def status(self) -> dict[str, Any]:
        """The service's counts."""
        answer: dict[str, Any] = (await self.http.get("/api/v1.0/status")).json()
        return answer


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Poll a condition until it holds; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "not within the deadline"
        await asyncio.sleep(0.05)


async def read_all(kafka: str, topic: str, kind: type[Event]) -> list[tuple[str, Any]]:
    """All events of a topic with their ce_id."""
    consumer = make_consumer(Settings(kafka=kafka), topic)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        await consumer.seek_to_beginning()
        found = []
        while any([await consumer.position(at) < end for at, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [
                    (dict(r.headers)["ce_id"].decode(), decode(kind, r.value, r.headers)) for r in records
                ]
        return found
    finally:
        await consumer.stop()


async def read_raw(kafka: str, topic: str) -> list[Any]:
    """All records of a topic as they are."""
    consumer = make_consumer(Settings(kafka=kafka), topic)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found
    finally:
        await consumer.stop()
