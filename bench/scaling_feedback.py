"""One feedback service and two: labels joined to predictions that wait, put straight on the topic."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from feedback_bench import labels, predict, put
from scaling_backlog import forget
from scaling_found import Found
from scaling_readers import TICK_SECONDS, Reader, through
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings


class Feedbacks:
    """``rows`` predictions on the topic, and services that join as many labels, anew for each drive."""

    def __init__(self, brokers: EmbeddedBrokers, folder: Path, rows: int) -> None:
        self._brokers, self._folder, self._rows = brokers, folder, rows
        self._settings = Settings(kafka=brokers.bootstrap)
        self._drives = 0

    async def fill(self) -> None:
        """Put the predictions on the topic; what was there is gone."""
        await forget(self._settings, set(), "feedback")
        await predict(self._settings.kafka, self._rows)

    async def drive(self, count: int, share: float | None) -> Found:
        """What ``count`` services make of the labels."""
        await forget(self._settings, {"predictions"}, "feedback")
        self._drives += 1
        env = {
            "ATALAIA_KAFKA": self._settings.kafka, "ATALAIA_WINDOW_MS": "3600000", "ATALAIA_MLFLOW": "http://127.0.0.1:9",
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
                predicted = partial(workers[0].status, "predicted")
                while await asyncio.to_thread(predicted) != self._rows:  # noqa: ASYNC110
                    await asyncio.sleep(TICK_SECONDS)
                await put(self._settings.kafka, labels(self._rows))

            pids = [broker.pid for broker in self._brokers.brokers]
            found = await through(workers, self._rows, self._settings.partitions, pids, share, upload)
            await asyncio.to_thread(stack.close)
        return found
