"""One feedback service and two: labels joined to predictions that wait, put straight on the topic."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from contracts.events import OutcomesJoined
from feedback_bench import labels, predict, put
from scaling_cluster import new_cluster
from scaling_found import Found
from scaling_readers import Reader, through
from scaling_waits import until, within
from servicekit.config import Settings
from servicekit.topic_log import read_events


class Feedbacks:
    """``rows`` predictions on a new cluster of ``brokers`` for each drive, and services that join as many labels."""

    def __init__(self, brokers: int, folder: Path, rows: int) -> None:
        self._brokers, self._folder, self._rows = brokers, folder, rows
        self._drives = 0

    async def drive(self, count: int, share: float | None) -> Found:
        """What ``count`` services make of the labels."""
        self._drives += 1
        async with new_cluster(self._brokers) as brokers:
            settings = Settings(kafka=brokers.bootstrap)
            await within("the predictions", predict(settings.kafka, self._rows))
            return await self._join(settings, [broker.pid for broker in brokers.brokers], count, share)

    async def _join(self, settings: Settings, pids: list[int], count: int, share: float | None) -> Found:
        env = {
            "ATALAIA_KAFKA": settings.kafka, "ATALAIA_WINDOW_MS": "3600000", "ATALAIA_MLFLOW": "http://127.0.0.1:9",
        }  # fmt: skip
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    Reader(
                        ["-m", "feedback"],
                        "ATALAIA_FEEDBACK_PORT",
                        self._folder / f"feedback-{self._drives}-{number}",
                        'atalaia_labels_total{result="outcome"',
                        **env,
                    )
                )
                for number in range(count)
            ]

            async def upload() -> None:
                await until("all predictions wait", lambda: workers[0].status("predicted") == self._rows)
                await within("the labels", put(settings.kafka, labels(self._rows)))

            found = await through(workers, self._rows, settings.partitions, pids, share, upload)
            await until("all labels are joined", lambda: workers[0].status("joined") == self._rows)
            await asyncio.to_thread(stack.close)
        outcomes = await within("outcomes", read_events(settings, "outcomes", OutcomesJoined))
        ids = [key for event in outcomes for key in event.prediction_id]
        found.lost, found.twice = self._rows - len(set(ids)), len(ids) - len(set(ids))
        return found
