"""Predictor, monitors and feedback as processes on given brokers, and clients that predict and label."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from servicekit.broker import free_port

TESTS = Path(__file__).parents[1]
START = 1_700_000_000_000  # event time of the first row, ms
STEP_MS, BATCH_ROWS = 10, 5  # between two batches; rows of a batch share their time
WINDOW_MS, GRACE_MS = 1_000, 60_000
CLIENTS, PAUSE_SECONDS = 4, 0.05
LABEL_DELAY_MS = 500


class Service:
    """A service as a process of its own, asked over HTTP."""

    def __init__(self, name: str, command: list[str], folder: Path, **env: str) -> None:
        self.name, self.port = name, free_port()
        self.log = folder / f"{name}.log"
        service = name.split(".")[0]
        given = {
            f"ATALAIA_{service.upper()}_PORT": str(self.port), "ATALAIA_MODEL": "m",
            "ATALAIA_MLFLOW": "http://127.0.0.1:9", "ATALAIA_DATA_DIR": str(folder / name),
            "ATALAIA_WINDOW_MS": str(WINDOW_MS), "ATALAIA_GRACE_MS": str(GRACE_MS), "PYTHONPATH": os.pathsep.join(sys.path),
        }  # fmt: skip
        self._command, self._env = [sys.executable, *command], {**os.environ, **given, **env}
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=120)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *self._command, env=self._env, stdout=out, stderr=out
            )
        await until(self.ready, f"{self.name} is not ready, see {self.log}", 120)

    async def ready(self) -> bool:
        """Whether it says so; fails where it has ended."""
        self.lives()
        try:
            return (await self.http.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    def lives(self) -> None:
        """Fail where it has ended."""
        assert self.process is not None
        assert self.process.returncode is None, f"{self.name} has ended: {self.log.read_text()[-3000:]}"

    async def status(self) -> dict[str, Any]:
        """Where it stands; empty where it cannot say."""
        try:
            answer = await self.http.get("/api/v1.0/status")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        await self.http.aclose()
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 60)


class Clients:
    """They predict in batches, and label what was answered. Row i has the value i, and scores i under version 1."""

    def __init__(self, predictor: Service, feedback: Service) -> None:
        self._predictor, self._feedback = predictor, feedback
        self.statuses: Counter[int] = Counter()
        self.predicted: dict[str, float] = {}  # answered ids, and the value that was sent
        self.times: dict[str, int] = {}
        self.labelled: set[str] = set()  # accepted ids
        self.slowest = 0.0
        self._batches = 0
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._predict()) for _ in range(CLIENTS)]
        self._tasks.append(asyncio.create_task(self._label()))

    async def stop(self) -> None:
        """End, once all that was answered is labelled; raises what went wrong."""
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def more(self, rows: int) -> None:
        """Return once so many more rows were answered, and all that were answered by now are labelled."""
        wanted, asked = len(self.predicted) + rows, set(self.predicted)

        async def reached() -> bool:
            for task in self._tasks:
                if task.done():
                    await task  # raises what ended it
            return len(self.predicted) >= wanted and self.labelled >= asked

        await until(reached, f"{rows} more rows are not answered", 120)

    async def go_on(self, seconds: float) -> None:
        """Return after some time, in which rows were answered; raises what went wrong."""
        before = len(self.predicted)
        await asyncio.sleep(seconds)
        for task in self._tasks:
            if task.done():
                await task
        assert len(self.predicted) > before

    @property
    def over(self) -> int:
        """When the last row's window is over and its grace too, event time."""
        return START + ((max(self.times.values()) - START) // WINDOW_MS + 1) * WINDOW_MS + GRACE_MS

    async def _predict(self) -> None:
        while not self._stopped:
            number, self._batches = self._batches, self._batches + 1
            at = START + number * STEP_MS
            values = [float(number * BATCH_ROWS + i) for i in range(BATCH_ROWS)]
            body = {"rows": [{"a": value} for value in values], "event_time": at}
            began = time.monotonic()
            answer = await self._predictor.http.post("/api/v1.0/predict/batch", json=body)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                ids = [each["prediction_id"] for each in answer.json()["predictions"]]
                self.predicted |= zip(ids, values, strict=True)
                self.times |= dict.fromkeys(ids, at)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _label(self) -> None:
        """Upload again until taken: an answer that was lost means a duplicate."""
        while not self._stopped or self.predicted.keys() - self.labelled:
            ids = list(self.predicted.keys() - self.labelled)[:200]
            if ids:
                body = {
                    "prediction_id": ids, "truth": [self.predicted[i] for i in ids],
                    "label_time": [self.times[i] + LABEL_DELAY_MS for i in ids],
                }  # fmt: skip
                try:
                    answer = await self._feedback.http.post("/api/v1.0/feedback/batch", json=body)
                    assert answer.status_code in (202, 503), answer.text
                    if answer.status_code == 202:
                        self.labelled.update(ids)
                except httpx.TransportError:
                    self._feedback.lives()
            await asyncio.sleep(PAUSE_SECONDS)


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60.0) -> None:
    """Poll a condition until it holds; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.1)
