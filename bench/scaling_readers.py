"""One worker of a consumer group and two, which read the same backlog from its beginning.

The workers start while the log is full, and share the partitions once both have joined. What is measured lies between the
moment in which all hold partitions and count, and nine tenths of the backlog.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from scaling_found import Found
from scaling_shares import Meter, limited
from scaling_waits import Missing, until
from servicekit.broker import free_port

UNTIL = 0.9  # of the backlog
STARTING_SHARE = 0.2  # of a core


class Reader:
    """A worker as a process; a context manager. ``port_setting`` is the variable that names its port."""

    def __init__(
        self, command: Sequence[str], port_setting: str, folder: Path, counter: str, **env: str
    ) -> None:
        self.port, self.log, self._counter = free_port(), folder / "log", counter
        folder.mkdir(parents=True, exist_ok=True)
        given = {port_setting: str(self.port), "ATALAIA_DATA_DIR": str(folder / "data")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command], env={**os.environ, **given, **env}, stdout=log, stderr=log
            )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path: str) -> str:
        """What it answers, empty where it does not."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer,
        ):
            return str(answer.read().decode())
        return ""

    def answers(self) -> bool:
        """Whether its HTTP does."""
        return bool(self.get("/health/live"))

    def status(self, name: str) -> Any:
        """What it says of itself by a name; None where it says nothing."""
        return json.loads(self.get("/api/v1.0/status") or "{}").get(name)

    def rows(self) -> int:
        """How many it has counted."""
        lines = self.get("/metrics").splitlines()
        return int(sum(float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith(self._counter)))

    def lives(self) -> None:
        """Raise :class:`Missing` where it has ended."""
        if self.process.poll() is not None:
            raise Missing(f"a worker has ended: {self.told()}")

    def told(self) -> str:
        """The end of its log."""
        return " ".join(self.log.read_text(errors="replace")[-300:].split())


async def through(
    workers: Sequence[Reader],
    total: int,
    partitions: int,
    brokers: Sequence[int],
    share: float | None,
    begin: Callable[[], Awaitable[None]] | None = None,
) -> Found:
    """What ``workers`` read of ``total`` rows, each with a ``share`` of a core, from when they all count.

    ``begin`` puts the rows on the topic, once the workers share it; None where they are there. Raises :class:`Missing`
    where a worker ends, or something does not come in time.
    """
    pids = [worker.process.pid for worker in workers]
    await _until(workers, "all workers answer", lambda: all(worker.answers() for worker in workers))
    with limited(pids, STARTING_SHARE):  # or the first would have read most of it before the second joins
        await _until(workers, "the workers share all partitions", lambda: _shared(workers, partitions))
        if begin is not None:
            await begin()
        await _until(workers, "all workers count", lambda: all(worker.rows() for worker in workers))
    with limited(pids, share):
        before = [worker.rows() for worker in workers]
        meter = Meter([[pid] for pid in pids], brokers)
        if sum(before) > total / 2:
            raise Missing(f"of {total:,} rows {sum(before):,} were read before all read: give more of them")
        await _until(
            workers, "nine tenths are read", lambda: sum(worker.rows() for worker in workers) >= UNTIL * total
        )
        after = [worker.rows() for worker in workers]
        wall, cpu, broker_seconds, others = meter.read()
    rows = [b - a for a, b in zip(before, after, strict=True)]
    return Found(rate=sum(rows) / wall, rows=rows, cpu=cpu, brokers=broker_seconds, wall=wall, others=others)


def _shared(workers: Sequence[Reader], partitions: int) -> bool:
    held = [len(worker.status("partitions") or ()) for worker in workers]
    return all(held) and sum(held) == partitions


async def _until(workers: Sequence[Reader], what: str, fact: Callable[[], bool]) -> None:
    def holds() -> bool:
        for worker in workers:
            worker.lives()
        return fact()

    try:
        await until(what, holds)
    except Missing as error:
        told = [f"{worker.rows():,} rows, log ends: {worker.told()}" for worker in workers]
        raise Missing(f"{error} {told}") from None
