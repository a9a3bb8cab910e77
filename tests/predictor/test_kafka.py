"""The predictor as it is put together, on real Kafka; only the registry is a fake."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from contracts.codec import decode, encode, partition_of, prediction_id
from contracts.events import ModelChanged, PredictionsMade
from onnx import TensorProto, helper, numpy_helper
from predictor import bootstrap
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_consumer, make_producer, publish
from servicekit.registry import ModelBundle
from summaries.profile import FieldSpec, Profile

pytestmark = pytest.mark.kafka
ROW = {"rows": [{"a": 1.0}, {"a": 2}], "event_time": [10**12, 10**12 + 1000]}


def times(factor: float) -> bytes:
    """``factor`` times the only field."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["a", "factor"], ["y"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.float32([factor]), "factor")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


PROFILE = Profile.build(
    {"a": [1.0, 2.0]}, [FieldSpec("a", "float32")], predictions=[1.0, 2.0], probabilities=None, target="y",
    classes=None, task="regression",
).to_dict()  # fmt: skip


class Registry:
    """Version v multiplies by v; version 99 is broken. The alias is on version 1."""

    def __init__(self, _: str = "") -> None:
        pass

    def champion(self, model: str) -> str | None:
        """As the real one."""
        return "1"

    def bundle(self, model: str, version: str) -> ModelBundle:
        """As the real one."""
        content = b"broken" if version == "99" else times(float(version))
        return ModelBundle(model, version, content, hashlib.sha256(content).hexdigest(), "", PROFILE, [])


def changed(version: str, previous: str | None) -> ModelChanged:
    """The event that announces a version."""
    return ModelChanged(
        model="m", version=version, previous_version=previous, action="promoted", artifact_uri="",
        sha256=Registry().bundle("m", version).sha256, effective_from=0, reason="",
    )  # fmt: skip


async def until(fact: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Return once ``fact`` holds."""
    deadline = time.monotonic() + seconds
    while not await fact():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


class Running:
    """The service in this process, ended by SIGTERM as it would be."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.settings = Settings(
            kafka=kafka, model="m", predictor_port=free_port(), data_dir=folder, spool_after_ms=500
        )
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.settings.predictor_port}", timeout=60
        )
        self.task = asyncio.create_task(bootstrap.run(self.settings))

    async def get(self, path: str) -> Any:
        """The JSON of a path, None where nothing listens yet."""
        assert not self.task.done(), self.task.result()
        try:
            return (await self.client.get(path)).json()
        except httpx.TransportError:
            return None

    async def serves(self, version: str) -> None:
        """Wait until ``version`` serves."""

        async def fact() -> bool:
            return (await self.get("/api/v1.0/model") or {}).get("version") == version

        await until(fact)

    async def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(self.task, 30)
        await self.client.aclose()


@pytest.fixture(scope="module")
def kafka() -> Any:
    """One broker for the module."""
    with EmbeddedKafka() as broker:
        yield broker.bootstrap


@pytest.fixture
async def running(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """The service, started."""
    monkeypatch.setattr(bootstrap, "Registry", Registry)
    service = Running(kafka, tmp_path)
    yield service
    if not service.task.done():
        service.task.cancel()
        await asyncio.gather(service.task, return_exceptions=True)


async def test_answers_are_records_and_versions_change_under_load(running: Running, kafka: str) -> None:
    """Each answer is a record in the topic, of the version it names, while versions come, good and bad, and go."""
    await running.serves("1")  # by the registry's alias, since model-events is empty
    assert (await running.get("/health/ready"))["checks"] == {"log": True, "model": True}
    answers: list[dict[str, Any]] = []
    stop = False

    async def ask() -> None:
        while not stop:
            answer = await running.client.post("/api/v1.0/predict/batch", json=ROW)
            assert answer.status_code == 200
            answers.append(answer.json())

    clients = [asyncio.create_task(ask()) for _ in range(4)]
    producer = await make_producer(running.settings, "test")
    await producer.send_and_wait("model-events", b"nonsense", key=b"m")
    await publish(producer, "model-events", changed("2", "1"), source="test", key="m")
    await running.serves("2")

    async def answered(version: str) -> bool:
        return any(answer["version"] == version for answer in answers)

    await until(partial(answered, "2"))  # before the next comes, which may be at once
    await publish(producer, "model-events", changed("99", "2"), source="test", key="m")
    foreign = msgspec.structs.replace(changed("5", None), model="other")
    await publish(producer, "model-events", foreign, source="test", key="other")
    await publish(producer, "model-events", changed("3", "2"), source="test", key="m")
    await until(partial(answered, "3"))
    back = msgspec.structs.replace(changed("2", "3"), action="rolled_back")
    await publish(producer, "model-events", back, source="test", key="m")
    await running.serves("2")
    count = len(answers)

    async def more() -> bool:
        return len(answers) > count + 10

    await until(more)
    stop = True
    await asyncio.gather(*clients)
    await producer.stop()
    await running.stop()

    assert {a["version"] for a in answers} == {"1", "2", "3"}
    assert answers[-1]["version"] == "2"
    ids = {p["prediction_id"] for a in answers for p in a["predictions"]}
    by_id: dict[str, tuple[str, Any]] = {}
    consumer = make_consumer(running.settings, "predictions")
    await consumer.start()
    try:

        async def read() -> bool:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = decode(PredictionsMade, record.value, record.headers)
                    assert record.key == event.batch_id.encode()
                    assert record.partition == partition_of(event.batch_id, running.settings.partitions)
                    together = len(event.predictions) // 2  # requests that came together are one record
                    assert event.features == {"a": [1.0, 2] * together}
                    assert event.event_time == ROW["event_time"] * together
                    for i, value in enumerate(event.predictions):
                        by_id[prediction_id(event.batch_id, i)] = (event.version, value)
            return len(by_id) >= len(ids)

        await until(read)
    finally:
        await consumer.stop()
    assert by_id.keys() == ids
    for answer in answers:
        for row, prediction in enumerate(answer["predictions"]):
            expected = (answer["version"], (row + 1) * float(answer["version"]))
            assert by_id[prediction["prediction_id"]] == expected == (answer["version"], prediction["y"])


async def announce(kafka: str, event: ModelChanged, at: str) -> None:
    """Publish an event as if it had been published then."""
    producer = await make_producer(Settings(kafka=kafka), "test")
    value, headers = encode(event, source="test")
    dated = [(name, at.encode() if name == "ce_time" else said) for name, said in headers]
    await producer.send_and_wait("model-events", value, key=b"m", headers=dated)
    await producer.stop()


async def test_a_version_serves_since_its_event_not_since_a_start(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts later shows the moment at which the version was announced; one that serves and is announced anew, that."""
    monkeypatch.setattr(bootstrap, "Registry", Registry)
    await announce(kafka, changed("6", "2"), "2020-01-01T00:00:00Z")
    service = Running(kafka, tmp_path)
    await service.serves("6")
    shown = (await service.client.get("/metrics")).text
    assert 'atalaia_model_since_seconds{model="m"} 1.5778368e+09\n' in shown
    again = msgspec.structs.replace(changed("6", "7"), action="rolled_back")
    await announce(kafka, again, "2021-01-01T00:00:00Z")

    async def anew() -> bool:
        shown = (await service.client.get("/metrics")).text
        action = 'atalaia_model_info{action="rolled_back",model="m",version="6"} 1.0\n'
        return action in shown and 'atalaia_model_since_seconds{model="m"} 1.6094592e+09\n' in shown

    await until(anew)
    await service.stop()


async def test_a_version_that_no_event_names_serves_since_it_was_taken_up(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias's version, where the newest event's cannot serve, is not shown as serving since that event."""
    monkeypatch.setattr(bootstrap, "Registry", Registry)
    began = time.time()
    await announce(kafka, changed("99", None), "2020-01-01T00:00:00Z")
    service = Running(kafka, tmp_path)
    await service.serves("1")
    shown = (await service.client.get("/metrics")).text
    await service.stop()
    [since] = re.findall(r'^atalaia_model_since_seconds{model="m"} (.+)$', shown, re.MULTILINE)
    assert began - 1 <= float(since) <= time.time() + 1


async def test_after_a_restart_a_bad_newest_version_gives_way_to_the_one_before(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version before serves after a restart, when the newest event names a broken one; which was to serve is shown."""
    monkeypatch.setattr(bootstrap, "Registry", Registry)
    producer = await make_producer(Settings(kafka=kafka), "test")
    await publish(producer, "model-events", changed("99", "4"), source="test", key="m")
    await producer.stop()
    service = Running(kafka, tmp_path)
    await service.serves("4")
    shown = (await service.client.get("/metrics")).text
    assert re.findall("^atalaia_model(?:_wanted)?_info{.*}", shown, re.MULTILINE) == [
        'atalaia_model_info{action="promoted",model="m",version="4"}',
        'atalaia_model_wanted_info{model="m",version="99"}',
    ]
    await service.stop()
