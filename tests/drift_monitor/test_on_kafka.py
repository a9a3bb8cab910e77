"""The monitor on a real broker: it reports what scipy says of the rows, whatever happens to the worker."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from contracts.codec import decode, partition_of
from contracts.events import (
    AlertChanged,
    ConceptTested,
    ModelChanged,
    OutcomesJoined,
    PredictionsMade,
    QualityReported,
    WindowTested,
)
from scipy.stats import chi2_contingency, ks_2samp
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topics import ensure_topics
from summaries.profile import FieldSpec, Profile

pytestmark = pytest.mark.kafka
PARTITIONS = 3
WINDOW = 1000


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """One broker for the module."""
    with EmbeddedKafka() as kafka:
        yield kafka


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
        """The reference as a registry would give it."""
        schema = [FieldSpec("x", "float32"), FieldSpec("place", "string")]
        predictions = (np.array(self.reference["x"]) > 0).astype(int).tolist()
        return Profile.build(
            self.reference, schema, predictions, None, "y", [0, 1], "classification"
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
    broker: EmbeddedKafka, world: World, model: str, folder: Path
) -> tuple[AIOKafkaProducer, Worker]:
    """Topics, a producer, an installed model and a worker."""
    await ensure_topics(broker.bootstrap, PARTITIONS)
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
    await worker.start()
    return producer, worker


async def send(producer: AIOKafkaProducer, batch: PredictionsMade) -> None:
    """As the predictor does."""
    partition = partition_of(batch.batch_id, PARTITIONS)
    await publish(producer, "predictions", batch, source="test", key=batch.batch_id, partition=partition)


def check(world: World, report: WindowTested) -> None:
    """A report says what scipy says."""
    rows = world.in_window(report.window_start // WINDOW)
    assert report.rows == len(rows["x"])
    assert report.late_rows == 0
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


async def test_reports_equal_scipy_and_an_alert_comes_before_the_report_that_names_it(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    """Predictions on Kafka become one exact report a window, an alert at the drift, and a flush ends it."""
    world = World(1)
    producer, worker = await start(broker, world, "exact", tmp_path)
    try:
        for window in range(4):
            for _ in range(30):
                await send(producer, world.batch("exact", window, 4, shift=1.0 if window >= 2 else 0.0))
        await producer.send_and_wait("predictions", b"{not json", partition=1)
        await worker.until_decided(3 * WINDOW)
        status = await worker.get("/api/v1.0/flush", {"until": 4 * WINDOW})
        assert status["decided_through"] == 4 * WINDOW
        assert status["state"] == "drift"
        reports = await read_all(broker, "drift-reports", WindowTested, "exact")
        assert [report.window_start for report in reports] == [0, 1000, 2000, 3000]
        for report in reports:
            check(world, report)
        assert [report.features["x"].drifted for report in reports] == [False, False, True, True]
        assert reports[2].features["x"].shape is not None
        assert reports[2].features["place"].shape is None
        (alert,) = await read_all(broker, "drift-alerts", AlertChanged, "exact")
        assert (alert.state, alert.since, alert.alert_id) == ("drift", 2000, reports[2].alert_id)
        assert [report.alert_id for report in reports] == [None, None, alert.alert_id, alert.alert_id]
        assert "x" in alert.features
        assert await worker.end(signal.SIGTERM) == 0
    finally:
        await producer.stop()
        if worker.process and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def test_a_version_without_a_profile_is_named_until_it_is_there(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    """Its records are held, readiness and status say so; once the profile is there they are counted."""
    world = World(3)
    producer, worker = await start(broker, world, "held", tmp_path)
    profile = tmp_path / "held-1.json"
    content = profile.read_text()
    profile.unlink()
    try:
        for window in range(2):
            for _ in range(20):
                await send(producer, world.batch("held", window, 4, shift=0.0))
        deadline = time.monotonic() + 90
        while not (status := await worker.status()).get("missing_profiles"):
            assert time.monotonic() < deadline, f"still {status}"
            await asyncio.sleep(0.05)
        (missing,) = status["missing_profiles"]
        assert (missing["model"], missing["version"], missing["unusable"]) == ("held", "1", False)
        assert "held-1.json" in missing["reason"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            await worker.get("/health/ready")
        assert caught.value.code == 503
        assert json.loads(caught.value.read())["checks"]["profiles"] is False
        profile.write_text(content)
        await worker.until_decided(WINDOW)
        assert (await worker.get("/health/ready"))["checks"]["profiles"] is True
        status = await worker.get("/api/v1.0/flush", {"until": 2 * WINDOW})
        assert status["missing_profiles"] == []
        assert await worker.end(signal.SIGTERM) == 0
    finally:
        await producer.stop()
        if worker.process and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def test_a_worker_of_another_window_size_does_not_start(broker: EmbeddedKafka, tmp_path: Path) -> None:
    """It ends with one line that names the setting, and adds nothing to windows it does not know."""
    world = World(4)
    producer, worker = await start(broker, world, "size", tmp_path)
    try:
        for window in range(2):
            for _ in range(20):
                await send(producer, world.batch("size", window, 4, shift=0.0))
        await worker.until_decided(WINDOW)
        await worker.get("/api/v1.0/flush", {"until": 2 * WINDOW})
        assert await worker.end(signal.SIGTERM) == 0
        worker.env["ATALAIA_WINDOW_MS"] = "500"
        await worker.start(stderr=asyncio.subprocess.PIPE)
        assert worker.process is not None
        _, said = await asyncio.wait_for(worker.process.communicate(), 90)
        assert worker.process.returncode == 2
        assert b"\nATALAIA_WINDOW_MS: the log has windows of 1000 ms, set is 500 ms" in b"\n" + said
        assert len(await read_all(broker, "drift-reports", WindowTested, "size")) == 2
    finally:
        await producer.stop()
        if worker.process and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def test_a_rise_of_the_error_is_found_once_whatever_happens_to_the_worker(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    """Inputs stay as they are, labels turn: a real alert, a report a boundary, the same over a kill -9."""
    world, model = World(6), "concept"
    producer, worker = await start(broker, world, model, tmp_path)
    try:
        for window in range(5):
            for _ in range(20):
                batch = world.batch(model, window, 10, shift=0.0)
                await send(producer, batch)
                n = len(batch.event_time)
                share = np.where(np.array(batch.event_time) < 2500, 0.05, 0.5)
                wrong = world.random.random(n) < share
                joined = OutcomesJoined(
                    model=model,
                    version="1",
                    prediction_id=[f"{batch.batch_id}.{i}" for i in range(n)],
                    event_time=batch.event_time,
                    label_time=[t + 50 for t in batch.event_time],
                    features=batch.features,
                    predictions=batch.predictions,
                    probabilities=None,
                    truth=[p ^ int(w) for p, w in zip(batch.predictions, wrong.tolist(), strict=True)],
                    corrected_from=[None] * n,
                    revision=[0] * n,
                )
                partition = partition_of(batch.batch_id, PARTITIONS)
                await publish(producer, "outcomes", joined, source="test", partition=partition)
            end = (window + 1) * WINDOW
            word = QualityReported(
                model=model, version="1", window_start=end - WINDOW, window_end=end, as_of=end, revision=0,
                final=False, predicted=200, labelled=190, coverage=0.95, label_delay_mean=50.0, metrics={},
                confusion=None,
            )  # fmt: skip
            await publish(producer, "quality-reports", word, source="test", key=model)
            if window == 3:
                await worker.until_decided(3 * WINDOW)
                await worker.end(signal.SIGKILL)
                await worker.start()
        await worker.until_decided(4 * WINDOW)
        await worker.get("/api/v1.0/flush", {"until": 5 * WINDOW})
        deadline = time.monotonic() + 90
        while (status := (await worker.status())["concept"])["decided_through"] != 5 * WINDOW:
            assert time.monotonic() < deadline, f"still {status}"
            await asyncio.sleep(0.05)
        reports = await read_all(broker, "concept-reports", ConceptTested, model)
        assert [report.as_of for report in reports] == [WINDOW * (i + 1) for i in range(5)]
        alerts = [a for a in await read_all(broker, "drift-alerts", AlertChanged, model) if a.kind == "real"]
        assert len({a.alert_id for a in alerts}) == 1
        assert [report.alert_id for report in reports] == [
            None,
            None,
            alerts[0].alert_id,
            *[alerts[0].alert_id] * 2,
        ]
        assert abs(alerts[0].since - 2500) <= 150
        assert set(alerts[0].offsets) <= {"0", "1", "2"}
        assert status["alert_id"] == alerts[0].alert_id
        tested = await read_all(broker, "drift-reports", WindowTested, model)
        assert all(report.concept for report in tested if report.serving)
        assert not [
            a for a in await read_all(broker, "drift-alerts", AlertChanged, model) if a.kind == "virtual"
        ]
        assert await worker.end(signal.SIGTERM) == 0
    finally:
        await producer.stop()
        if worker.process and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def test_a_binary_detector_on_a_regression_is_one_clear_line(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    """It names the setting and what can be used instead, and ends the monitor with 2."""
    world, model = World(7), "regression"
    producer, worker = await start(broker, world, model, tmp_path)
    try:
        await worker.end(signal.SIGKILL)
        profile = world.profile() | {"task": "regression"}
        (tmp_path / f"{model}-1.json").write_text(json.dumps(profile))
        for window in range(2):
            await send(producer, world.batch(model, window, 2, shift=0.0))
        word = QualityReported(
            model=model, version="1", window_start=0, window_end=WINDOW, as_of=WINDOW, revision=0, final=False,
            predicted=2, labelled=0, coverage=0.0, label_delay_mean=None, metrics={}, confusion=None,
        )  # fmt: skip
        await publish(producer, "quality-reports", word, source="test", key=model)
        worker.env["ATALAIA_CONCEPT_DETECTOR"] = "ddm"
        await worker.start(stderr=asyncio.subprocess.PIPE)
        assert worker.process is not None
        _, said = await asyncio.wait_for(worker.process.communicate(), 90)
        assert worker.process.returncode == 2
        assert b"ATALAIA_CONCEPT_DETECTOR: ddm judges right and wrong only" in said
    finally:
        await producer.stop()
        if worker.process and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def test_a_killed_worker_changes_no_count(broker: EmbeddedKafka, tmp_path: Path) -> None:
    """A worker killed -9 three times within windows ends with the counts of one pass over the log."""
    world = World(2)
    producer, worker = await start(broker, world, "killed", tmp_path)
    try:
        for window in range(8):
            for i in range(60):
                await send(producer, world.batch("killed", window, 3, shift=0.0))
                if window in (1, 3, 5) and i == 30:
                    await worker.until_decided(window * WINDOW)
                    await worker.end(signal.SIGKILL)
                    await worker.start()
        await worker.until_decided(7 * WINDOW)
        await worker.get("/api/v1.0/flush", {"until": 8 * WINDOW})
        reports = await read_all(broker, "drift-reports", WindowTested, "killed")
        assert [report.window_start // WINDOW for report in reports] == list(range(8))
        for report in reports:
            check(world, report)
    finally:
        await producer.stop()
        if worker.process and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)
