"""A model that is served elsewhere: its rows by the published schema, and a profile, are all it takes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from contracts.codec import decode
from contracts.events import AlertChanged, PredictionsMade, WindowTested
from contracts.generate import SCHEMAS
from drift_monitor.domain.panes import Counter, Position, Record
from drift_monitor.domain.windows import Grid
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.topic_log import read_whole
from summaries.counts import pack
from summaries.profile import FieldSpec, Profile

PAGE = Path(__file__).parents[2] / "docs" / "served-elsewhere.md"
HOUR = 3_600_000


def blocks() -> list[str]:
    """The page's programs: what makes the profile, and what sends the rows."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def rows(n: int, shift: float, seed: int) -> dict[str, list[Any]]:
    """A pump's pressure and mode."""
    random = np.random.default_rng(seed)
    pressure: list[float | None] = np.round(random.normal(4 + shift, 1, n), 2).tolist()
    pressure[0] = None
    return {"pressure": pressure, "mode": random.choice(["idle", "run"], n).tolist()}


def run(program: str, given: Any, folder: Path, env: dict[str, str]) -> None:
    """A program of the page as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(given), cwd=folder, env=env, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


async def events(kafka: str, topic: str, kind: Any) -> list[Any]:
    """All events of a topic."""
    return [decode(kind, r.value) async for batch in read_whole(Settings(kafka=kafka), topic) for r in batch]


async def values(kafka: str, topic: str) -> list[bytes]:
    """All values of a topic."""
    return [r.value async for batch in read_whole(Settings(kafka=kafka), topic) for r in batch]


def test_the_producer_is_short_and_imports_nothing_of_ours() -> None:
    """Plain Python, aiokafka and some thirty lines."""
    _, producer = blocks()
    imported = set(re.findall(r"^(?:import|from) (\w+)", producer, re.MULTILINE))
    assert imported == {"asyncio", "json", "os", "sys", "uuid", "aiokafka"}
    assert len(producer.splitlines()) <= 33


def test_rows_count_by_their_features_alone() -> None:
    """A profile without outputs looks at no prediction; one with probabilities finds those that are left out missing."""
    n = 10
    spec = [FieldSpec("pressure", "float32", optional=True), FieldSpec("mode", "string")]
    scores = {"1": np.linspace(0, 1, n)}
    whole = Profile.build(rows(n, 0, 1), spec, [0, 1] * 5, scores, "y", [0, 1], "classification")
    event = PredictionsMade(
        batch_id="any text", model="pump", version="1", event_time=list(range(n)), features=rows(n, 0, 2),
        predictions=[0] * n,
    )  # fmt: skip
    for profile in (replace(whole, outputs=[]), whole):
        counter = Counter(Grid(0, 60, 60, 0))
        counter.take(0, 0, Position(), [])
        (pane,), refused = counter.absorb([Record(0, 0, event)], {("pump", "1"): profile})
        assert refused == []
        assert pane.rows == n
        assert set(pane.counts) == set(profile.monitored())
    missing = whole.monitored()["probability:1"].missing
    assert pane.counts["probability:1"] == pack(n * np.eye(missing + 1, dtype=np.int64)[missing])


@pytest.mark.kafka
def test_the_page_as_it_stands_gets_reports_and_an_alert(tmp_path: Path) -> None:
    """Profile and rows by the page's own programs: four windows tested, the drift alerted, nothing refused."""
    profile, producer = blocks()
    uri, port = f"sqlite:///{tmp_path / 'mlflow.db'}", free_port()
    with EmbeddedKafka() as broker:
        env = {
            **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_REGISTRY_URI": uri,  # MLflow's client leaves that of another test behind
            "ATALAIA_KAFKA": broker.bootstrap, "ATALAIA_MLFLOW": uri, "ATALAIA_MODEL": "pump",
            "ATALAIA_PARTITIONS": "3", "ATALAIA_DRIFT_MONITOR_PORT": str(port), "ATALAIA_DATA_DIR": str(tmp_path),
        }  # fmt: skip
        run(profile, rows(3000, 0, 1), tmp_path, env)
        monitor = subprocess.Popen([sys.executable, "-m", "drift_monitor"], cwd=tmp_path, env=env)
        try:
            sent = []
            for at, shift in enumerate([0, 0, 1.5, 1.5]):
                hour = rows(600, shift, 10 + at)
                sent += [
                    {"time": at * HOUR + i * 6000, **{name: column[i] for name, column in hour.items()}}
                    for i in range(600)
                ]
            _answer(port, "/api/v1.0/status", monitor)
            run(producer, sent, tmp_path, env)
            _until_counted(port, monitor, 4 * HOUR)
            for value in asyncio.run(values(broker.bootstrap, "predictions")):
                schema = json.loads((SCHEMAS / "predictions.json").read_text(encoding="utf-8"))
                jsonschema_rs.validate(schema, json.loads(value))
            reports = asyncio.run(events(broker.bootstrap, "drift-reports", WindowTested))
            assert [(r.window_end // HOUR, r.rows, r.status) for r in reports] == [
                (1, 600, "ok"), (2, 600, "ok"), (3, 600, "drift"), (4, 600, "drift"),
            ]  # fmt: skip
            assert all(set(r.features) == {"pressure", "mode"} for r in reports)
            assert reports[0].features["pressure"].missing == 1
            (alert,) = asyncio.run(events(broker.bootstrap, "drift-alerts", AlertChanged))
            assert (alert.model, alert.version, alert.state, alert.since) == ("pump", "1", "drift", 2 * HOUR)
            assert list(alert.features) == ["pressure"]
            assert asyncio.run(values(broker.bootstrap, "predictions.dlq")) == []
        finally:
            monitor.send_signal(signal.SIGTERM)
            monitor.wait(30)


def _answer(port: int, path: str, monitor: subprocess.Popen[bytes], body: bytes | None = None) -> Any:
    """What the monitor answers, within a minute and a half."""
    deadline = time.monotonic() + 90
    while True:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, 60) as a,
        ):
            return json.loads(a.read())
        assert monitor.poll() is None, "the monitor has ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _until_counted(port: int, monitor: subprocess.Popen[bytes], until: int) -> None:
    """All rows are counted, and all windows that end by ``until`` decided."""
    deadline = time.monotonic() + 90
    while (_answer(port, "/api/v1.0/status", monitor)["watermark"] or 0) < HOUR:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    status = _answer(port, "/api/v1.0/flush", monitor, json.dumps({"until": until + 300_000}).encode())
    assert status["decided_through"] == until
