"""A world and workers of the monitor on a real broker, for the tests that use them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from contracts.codec import decode, partition_of
from contracts.events import ModelChanged, PredictionsMade, WindowTested
from scipy.stats import chi2_contingency, ks_2samp
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topics import ensure_topics
from summaries.profile import FieldSpec, Profile

PARTITIONS = 3
WINDOW = 1000


class World:
    """Rows of two features; the monitor's view of them must be scipy's."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.reference = self.rows(800, shift=0.0)
        self.batches: list[PredictionsMade] = []

    def rows(self, n: int, shift: float) -> dict[str, list[Any]]:
        """n rows, rounded so that ties are many."""
        x = np.round(self.random.normal(shift, 1, n), 1).astype(np.float32).tolist()
        place = self.random.choice(["JFK", "LGA", "EWR"], n).tolist()
        return {"x": x, "place": place}

    def profile(self) -> dict[str, Any]:
        """The reference as a registry would give it; of its rows every twentieth was answered wrongly."""
        schema = [FieldSpec("x", "float32"), FieldSpec("place", "string")]
        predictions = (np.array(self.reference["x"]) > 0).astype(int).tolist()
        truth = [p ^ int(i % 20 == 0) for i, p in enumerate(predictions)]
        return Profile.build(
            self.reference, schema, predictions, None, "y", [0, 1], "classification", truth
        ).to_dict()

    def batch(self, model: str, window: int, n: int, shift: float, version: str = "1") -> PredictionsMade:
        """A batch somewhere in a window."""
        features = self.rows(n, shift)
        times = np.sort(self.random.integers(window * WINDOW, (window + 1) * WINDOW, n)).tolist()
        made = PredictionsMade(
            batch_id=uuid.UUID(int=int(self.random.integers(2**62))).hex,
            model=model,
            version=version,
            event_time=times,
            features=features,
            predictions=[int(x > 0) for x in features["x"]],
        )
        self.batches.append(made)
        return made

    def in_window(self, window: int) -> dict[str, list[Any]]:
        """All rows whose event time lies in a window."""
        found: dict[str, list[Any]] = {"x": [], "place": []}
        for batch in self.batches:
            for i, t in enumerate(batch.event_time):
                if t // WINDOW == window:
                    for name in found:
                        found[name].append(batch.features[name][i])
        return found


class Worker:
    """The monitor as a process."""

    def __init__(self, broker: EmbeddedKafka, model: str, profiles: Path) -> None:
        self.port = free_port()
        self.profiles = profiles
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ATALAIA_KAFKA": broker.bootstrap,
            "ATALAIA_MODEL": model,
            "ATALAIA_PARTITIONS": str(PARTITIONS),
            "ATALAIA_WINDOW_MS": str(WINDOW),
            "ATALAIA_GRACE_MS": "0",
            "ATALAIA_MIN_ROWS": "30",
            "ATALAIA_DRIFT_MONITOR_PORT": str(self.port),
            "ATALAIA_DATA_DIR": str(profiles),
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, stderr: int | None = None) -> None:
        """Start it."""
        script = str(Path(__file__).with_name("worker.py"))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, script, str(self.profiles), env=self.env, stderr=stderr
        )

    async def end(self, how: signal.Signals) -> int:
        """End it."""
        assert self.process is not None
        self.process.send_signal(how)
        return await self.process.wait()

    async def get(self, path: str, body: Any = None) -> Any:
        """Ask it."""
        data = json.dumps(body).encode() if body is not None else None

        def ask() -> Any:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, 30) as answer:
                return json.loads(answer.read())

        return await asyncio.to_thread(ask)

    async def until_decided(self, through: int) -> None:
        """Return when it has decided so far, within a minute and a half."""
        deadline = time.monotonic() + 90
        status: dict[str, Any] = {}
        while status.get("decided_through") != through:
            assert time.monotonic() < deadline, f"still {status}"
            status = await self.status()
            await asyncio.sleep(0.05)

    async def status(self) -> dict[str, Any]:
        """Where it stands; empty where it does not answer yet."""
        with contextlib.suppress(OSError):
            found: dict[str, Any] = await self.get("/api/v1.0/status")
            return found
        return {}


async def read_all(broker: EmbeddedKafka, topic: str, kind: Any, model: str) -> list[Any]:
    """All events of one model on a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        at = TopicPartition(topic, 0)
        consumer.assign([at])
        await consumer.seek_to_beginning(at)
        end = (await consumer.end_offsets([at]))[at]
        found = []
        while await consumer.position(at) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [decode(kind, record.value, record.headers) for record in records]
        return [event for event in found if event.model == model]
    finally:
        await consumer.stop()


async def start(
    broker: EmbeddedKafka, world: World, model: str, folder: Path, **env: str
) -> tuple[AIOKafkaProducer, Worker]:
    """Topics, a producer, an installed model and a worker with these settings."""
    await ensure_topics(Settings(kafka=broker.bootstrap, partitions=PARTITIONS))
    producer = await make_producer(Settings(kafka=broker.bootstrap), "test")
    installed = ModelChanged(
        model=model,
        version="1",
        previous_version=None,
        action="installed",
        artifact_uri="",
        sha256="",
        effective_from=0,
        reason="",
    )
    await publish(producer, "model-events", installed, source="test", key=model)
    (folder / f"{model}-1.json").write_text(json.dumps(world.profile()))
    worker = Worker(broker, model, folder)
    worker.env |= env
    await worker.start()
    return producer, worker


async def send(producer: AIOKafkaProducer, batch: PredictionsMade) -> None:
    """As the predictor does."""
    partition = partition_of(batch.batch_id, PARTITIONS)
    await publish(producer, "predictions", batch, source="test", key=batch.batch_id, partition=partition)


def check(world: World, report: WindowTested, late: bool = False) -> None:
    """A report says what scipy says; rows for windows that were over may be told of."""
    rows = world.in_window(report.window_start // WINDOW)
    assert report.rows == len(rows["x"])
    assert late or report.late_rows == 0
    if report.rows < 30:
        assert report.status == "insufficient data"
        return
    expected = ks_2samp(np.array(world.reference["x"], np.float32), np.array(rows["x"], np.float32))
    assert report.features["x"].statistic == expected.statistic
    names = ["JFK", "LGA", "EWR"]
    table = [[world.reference["place"].count(n) for n in names], [rows["place"].count(n) for n in names]]
    chi2 = chi2_contingency(table, correction=False)
    assert report.features["place"].statistic == pytest.approx(chi2.statistic, rel=1e-12)
    assert report.features["place"].p_value == pytest.approx(chi2.pvalue, rel=1e-9)
