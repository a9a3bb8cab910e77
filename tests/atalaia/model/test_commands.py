"""The real command line against a real broker and a registry in a file."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from contracts.codec import decode
from contracts.events import ChallengerChanged, ModelChanged, PredictionsMade
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topic_log import read_events, read_whole
from servicekit.topics import ensure_topics
from summaries.profile import FieldSpec, Profile

CONTENT = b"what a model is made of"


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """One broker for the module; its topics are for a test to make."""
    with EmbeddedKafka() as broker:
        yield broker.bootstrap


@pytest.fixture
def registry(tmp_path: Path) -> str:
    """Versions 1 and 2 of model m; its address."""
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    client.create_registered_model("m")
    profile = Profile.build(
        {"a": [1.0, 2.0]}, [FieldSpec("a", "float32")], predictions=[1.0, 2.0], probabilities=None, target="y",
        classes=None, task="regression",
    ).to_dict()  # fmt: skip
    for version in "12":
        folder = tmp_path / version
        folder.mkdir()
        (folder / "model.onnx").write_bytes(CONTENT)
        mlflow.models.Model().save(str(folder / "MLmodel"))
        run = client.create_run(experiment)
        client.log_dict(run.info.run_id, profile, "profile.json")
        client.create_model_version("m", folder.as_uri(), run.info.run_id)
    return uri


def atalaia(kafka: str, registry: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    env = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ATALAIA_KAFKA": kafka, "ATALAIA_MLFLOW": registry,
        "COLUMNS": "120",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "atalaia.cli", "model", *arguments],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that went well printed, as one line."""
    assert (done.returncode, done.stderr) == (0, "")
    return " ".join(done.stdout.split())


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that the user can mend."""
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


async def serve_first(kafka: str) -> None:
    """What a platform that has begun left on the topics."""
    await ensure_topics(Settings(kafka=kafka, partitions=1))
    event = ModelChanged(
        model="m", version="1", previous_version=None, action="installed", artifact_uri="", sha256="",
        effective_from=0, reason="the first",
    )  # fmt: skip
    producer = await make_producer(Settings(kafka=kafka), "test")
    try:
        await publish(producer, "model-events", event, source="test", key="m")
    finally:
        await producer.stop()


async def challengers(kafka: str) -> list[tuple[Any, bytes, ChallengerChanged]]:
    """All there are: ce_id, key, event."""
    return [
        (dict(r.headers)["ce_id"], r.key, decode(ChallengerChanged, r.value, r.headers))
        async for batch in read_whole(Settings(kafka=kafka), "challengers") for r in batch
    ]  # fmt: skip


@pytest.mark.kafka
def test_a_version_is_announced_and_stopped_and_the_status_says_it(kafka: str, registry: str) -> None:
    """From no topic at all to the end of a shadow: each command's words, and the records it leaves."""
    assert "no model serves by model-events" in said(atalaia(kafka, registry, "status"))
    assert "has no topic challengers: its predictor is older. Restart it first." in refused(
        atalaia(kafka, registry, "shadow", "2", "--model", "m")
    )
    asyncio.run(serve_first(kafka))
    assert "m version 1 serves, installed announced 20" in said(atalaia(kafka, registry, "status"))
    assert "UTC: the first no version shadows it" in said(atalaia(kafka, registry, "status", "--model", "m"))
    assert "the topics name no model q; they name m." in refused(
        atalaia(kafka, registry, "status", "--model", "q")
    )
    assert "version 1 of m serves: it cannot" in refused(atalaia(kafka, registry, "shadow", "1"))
    assert "has no version 7 of m: it has 1, 2." in refused(atalaia(kafka, registry, "shadow", "7"))
    assert "nothing to stop" in refused(atalaia(kafka, registry, "shadow", "--stop"))
    for arguments in (["shadow"], ["shadow", "2", "--stop"]):
        assert "say either a version that shadows, or --stop" in refused(atalaia(kafka, registry, *arguments))
    assert asyncio.run(challengers(kafka)) == []

    told = said(atalaia(kafka, registry, "shadow", "2", "--reason", "a deeper tree", "--by", "us"))
    assert "Version 2 of m is to shadow version 1" in told
    assert "shadows already" in refused(atalaia(kafka, registry, "shadow", "2"))
    assert "version 2 shadows it announced 20" in said(atalaia(kafka, registry, "status"))
    assert "UTC: a deeper tree (us)" in said(atalaia(kafka, registry, "status"))
    assert "No version of m shadows any more." in said(atalaia(kafka, registry, "shadow", "--stop"))
    assert "no version shadows it any more" in said(atalaia(kafka, registry, "status"))

    records = asyncio.run(challengers(kafka))
    assert [key for _, key, _ in records] == [b"m", b"m"]
    assert len({ce_id for ce_id, _, _ in records}) == 2
    begun, ended = (event for *_, event in records)
    assert (begun.version, begun.sha256) == ("2", hashlib.sha256(CONTENT).hexdigest())
    assert (begun.artifact_uri, begun.reason, begun.announced_by) == ("models:/m/2", "a deeper tree", "us")
    assert (ended.version, ended.sha256, ended.artifact_uri) == (None, "", "")
    assert ended.effective_from > begun.effective_from


@pytest.mark.kafka
def test_no_broker_and_no_registry_are_one_line_each(kafka: str) -> None:
    """Where nothing answers, the line says what to set; then nothing is announced."""
    away = f"127.0.0.1:{free_port()}"
    with ThreadPoolExecutor() as waiting:  # each waits for a broker, and none needs the other
        asked = [["status"], ["shadow", "2"], ["shadow", "--stop"]]
        for done in waiting.map(lambda arguments: atalaia(away, "", *arguments), asked):
            assert refused(done).startswith(
                f"atalaia: No Kafka broker answers at {away}. Start one there, or set ATALAIA_KAFKA"
            )
    line = refused(atalaia(kafka, f"http://{away}", "shadow", "2", "--model", "other"))
    assert line.startswith(f"atalaia: the registry at http://{away} (ATALAIA_MLFLOW) does not give ")
    asyncio.run(ensure_topics(Settings(kafka=kafka, partitions=1)))
    assert all(event.model != "other" for *_, event in asyncio.run(challengers(kafka)))


async def promote_second(kafka: str, now: int) -> None:
    """Version 2 of m serves after 1, and has scored rows up to ``now``."""
    event = ModelChanged(
        model="m", version="2", previous_version="1", action="promoted", artifact_uri="models:/m/2", sha256="",
        effective_from=1_000, reason="better",
    )  # fmt: skip
    rows = PredictionsMade(
        batch_id="0" * 32, model="m", version="2", event_time=[now - 9, now, now - 5],
        features={"a": [1.0, 2.0, 3.0]}, predictions=[0.0, 0.0, 0.0], probabilities=None,
    )  # fmt: skip
    producer = await make_producer(Settings(kafka=kafka), "test")
    try:
        await publish(producer, "model-events", event, source="test", key="m")
        await publish(producer, "predictions", rows, source="test", key=rows.batch_id)
    finally:
        await producer.stop()


@pytest.mark.kafka
def test_a_rollback_is_one_record_whoever_is_away(kafka: str, registry: str) -> None:
    """Back to 1 with the alias; forward to 2 again while no registry answers; what cannot be is one line."""
    from servicekit.registry import Registry

    asyncio.run(serve_first(kafka))
    asyncio.run(promote_second(kafka, 50_000))
    told = said(atalaia(kafka, registry, "rollback", "m", "--reason", "complaints"))
    assert "Version 1 of m is to serve in place of version 2, from event time 1970-01-01 00:00:50 on." in told
    assert "The registry's alias champion names it." in told
    assert Registry(registry).champion("m") == "1"
    assert "after a rollback from version 2: say" in refused(
        atalaia(kafka, registry, "rollback", "m", "--reason", "again")
    )
    away = f"http://127.0.0.1:{free_port()}"
    told = said(atalaia(kafka, away, "rollback", "m", "--to", "2", "--reason", "it was the weather"))
    assert (
        f"alias was not moved; a trainer that runs moves it once the registry answers: the registry at {away}"
        in told
    )
    assert "version 2 serves, rolled back" in said(atalaia(kafka, registry, "status", "--model", "m"))
    events = asyncio.run(read_events(Settings(kafka=kafka), "model-events", ModelChanged))
    first, second = events[-2:]
    assert (first.version, first.previous_version, first.action, first.effective_from) == (
        "1", "2", "rolled_back", 50_000,
    )  # fmt: skip
    assert (second.version, second.previous_version, second.effective_from) == ("2", "1", 50_001)
    assert (first.reason, second.reason) == ("complaints", "it was the weather")


@pytest.mark.kafka
def test_an_installation_is_one_record_that_follows_the_one_before(kafka: str, registry: str) -> None:
    """What CI has published serves after what served, with its alias; once more it is no second record."""
    from servicekit.registry import Registry

    asyncio.run(serve_first(kafka))
    told = said(atalaia(kafka, registry, "install", "m", "2", "--reason", "commit 1a2b"))
    assert "Version 2 of m is to serve in place of version 1" in told
    assert Registry(registry).champion("m") == "2"
    assert "Version 2 of m serves already." in said(
        atalaia(kafka, registry, "install", "m", "2", "--reason", "again")
    )
    assert "version 2 serves, installed" in said(atalaia(kafka, registry, "status", "--model", "m"))
    assert "say why, with --reason" in refused(atalaia(kafka, registry, "install", "m", "1", "--reason", " "))
    last = asyncio.run(read_events(Settings(kafka=kafka), "model-events", ModelChanged))[-1]
    assert (last.version, last.previous_version, last.action, last.reason) == (
        "2", "1", "installed", "commit 1a2b",
    )  # fmt: skip
