"""One drift-monitor and two, through a backlog of ``predictions``."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from monitor import WINDOW, fill, profile
from scaling_backlog import forget
from scaling_found import Found
from scaling_readers import Reader, through
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings
from servicekit.topics import ensure_topics

ROWS_A_RECORD = 100


class Monitors:
    """A backlog of ``rows`` rows, and workers that read it, again for each drive."""

    def __init__(self, brokers: EmbeddedBrokers, folder: Path, rows: int) -> None:
        self._brokers, self._folder = brokers, folder
        self._settings = Settings(kafka=brokers.bootstrap)
        self._records = rows // ROWS_A_RECORD
        self._drives = 0

    async def fill(self) -> None:
        """Write the backlog; what was on the topic is gone."""
        await forget(self._settings, set(), "drift-monitor")
        await ensure_topics(self._settings.kafka, self._settings.partitions)
        await fill(self._settings, ROWS_A_RECORD, self._records, np.random.default_rng(0))
        (self._folder / "profile.json").write_text(json.dumps(profile(np.random.default_rng(0))))

    async def drive(self, count: int, share: float | None) -> Found:
        """What ``count`` workers make of it."""
        await forget(self._settings, {"predictions"}, "drift-monitor")
        self._drives += 1
        env = {
            "ATALAIA_KAFKA": self._settings.kafka, "ATALAIA_MODEL": "m", "ATALAIA_WINDOW_MS": str(WINDOW),
            "ATALAIA_GRACE_MS": "0",
        }  # fmt: skip
        command = [str(Path(__file__).with_name("monitor_worker.py")), str(self._folder / "profile.json")]
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    Reader(
                        command,
                        "ATALAIA_DRIFT_MONITOR_PORT",
                        self._folder / f"monitor-{self._drives}-{number}",
                        "atalaia_rows_counted_total{",
                        **env,
                    )
                )
                for number in range(count)
            ]
            pids = [broker.pid for broker in self._brokers.brokers]
            rows = self._records * ROWS_A_RECORD
            found = await through(workers, rows, self._settings.partitions, pids, share)
            await asyncio.to_thread(stack.close)
        return found
