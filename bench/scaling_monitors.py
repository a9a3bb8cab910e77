"""One drift-monitor and two, through a backlog of ``predictions``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from contracts.events import PaneCounted
from monitor import WINDOW, fill, profile
from scaling_cluster import new_cluster
from scaling_found import Found
from scaling_readers import Reader, through
from scaling_waits import until, within
from servicekit.config import Settings
from servicekit.topic_log import read_events

ROWS_A_RECORD = 100


class Monitors:
    """A backlog of ``rows`` rows, the same on a new cluster of ``brokers`` for each drive, and workers that read it."""

    def __init__(self, brokers: int, folder: Path, rows: int) -> None:
        self._brokers, self._folder = brokers, folder
        self._records = rows // ROWS_A_RECORD
        self._profile = folder / "profile.json"
        self._profile.write_text(json.dumps(profile(np.random.default_rng(0))))
        self._drives = 0

    async def drive(self, count: int, share: float | None) -> Found:
        """What ``count`` workers make of it."""
        self._drives += 1
        async with new_cluster(self._brokers) as brokers:
            settings = Settings(kafka=brokers.bootstrap)
            generator = np.random.default_rng(0)
            await within("the backlog", fill(settings, ROWS_A_RECORD, self._records, generator))
            return await self._read(settings, [broker.pid for broker in brokers.brokers], count, share)

    async def _read(self, settings: Settings, pids: list[int], count: int, share: float | None) -> Found:
        total = self._records * ROWS_A_RECORD
        env = {
            "ATALAIA_KAFKA": settings.kafka, "ATALAIA_MODEL": "m", "ATALAIA_WINDOW_MS": str(WINDOW),
            "ATALAIA_GRACE_MS": "0",
        }  # fmt: skip
        command = [str(Path(__file__).with_name("monitor_worker.py")), str(self._profile)]
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
            found = await through(workers, total, settings.partitions, pids, share)
            await until("all rows are counted", lambda: sum(worker.rows() for worker in workers) >= total)
            await asyncio.to_thread(stack.close)
        panes = await within("panes", read_events(settings, "panes", PaneCounted))
        counted = rows_of(panes)
        found.lost, found.twice = max(0, total - counted), max(0, counted - total)
        return found


def rows_of(panes: Iterable[PaneCounted]) -> int:
    """Rows in panes, late ones too: of the records of one pane, or of its late rows, the newest holds."""
    newest: dict[tuple[int, int, bool], PaneCounted] = {}
    for pane in panes:
        key = (pane.partition, pane.pane_start, bool(pane.late))
        held = newest.get(key)
        if held is None or (held.epoch, held.last_offset) < (pane.epoch, pane.last_offset):
            newest[key] = pane
    return sum(pane.late or pane.rows for pane in newest.values())
