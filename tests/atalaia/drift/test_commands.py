"""The real command line against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts.codec import decode
from contracts.events import AlertChanged, WindowTested
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topic_log import read_whole
from servicekit.topics import ensure_topics

pytestmark = pytest.mark.kafka
PARTITIONS = 2
HOUR = 3_600_000
WORKER = Path(__file__).parents[2] / "drift_monitor" / "worker.py"


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """One broker for the module."""
    with EmbeddedKafka() as kafka:
        yield kafka


def atalaia(kafka: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "atalaia.cli", "drift", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ATALAIA_KAFKA": kafka, "COLUMNS": "80", **env},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


async def put(broker: EmbeddedKafka, world: Any) -> None:
    """What the monitor would have published."""
    await ensure_topics(Settings(kafka=broker.bootstrap, partitions=PARTITIONS))
    producer = await make_producer(Settings(kafka=broker.bootstrap), "test")
    try:
        await publish(producer, "model-events", world.installed, source="test", key=world.model)
        for pane in world.panes:
            key = f"{pane.model}/{pane.version}/{pane.partition}/{pane.pane_start}"
            await publish(producer, "panes", pane, source="test", key=key)
        for alert in world.alerts:
            await publish(producer, "drift-alerts", alert, source="test", key=world.model)
        for report in world.reports:
            await publish(producer, "drift-reports", report, source="test", key=world.model)
    finally:
        await producer.stop()


def test_explain_lists_and_tells(broker: EmbeddedKafka, drifted: Any) -> None:
    """The list, one alert by the beginning of its id, and one line where there is none; with Kafka alone."""
    asyncio.run(put(broker, drifted))
    alert_id = drifted.alerts[0].alert_id
    listed = atalaia(broker.bootstrap, "explain")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert f"*  {alert_id[:8]}" in listed.stdout
    told = atalaia(broker.bootstrap, "explain", alert_id[:6])
    assert (told.returncode, told.stderr) == (0, "")
    assert "○ reference   ● live" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    ascii_only = atalaia(broker.bootstrap, "explain", alert_id[:6], PYTHONIOENCODING="ascii")
    assert (ascii_only.returncode, ascii_only.stderr) == (0, "")
    assert "o reference   x live" in ascii_only.stdout
    unknown = atalaia(broker.bootstrap, "explain", "zz")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith(f"atalaia: no alert zz; there are {alert_id[:8]} (m, open: drift)")
    assert unknown.stderr.count("\n") == 1


def test_no_broker_is_one_line() -> None:
    """Where nothing answers, the line says what to set."""
    told = atalaia(f"127.0.0.1:{free_port()}", "explain")
    assert told.returncode == 2
    assert told.stderr.startswith("atalaia: No Kafka broker answers at 127.0.0.1:")
    assert told.stderr.count("\n") == 1


def register(folder: Path, world: Any) -> str:
    """A registry in a file, with the world's profile; its address."""
    import mlflow

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("e", artifact_location=(folder / "artifacts").as_uri())
    run = client.create_run(experiment)
    client.log_dict(run.info.run_id, world.profile.to_dict(), "profile.json")
    client.create_registered_model(world.model)
    client.create_model_version(world.model, run.info.artifact_uri, run.info.run_id)
    return uri


def test_backtest_judges_what_is_on_the_broker(broker: EmbeddedKafka, drifted: Any, tmp_path: Path) -> None:
    """Panes from Kafka and a profile from the registry, under a file of thresholds; mistakes are one line."""
    asyncio.run(put(broker, drifted))
    uri = register(tmp_path, drifted)
    (tmp_path / "quiet.env").write_text("# larger effects only\nATALAIA_MIN_EFFECT=0.9\nATALAIA_MIN_GAIN=1\n")
    now = {"ATALAIA_MLFLOW": uri, "ATALAIA_MIN_EFFECT": "0.1", "ATALAIA_MIN_ROWS": "50"}
    told = atalaia(broker.bootstrap, "backtest", "--settings", str(tmp_path / "quiet.env"), **now)
    assert (told.returncode, told.stderr) == (0, "")
    assert "not thresholds, and not used: ATALAIA_MIN_GAIN" in told.stdout
    assert "otherwise than" not in told.stdout
    assert "4 of 10 windows differ (!)" in told.stdout
    other = atalaia(
        broker.bootstrap,
        "backtest",
        "--settings",
        str(tmp_path / "quiet.env"),
        ATALAIA_MLFLOW=uri,
        ATALAIA_MIN_ROWS="1000",
    )
    assert "own reports judge 10 windows otherwise than `before`" in " ".join(other.stdout.split())
    (tmp_path / "windows.env").write_text("ATALAIA_WINDOW_MS=60000\nATALAIA_MIN_EFFECT=0.9\n")
    away = f"http://127.0.0.1:{free_port()}"
    for arguments, env, line in (
        (["--settings", str(tmp_path / "windows.env")], now, "atalaia: ATALAIA_WINDOW_MS=60000 cannot be tried"),
        (["--settings", str(tmp_path / "none.env")], now, "atalaia: --settings "),
        (["--settings", str(tmp_path / "quiet.env"), "--model", "q"], now, "atalaia: no rows of q are counted; say"),
        (["--settings", str(tmp_path / "quiet.env")], {"ATALAIA_MLFLOW": away}, f"atalaia: the registry at {away}"),
    ):  # fmt: skip
        failed = atalaia(broker.bootstrap, "backtest", *arguments, **env)
        assert failed.returncode == 2
        assert failed.stderr.startswith(line), failed.stderr
        assert failed.stderr.count("\n") == 1


class Monitor:
    """The monitor as a process; ``with`` ends it."""

    def __init__(self, kafka: str, profiles: Path) -> None:
        self.port = free_port()
        env = {
            **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ATALAIA_KAFKA": kafka, "ATALAIA_MODEL": "live",
            "ATALAIA_PARTITIONS": str(PARTITIONS), "ATALAIA_GRACE_MS": "0", "ATALAIA_MIN_ROWS": "50",
            "ATALAIA_MIN_EFFECT": "0.1", "ATALAIA_DRIFT_MONITOR_PORT": str(self.port),
            "ATALAIA_DATA_DIR": str(profiles),
        }  # fmt: skip
        self.process = subprocess.Popen([sys.executable, str(WORKER), str(profiles)], env=env)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def flush(self, until: int) -> None:
        """Have all windows decided that end by then; waits for it to answer at all."""
        deadline = time.monotonic() + 90
        body = json.dumps({"until": until}).encode()
        while True:
            with contextlib.suppress(OSError):
                status = json.loads(
                    urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1.0/status").read()
                )
                if status["watermark"] is not None:
                    urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1.0/flush", body, 60).read()
                    return
            assert time.monotonic() < deadline
            time.sleep(0.1)


async def produce(kafka: str, batches: list[Any]) -> None:
    """Rows, as the predictor writes them."""
    producer = await make_producer(Settings(kafka=kafka), "test")
    try:
        for i, batch in enumerate(batches):
            await publish(
                producer, "predictions", batch, source="test", key=batch.batch_id, partition=i % PARTITIONS
            )
    finally:
        await producer.stop()


async def live(kafka: str, topic: str, kind: Any) -> list[Any]:
    """All of a topic that is of the model ``live``."""
    settings = Settings(kafka=kafka)
    found = [decode(kind, r.value) async for batch in read_whole(settings, topic) for r in batch]
    return [event for event in found if event.model == "live"]


@pytest.fixture
def another() -> Iterator[EmbeddedKafka]:
    """A broker whose panes are all of its own predictions: what others put says more than the log has."""
    with EmbeddedKafka() as kafka:
        yield kafka


def test_accept_closes_the_alert_of_a_running_monitor_for_good(
    another: EmbeddedKafka, world: Any, tmp_path: Path
) -> None:
    """The command publishes the span, the monitor judges by it, and one that is started anew still does."""
    kafka = another.bootstrap
    world.__class__.__init__(world, model="live")
    (tmp_path / "live-1.json").write_text(json.dumps(world.profile.to_dict()))
    for at, shift in enumerate([0, 0, 2, 2, 2, 2]):
        world.hour(at, shift)
    asyncio.run(ensure_topics(Settings(kafka=kafka, partitions=PARTITIONS)))
    with Monitor(kafka, tmp_path) as monitor:
        asyncio.run(produce(kafka, world.batches[:4]))
        monitor.flush(4 * HOUR)
        (opened,) = asyncio.run(live(kafka, "drift-alerts", AlertChanged))
        assert (opened.state, opened.since) == ("drift", 2 * HOUR)
        dry = atalaia(kafka, "accept", opened.alert_id[:8], "--reason", "a new terminal", "--dry-run")
        assert "--dry-run: nothing was published" in dry.stdout
        told = atalaia(kafka, "accept", opened.alert_id[:8], "--reason", "a new terminal")
        assert (told.returncode, told.stderr) == (0, "")
        assert "600 rows of live version 1" in told.stdout
        again = atalaia(kafka, "accept", opened.alert_id[:8], "--reason", "a new terminal")
        assert again.returncode == 2
        assert "was accepted already" in again.stderr
        asyncio.run(produce(kafka, world.batches[4:5]))
        monitor.flush(5 * HOUR)
    with Monitor(kafka, tmp_path) as monitor:
        asyncio.run(produce(kafka, world.batches[5:]))
        monitor.flush(6 * HOUR)
    alerts = asyncio.run(live(kafka, "drift-alerts", AlertChanged))
    assert [(a.state, a.alert_id, a.window_end) for a in alerts] == [
        ("drift", opened.alert_id, 3 * HOUR),
        ("ok", opened.alert_id, 5 * HOUR),
    ]
    assert alerts[1].reason == "drift -> ok: accepted, 600 rows are the reference, a new terminal"
    reports = asyncio.run(live(kafka, "drift-reports", WindowTested))
    assert [(r.window_end // HOUR, r.state, r.reference) for r in reports] == [
        (1, "ok", None), (2, "ok", None), (3, "drift", None), (4, "drift", None),
        (5, "ok", opened.alert_id), (6, "ok", opened.alert_id),
    ]  # fmt: skip
    shown = atalaia(kafka, "explain", opened.alert_id)
    assert "accepted, 600 rows are the reference, a new terminal" in " ".join(shown.stdout.split())
