"""``atalaia train`` on a real broker: the request is on the topic, and its decision comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import msgspec
import pytest
from atalaia.train import answer
from contracts.events import Event, ModelChanged, TrainingDecided, TrainingRequested
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, publish
from servicekit.topic_log import read_events
from servicekit.topics import ensure_topics


def atalaia(kafka: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ATALAIA_KAFKA": kafka, "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "atalaia.cli", "train", *arguments],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


async def tell(kafka: str, topic: str, event: Event) -> None:
    """Put an event on a topic."""
    producer = await make_producer(Settings(kafka=kafka), "test")
    try:
        await publish(producer, topic, event, source="test", key="m")
    finally:
        await producer.stop()


def decided(request: str, decision: str, reason: str) -> TrainingDecided:
    """A decision about a request."""
    return TrainingDecided(
        run_id="r", model="m", alert_id=request, as_of=1, decision=decision, reason=reason, since=0, until=1,  # type: ignore[arg-type]
        rows={}, champion_version="1", challenger_version="2", metrics={}, gain=None, p_value=None, mlflow_run_id=None,
        dvc_revision=None, data_sha256=None, trigger="manual",
    )  # fmt: skip


@pytest.mark.kafka
def test_a_training_is_asked_for_and_its_decision_comes_back() -> None:
    """Who asks gets an id, the topic holds the request, and who waits is told how it ended or how it stands."""
    with EmbeddedKafka() as broker:
        kafka = broker.bootstrap
        settings = Settings(kafka=kafka)
        asyncio.run(ensure_topics(Settings(kafka=kafka, partitions=1)))
        installed = ModelChanged(
            model="m", version="1", previous_version=None, action="installed", artifact_uri="", sha256="",
            effective_from=0, reason="",
        )  # fmt: skip
        asyncio.run(tell(kafka, "model-events", installed))
        done = atalaia(kafka, "--reason", "new sensors", "--by", "us", "--since", "5")
        assert (done.returncode, done.stderr) == (0, "")
        (asked,) = asyncio.run(read_events(settings, "training-requests", TrainingRequested))
        assert (asked.model, asked.since, asked.reason, asked.requested_by) == ("m", 5, "new sensors", "us")
        assert f"request {asked.request_id}" in done.stdout

        asyncio.run(tell(kafka, "training-runs", decided(asked.request_id, "waiting", "waiting: 3 of 200")))
        with pytest.raises(UserError, match="not decided after 0 s: waiting: 3 of 200"):
            asyncio.run(answer(settings, asked, 0))
        asyncio.run(tell(kafka, "training-runs", decided(asked.request_id, "refused", "not better")))
        assert asyncio.run(answer(settings, asked, 5)).decision == "refused"


@pytest.mark.kafka
def test_who_waits_is_told_when_it_comes_whatever_else_the_run_answers() -> None:
    """The topic is followed: a run that an alert began, and that waits for a person first, is the answer when it ends."""
    request = TrainingRequested(request_id="mine", model="m", since=None, reason="")
    others = msgspec.structs.replace(
        decided("A", "waiting", "of approval"), answers=["A", "mine"], waits_for="approval"
    )

    async def run(kafka: str) -> TrainingDecided:
        await ensure_topics(Settings(kafka=kafka, partitions=1))
        waits = asyncio.create_task(answer(Settings(kafka=kafka), request, 60))
        await tell(kafka, "training-runs", others)
        await tell(kafka, "training-runs", decided("another", "failed", "not ours"))
        assert not waits.done()
        await tell(
            kafka, "training-runs", msgspec.structs.replace(others, decision="promoted", waits_for=None)
        )
        return await waits

    with EmbeddedKafka() as broker:
        assert asyncio.run(run(broker.bootstrap)).decision == "promoted"
        with pytest.raises(UserError, match="nothing is said yet"):
            asyncio.run(
                answer(
                    Settings(kafka=broker.bootstrap), msgspec.structs.replace(request, request_id="x"), 0.5
                )
            )
