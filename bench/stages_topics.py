"""Stages measured over a real broker: bytes and the broker's own work, the drift-monitor's worker, the feedback service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import feedback_bench
import monitor
import numpy as np
from drift_monitor.consumes.panes import read_panes
from results import Figure, seen
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer
from servicekit.offsets import Offsets
from servicekit.topics import ensure_topics
from stages_parts import prediction, world

RECORDS = {1: 12_000, 10: 12_000, 100: 6_000, 1_000: 2_000}  # rows a record: records
WARM = 2  # a part so large of them before: the broker's JVM compiles what is first used
READINGS = 2
TRICKLE = 40  # records a second, one row each: so few that every chunk is closed by its 0.2 seconds
TRICKLE_SECONDS = 20.0
IDLE_SECONDS = 10.0
ACKNOWLEDGED, STRETCH = 6_000, 100
LONG = 500_000


@contextmanager
def broker_of(partitions: int) -> Iterator[tuple[EmbeddedKafka, Settings, Path]]:
    """A broker with topics and the profile that the worker is given."""
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka(Path(name) / "kafka") as broker:
        folder = Path(name)
        (folder / "profile.json").write_text(json.dumps(monitor.profile(np.random.default_rng(0))))
        asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap, partitions=partitions)))
        yield broker, Settings(kafka=broker.bootstrap, partitions=partitions), folder


def broker(records_of: dict[int, int] = RECORDS) -> list[Figure]:
    """Records of some sizes through producer, broker and bare consumer."""
    figures: list[Figure] = []
    for size, records in records_of.items():
        with broker_of(monitor.PARTITIONS) as (kafka, settings, folder):
            generator = np.random.default_rng(0)
            asyncio.run(
                monitor.fill(settings, size, 6_000, generator)
            )  # the JVM compiles while it is first used
            disk, cpu, own = (
                monitor.on_disk(folder)["predictions"],
                monitor.processor(kafka.pid),
                time.process_time(),
            )
            asyncio.run(monitor.fill(settings, size, records, generator))
            own, taken = time.process_time() - own, monitor.processor(kafka.pid) - cpu
            written = monitor.on_disk(folder)["predictions"] - disk
            asyncio.run(monitor.bare(settings, size, False))
            cpu = monitor.processor(kafka.pid)
            for _ in range(READINGS):
                asyncio.run(monitor.bare(settings, size, False))
            given = (monitor.processor(kafka.pid) - cpu) / (READINGS * (records + records // WARM))
        figures += [
            seen(f"produced by a client: a record of {size} rows", 1e6 * own / records, "us"),
            seen(f"broker, in: a record of {size} rows", 1e6 * taken / records, "us"),
            seen(f"broker, out: a record of {size} rows", 1e6 * given, "us"),
            seen(f"predictions: a record of {size} rows", written / records, "bytes"),
        ]
    return figures


def counting_worker(records_of: dict[int, int] = RECORDS) -> list[Figure]:
    """The drift-monitor's worker over records of some sizes, as ``bench-monitor`` runs it."""
    figures = []
    for size, records in records_of.items():
        with broker_of(monitor.PARTITIONS) as (_, settings, folder):
            total = asyncio.run(monitor.fill(settings, size, records, np.random.default_rng(0)))
            got = monitor.through_monitor(settings, total, folder, every=0.5)
        figures.append(seen(f"monitor: a record of {size} rows", 1e6 * size / got["cpu"], "us"))
    return figures


async def _acknowledged(settings: Settings) -> list[float]:
    """Milliseconds until each of some records is acknowledged, one at a time."""
    _, columns = world(11)
    producer = await make_producer(settings, "bench")
    took = []
    try:
        for number in range(ACKNOWLEDGED):
            value, headers = prediction(columns(1), number)
            began = time.perf_counter()
            await producer.send_and_wait("predictions", value, key=b"%032x" % number, headers=headers)
            took.append(1e3 * (time.perf_counter() - began))
    finally:
        await producer.stop()
    return took


def acknowledgements() -> list[Figure]:
    """How long a lone record takes to be acknowledged: by the clock, hence of the stretch that was disturbed least."""
    with broker_of(monitor.PARTITIONS) as (_, settings, _):
        took = asyncio.run(_acknowledged(settings))
    stretches = [took[i : i + STRETCH] for i in range(STRETCH, len(took), STRETCH)]  # the first one warms up
    cuts = min((quantiles(each, n=100) for each in stretches), key=lambda cuts: cuts[89])
    return [
        seen("acknowledgement of a lone record, p50", cuts[49], "ms"),
        seen("acknowledgement of a lone record, p90", cuts[89], "ms"),
    ]


async def _trickle(settings: Settings, seconds: float) -> int:
    """Send ``TRICKLE`` records a second, one row each; returns how many."""
    _, columns = world(11)
    producer = await make_producer(settings, "bench")
    began, sent, pending = time.monotonic(), 0, []
    try:
        while (now := time.monotonic()) < began + seconds:
            while sent < TRICKLE * (now - began):
                values = columns(1)
                value, headers = _regression(values, sent)
                pending.append(
                    await producer.send("predictions", value, key=b"%032x" % (10**6 + sent), headers=headers)
                )
                sent += 1
            await asyncio.sleep(1 / TRICKLE / 2)
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return sent


def _regression(columns: dict[str, list[float]], number: int) -> tuple[bytes, Any]:
    """A record as ``monitor.fill`` makes them, whose profile is the worker's."""
    from contracts.codec import encode
    from contracts.events import PredictionsMade

    event = PredictionsMade(
        batch_id=f"{10**6 + number:032x}", model="m", version="1", event_time=[0], features=columns,
        predictions=columns["x0"],
    )  # fmt: skip
    return encode(event, source="bench", ce_id=event.batch_id)


async def _written(settings: Settings) -> int:
    """Records of ``panes`` so far."""
    offsets = Offsets(settings, "panes")
    await offsets.start()
    try:
        return sum((await offsets.ends()).values())
    finally:
        await offsets.stop()


def monitor_at_rest() -> list[Figure]:
    """The worker with nothing to do, and with so little that what it costs is the panes it writes and reads back."""
    with broker_of(monitor.PARTITIONS) as (kafka, settings, folder):
        asyncio.run(
            monitor.fill(settings, 100, 500, np.random.default_rng(0))
        )  # its panes are as full as a day's
        port = free_port()
        env = {
            **os.environ, "ATALAIA_KAFKA": settings.kafka, "ATALAIA_MODEL": "m",
            "ATALAIA_PARTITIONS": str(monitor.PARTITIONS), "ATALAIA_WINDOW_MS": str(100 * monitor.WINDOW),
            "ATALAIA_GRACE_MS": "0", "ATALAIA_DRIFT_MONITOR_PORT": str(port), "ATALAIA_DATA_DIR": str(folder),
        }  # fmt: skip
        script = Path(monitor.__file__).with_name("monitor_worker.py")
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, script, folder / "profile.json"], env=env, stdout=log, stderr=log
            )
        try:
            _until(port, 500 * 100, folder)
            time.sleep(2.0)  # what is measured is the time itself
            cpu = monitor.processor(worker.pid)
            time.sleep(IDLE_SECONDS)
            idle = (monitor.processor(worker.pid) - cpu) / IDLE_SECONDS
            before, cpu, began = (
                asyncio.run(_written(settings)),
                monitor.processor(worker.pid),
                time.monotonic(),
            )
            disk, of_broker = monitor.on_disk(folder).get("panes", 0), monitor.processor(kafka.pid)
            sent = asyncio.run(_trickle(settings, TRICKLE_SECONDS))
            _until(port, 500 * 100 + sent, folder)
            used = monitor.processor(worker.pid) - cpu - idle * (time.monotonic() - began)
            of_broker = monitor.processor(kafka.pid) - of_broker
            panes = asyncio.run(_written(settings)) - before
            disk = monitor.on_disk(folder).get("panes", 0) - disk
            own = time.process_time()
            asyncio.run(read_panes(settings))
            read = (time.process_time() - own) / (before + panes)
            resident = monitor.resident(worker.pid)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)
    return [
        seen("monitor: at rest", idle, "share of a core"),
        seen("monitor: a pane written, read back and taken by the owner, its record's row included", 1e6 * used / panes, "us"),
        seen("owner: a pane fetched and read", 1e6 * read, "us"),
        seen("monitor: a pane written over Kafka", 1e6 * (used / panes - read), "us"),
        seen("panes: a record on disk", disk / panes, "bytes"),
        seen("broker: a pane in and out", 1e6 * of_broker / panes, "us"),
        seen("panes: chunks a second of a partition that has few records", panes / monitor.PARTITIONS / TRICKLE_SECONDS, "1/s"),
        seen("monitor: resident memory", resident, "MiB"),
    ]  # fmt: skip


def _until(port: int, rows: int, folder: Path, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while monitor.counted(port) < rows:
        if time.monotonic() > deadline:
            raise SystemExit(
                f"the worker did not count its rows: {(folder / 'worker.log').read_text()[-2000:]}"
            )
        time.sleep(0.2)


def feedback(rows: int) -> list[Figure]:
    """``bench-feedback``'s run, for its costs, its state on disk and the bytes of its topics.

    Costs and memory only of a run that is long beside a quarter of a second, in which its progress is seen.
    """
    found = asyncio.run(feedback_bench.through_service(rows, 128, over_http=True))
    topics: dict[str, int] = found["topics"]
    figures = [
        seen("feedback: state on disk of a row", found["state"] / rows, "bytes"),
        seen("ground-truth: a label", topics["ground-truth"] / rows, "bytes"),
        seen("outcomes: a labelled row", topics["outcomes"] / rows, "bytes"),
    ]
    if rows >= LONG:
        figures += [
            seen("feedback: a prediction taken in", 1e6 / found["pending_cpu"], "us"),
            seen("feedback: a label joined, over HTTP", 1e6 / found["labels_cpu"], "us"),
            seen("feedback: resident memory", found["memory"], "MiB"),
        ]
    return figures
