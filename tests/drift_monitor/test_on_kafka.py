"""The monitor on a real broker: it reports what scipy says of the rows, whatever happens to the worker."""

import asyncio
import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from contracts.codec import partition_of
from contracts.events import (
    AlertChanged,
    ConceptTested,
    OutcomesJoined,
    QualityReported,
    WindowTested,
)
from monitor_on_kafka import PARTITIONS, WINDOW, World, check, read_all, send, start
from servicekit.broker import EmbeddedKafka
from servicekit.kafka import publish
from summaries.intervals import wilson

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """One broker for the module."""
    with EmbeddedKafka() as kafka:
        yield kafka


async def lag_of(port: int, expected: Callable[[float], bool]) -> None:
    """Return when the worker's lag is as expected, within a minute."""

    def ask() -> float | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", None, 30) as answer:
            found = re.search(rb'atalaia_consumer_lag_records{topic="predictions"} (\S+)', answer.read())
        return float(found[1]) if found else None

    deadline = time.monotonic() + 60
    while (lag := await asyncio.to_thread(ask)) is None or not expected(lag):
        assert time.monotonic() < deadline, f"still {lag}"
        await asyncio.sleep(0.05)


async def shows(port: int, wanted: dict[str, float]) -> None:
    """Return when a worker's metrics say this, within a minute."""

    def ask() -> dict[str, float]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", None, 30) as answer:
                found = re.findall(r"^(\w+{.*?}) (\S+)$", answer.read().decode(), re.MULTILINE)
        except OSError:  # not up yet
            return {}
        return {series: float(value) for series, value in found if series in wanted}

    deadline = time.monotonic() + 60
    while (said := await asyncio.to_thread(ask)) != wanted:
        assert time.monotonic() < deadline, f"still {said}"
        await asyncio.sleep(0.05)


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
        shown = {
            'atalaia_drift_state{kind="virtual",model="exact"}': 2,
            'atalaia_drift_state{kind="quality",model="exact"}': 0,
            'atalaia_alert_since_seconds{kind="virtual",model="exact"}': 2,
            'atalaia_window_end_seconds{model="exact"}': 4,
        }
        await shows(worker.port, shown)
        assert await worker.end(signal.SIGTERM) == 0
        await worker.start()  # it shows where it stands, before another window is over
        await shows(worker.port, shown)
        assert await worker.end(signal.SIGTERM) == 0
    finally:
        await producer.stop()
        if worker.process and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def test_a_version_without_a_profile_is_named_until_it_is_there(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    """Its records are held, readiness, status and lag say so; once the profile is there they are counted."""
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
        await lag_of(worker.port, lambda records: records > 0)
        profile.write_text(content)
        await worker.until_decided(WINDOW)
        assert (await worker.get("/health/ready"))["checks"]["profiles"] is True
        status = await worker.get("/api/v1.0/flush", {"until": 2 * WINDOW})
        assert status["missing_profiles"] == []
        await lag_of(worker.port, lambda records: records == 0)
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
    """Inputs stay as they are, labels turn: a real alert and one of quality, a report a boundary, over a kill -9 too."""
    world, model = World(6), "concept"
    producer, worker = await start(broker, world, model, tmp_path, ATALAIA_QUALITY_DROP="0.1")
    try:
        for window in range(5):
            right = 0
            for _ in range(20):
                batch = world.batch(model, window, 10, shift=0.0)
                await send(producer, batch)
                n = len(batch.event_time)
                share = np.where(np.array(batch.event_time) < 2500, 0.05, 0.5)
                wrong = world.random.random(n) < share
                right += int((~wrong).sum())
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
                final=False, predicted=200, labelled=190, coverage=0.95, label_delay_mean=50.0,
                metrics={"accuracy": right / 200}, confusion=None, intervals={"accuracy": wilson(right, 200)},
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
        changes = await read_all(broker, "drift-alerts", AlertChanged, model)
        # killed after its alert and before its report, a worker says both again
        [worse] = {a.alert_id: a for a in changes if a.kind == "quality"}.values()
        assert (worse.state, worse.since, worse.window_end) == ("drift", 2 * WINDOW, 3 * WINDOW)
        assert [report.quality_alert_id for report in reports] == [None, None, *[worse.alert_id] * 3]
        assert {report.quality_state for report in reports[2:]} == {"drift"}
        assert status["quality_alert_id"] == worse.alert_id
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
