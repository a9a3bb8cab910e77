"""A minute without Kafka, under load: nobody is refused, and all comes to the topic, once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from contracts.codec import decode, prediction_id
from contracts.events import PredictionsMade
from prometheus_client.parser import text_string_to_metric_families
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.topic_log import read_whole

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
CLIENTS = 8
AWAY_SECONDS = 60.0
BATCH_ROWS = 20


class Service:
    """The predictor as a process of its own, with a registry that is a file."""

    def __init__(self, kafka: str, folder: Path, **env: str) -> None:
        self.settings = Settings(kafka=kafka, model="m", predictor_port=free_port(), data_dir=folder)
        given = {
            "ATALAIA_KAFKA": kafka, "ATALAIA_MODEL": "m", "ATALAIA_DATA_DIR": str(folder),
            "ATALAIA_PREDICTOR_PORT": str(self.settings.predictor_port),
        }  # fmt: skip
        command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        self.process = subprocess.Popen(command, env={**os.environ, **given, **env})
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.settings.predictor_port}", timeout=60
        )

    async def ready(self) -> None:
        """Wait until it serves."""
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await self.client.get("/health/ready")).status_code == 200:
                    return
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    def resident(self) -> float:
        """MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """Samples by name and label values."""
        text = (await self.client.get("/metrics")).text
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def until(self, name: str, fact: Callable[[float], bool], seconds: float = 60) -> None:
        """Wait until a metric without labels says so."""
        deadline = time.monotonic() + seconds
        while not fact((await self.metrics())[name,]):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker of its own, since it is stopped."""
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        yield broker


class Load:
    """Clients that send batches one after the other, each row numbered."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.stopped = False
        self.statuses: dict[int, int] = {}
        self.rows: dict[str, float] = {}  # answered ids, and the number that was sent
        self.slowest = 0.0

    async def client(self, which: int) -> None:
        """Until it is stopped. Rows of client w are w, w + CLIENTS, …: a client's numbers rise in time."""
        at = 0
        while not self.stopped:
            numbers = [float(which + CLIENTS * (at + i)) for i in range(BATCH_ROWS)]
            at += BATCH_ROWS
            started = time.monotonic()
            answer = await self.service.client.post(
                "/api/v1.0/predict/batch", json={"rows": [{"a": n} for n in numbers]}
            )
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
            if answer.status_code == 200:
                ids = [p["prediction_id"] for p in answer.json()["predictions"]]
                self.rows |= zip(ids, numbers, strict=True)
            else:
                assert answer.headers["retry-after"]

    async def during(self, seconds: float) -> None:
        """Let it run."""
        await asyncio.sleep(seconds)


async def on_topic(settings: Settings) -> tuple[dict[str, float], dict[int, list[list[float]]]]:
    """Ids and numbers of all rows, none twice; and by partition the numbers of each record, in order."""
    rows: dict[str, float] = {}
    by_partition: dict[int, list[list[float]]] = {}
    async for batch in read_whole(settings, "predictions"):
        for record in batch:
            event = decode(PredictionsMade, record.value, record.headers)
            numbers: list[Any] = event.features["a"]
            by_partition.setdefault(record.partition, []).append(numbers)
            for i, number in enumerate(numbers):
                name = prediction_id(event.batch_id, i)
                assert name not in rows, "a record came twice"
                rows[name] = number
    return rows, by_partition


async def test_a_minute_without_kafka(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    """No request fails, memory stays flat, and afterwards the topic has each answered row once, in order."""
    service = Service(kafka.bootstrap, tmp_path / "data")
    try:
        await service.ready()
        load = Load(service)
        clients = [asyncio.create_task(load.client(which)) for which in range(CLIENTS)]
        await load.during(5)
        answered = len(load.rows)
        await asyncio.to_thread(kafka.kill)
        await load.during(10)
        early = service.resident()
        assert len(load.rows) > answered, "answers go on without Kafka"
        await load.during(AWAY_SECONDS - 10)
        late = service.resident()
        spooled = (await service.metrics())["atalaia_spool_rows",]
        assert spooled > 0
        await asyncio.to_thread(kafka.start)
        await service.until("atalaia_spool_rows", lambda rows: rows == 0)
        await load.during(2)
        load.stopped = True
        await asyncio.gather(*clients)
        counted = await service.metrics()
        assert service.stop() == 0
        rows, by_partition = await on_topic(service.settings)
    finally:
        service.process.kill()
    print(
        f"{sum(load.statuses.values())} requests, {load.statuses}; {len(load.rows)} rows answered, {len(rows)} on the topic, "
        f"{spooled:.0f} of them in the spool after a minute; slowest answer {load.slowest:.2f} s; "
        f"memory {early:.0f} MiB after 10 s without Kafka, {late:.0f} MiB after 60 s"
    )
    assert load.statuses.keys() == {200}
    assert rows == load.rows
    assert late < 1.1 * early
    assert counted["atalaia_rows_kept_total", "sent"] + counted["atalaia_rows_kept_total", "replayed"] == len(
        rows
    )
    assert counted["atalaia_rows_kept_total", "spooled"] == counted["atalaia_rows_kept_total", "replayed"]
    for records in by_partition.values():
        for which in range(CLIENTS):
            own = [n for numbers in records for n in numbers if n % CLIENTS == which]
            assert own == sorted(own), "a client's rows are in the order in which it sent them"


async def test_a_killed_service_leaves_its_spool_to_the_next(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    """``kill -9`` without Kafka: what was answered is on disk, and the next start sends it."""
    first = Service(kafka.bootstrap, tmp_path / "data")
    try:
        await first.ready()
        load = Load(first)
        clients = [asyncio.create_task(load.client(which)) for which in range(CLIENTS)]
        await load.during(1)
        await asyncio.to_thread(kafka.kill)
        await first.until("atalaia_spool_rows", lambda rows: rows > 0)
        await load.during(1)
        first.stop(signal.SIGKILL)
        await asyncio.gather(*clients, return_exceptions=True)
    finally:
        first.process.kill()
    await asyncio.to_thread(kafka.start)
    second = Service(kafka.bootstrap, tmp_path / "data")
    try:
        await second.ready()
        await second.until("atalaia_spool_rows", lambda rows: rows == 0)
        assert second.stop() == 0
        rows, _ = await on_topic(second.settings)
    finally:
        second.process.kill()
    assert load.statuses.keys() == {200}
    assert load.rows.items() <= rows.items()  # rows whose answer was under way may be there too


async def test_a_full_spool_refuses_and_what_it_took_comes(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    """Requests are answered up to the bound and refused beyond it: rows answered = rows on the topic."""
    service = Service(kafka.bootstrap, tmp_path / "data", ATALAIA_SPOOL_MAX_BYTES="200000")
    try:
        await service.ready()
        await asyncio.to_thread(kafka.kill)
        load = Load(service)
        clients = [asyncio.create_task(load.client(which)) for which in range(CLIENTS)]
        deadline = time.monotonic() + 60
        while load.statuses.get(503, 0) < 20:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert (await service.client.get("/health/ready")).json()["checks"] == {"log": False, "model": True}
        refused = await service.metrics()
        assert refused["atalaia_spool_bytes",] <= 200_000
        assert 0.8 < refused["atalaia_spool_filled_ratio",] <= 1
        await asyncio.to_thread(kafka.start)
        await service.until("atalaia_spool_rows", lambda rows: rows == 0)
        load.stopped = True
        await asyncio.gather(*clients)
        counted = await service.metrics()
        assert service.stop() == 0
        rows, _ = await on_topic(service.settings)
    finally:
        service.process.kill()
    assert load.statuses.keys() == {200, 503}
    assert rows == load.rows
    route = "/api/v1.0/predict/batch"
    assert counted["atalaia_requests_total", route, "200"] == load.statuses[200]
    assert counted["atalaia_requests_refused_total", "not_recorded", route] == load.statuses[503]


async def test_a_worker_killed_without_kafka_takes_nothing_with_it(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """The other goes on answering for as long as Kafka is away, and the dead one's spool comes too."""
    service = Service(kafka.bootstrap, tmp_path / "data", ATALAIA_WORKERS="2")
    try:
        await service.ready()
        deadline = time.monotonic() + 60
        while (await service.metrics()).get(
            ("atalaia_model_info", "installed", "m", "1")
        ) != 2:  # or one worker gets all clients
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        load = Load(service)
        clients = [asyncio.create_task(load.client(which)) for which in range(CLIENTS)]
        await load.during(1)
        await asyncio.to_thread(kafka.kill)
        await service.until("atalaia_spool_rows", lambda rows: rows > 0)
        await load.during(3)
        children = (
            Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
        )
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        await load.during(45)  # longer than the new worker waits for Kafka, and than anybody looks for spools
        cut_off = [client for client in clients if client.done()]
        assert all(isinstance(client.exception(), httpx.TransportError) for client in cut_off)
        assert len(cut_off) < CLIENTS
        before = len(load.rows)
        await load.during(1)
        assert len(load.rows) > before, "answers go on"
        await asyncio.to_thread(kafka.start)
        await service.until("atalaia_spool_rows", lambda rows: rows == 0)
        load.stopped = True
        await asyncio.gather(*clients, return_exceptions=True)
        deadline = time.monotonic() + 90
        rows: dict[str, float] = {}
        while (
            not load.rows.items() <= rows.items()
        ):  # the dead one's are replayed by its successor, or by the other
            assert time.monotonic() < deadline
            rows, _ = await on_topic(service.settings)
        assert service.stop() == 0
    finally:
        service.process.kill()
    assert load.statuses.keys() == {200}
