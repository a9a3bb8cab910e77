"""The real command line against a real broker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topics import ensure_topics

pytestmark = pytest.mark.kafka
PARTITIONS = 2


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
    await ensure_topics(broker.bootstrap, PARTITIONS)
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
