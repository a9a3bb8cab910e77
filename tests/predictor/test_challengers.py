"""Who shadows: a version that could take the champion's place, until it does."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from contracts.codec import decode, partition_of, split_prediction_id
from contracts.events import ChallengerChanged, PredictionsMade
from onnx import TensorProto, helper, numpy_helper
from predictor import bootstrap
from predictor.consumes import challengers
from predictor.consumes.challengers import Shadow
from predictor.domain.model import Model
from predictor.domain.service import NoModel, Predictor
from predictor.loading import Result
from prometheus_client import REGISTRY
from scoring import Unusable
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_consumer, make_producer, publish
from servicekit.registry import ModelBundle
from servicekit.topic_log import read_whole
from servicekit.topics import ensure_topics
from summaries.profile import FieldSpec, Profile

PARTITIONS = 3


def times(factor: float, name: str = "a") -> bytes:
    """``factor`` times the only field."""
    graph = helper.make_graph(
        [helper.make_node("Mul", [name, "factor"], ["y"])], "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.float32([factor]), "factor")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def bundle(version: str, name: str = "a", target: str = "y") -> ModelBundle:
    """Version v of model m multiplies by v."""
    profile = Profile.build(
        {name: [1.0, 2.0]}, [FieldSpec(name, "float32")], predictions=[1.0, 2.0], probabilities=None,
        target=target, classes=None, task="regression",
    ).to_dict()  # fmt: skip
    content = times(float(version), name)
    return ModelBundle("m", version, content, hashlib.sha256(content).hexdigest(), "", profile, [])


def version(number: str, name: str = "a", target: str = "y") -> Model:
    """The same, loaded."""
    found = bundle(number, name, target)
    return Model("m", number, found.onnx, found.profile)


class Nowhere:
    """A log that keeps nothing."""

    def admit(self, size: int) -> None:
        """There is room."""

    def release(self, size: int) -> None:
        """There is more again."""

    async def publish(self, event: object) -> None:
        """Gone."""


@pytest.fixture
def predictor() -> Predictor:
    """Version 1 serves."""
    found = Predictor(Nowhere())
    found.swap(version("1"))
    return found


def test_a_challenger_shadows_until_it_is_stopped(predictor: Predictor) -> None:
    """It stands beside the version that serves, and None ends it."""
    challenger = version("2")
    predictor.shadow(challenger)
    assert (predictor.model.version, predictor.challenger) == ("1", challenger)
    predictor.shadow(None)
    assert predictor.challenger is None


def test_a_promoted_challenger_shadows_no_more(predictor: Predictor) -> None:
    """Another version's promotion changes nothing, its own ends the shadowing."""
    predictor.shadow(version("2"))
    predictor.swap(version("3"))
    assert predictor.challenger is not None
    predictor.swap(version("2"))
    assert predictor.challenger is None


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (version("2", name="b"), "not compatible with version 1: a is gone; b"),
        (version("2", target="z"), "the target was y and is z"),
        (version("1"), "it serves already"),
    ],
)
def test_what_could_not_take_its_place_does_not_shadow(predictor: Predictor, odd: Model, said: str) -> None:
    """Other fields, another target and the version that serves are refused; who shadows goes on."""
    before = version("4")
    predictor.shadow(before)
    with pytest.raises(Unusable, match=said):
        predictor.shadow(odd)
    assert predictor.challenger is before


def test_nobody_shadows_nobody() -> None:
    """Without a version that serves there is no traffic to score."""
    with pytest.raises(NoModel):
        Predictor(Nowhere()).shadow(version("2"))


class Registry:
    """Version v multiplies by v; 98 has another field, 99 is broken. The alias is on version 1."""

    def __init__(self, _: str = "") -> None:
        self.away = False
        self.asked: list[str] = []

    def champion(self, _: str) -> str:
        """As the real one."""
        return "1"

    def bundle(self, model: str, number: str) -> ModelBundle:
        """As the real one."""
        self.asked.append(number)
        if self.away:
            raise ConnectionError("no route")
        found = bundle(number, "b" if number == "98" else "a")
        if number == "99":
            broken = b"broken"
            return ModelBundle(
                model, number, broken, hashlib.sha256(broken).hexdigest(), "", found.profile, []
            )
        return found


def announced(number: str | None, model: str = "m", sha256: str = "") -> ChallengerChanged:
    """The event that announces a challenger."""
    return ChallengerChanged(
        model=model, version=number, artifact_uri="", sha256=sha256, effective_from=0, reason=""
    )


def counted(result: str) -> float:
    """How often it came to that, so far."""
    return REGISTRY.get_sample_value("atalaia_shadow_swaps_total", {"result": result}) or 0


def rows_published() -> float:
    """How many rows a challenger has scored, so far."""
    return REGISTRY.get_sample_value("atalaia_shadow_rows_total", {"result": "published"}) or 0


@pytest.mark.parametrize("bad", [announced("98"), announced("99"), announced("2", sha256="0" * 64)])
async def test_a_challenger_that_will_never_do_is_refused_once(
    predictor: Predictor, bad: ChallengerChanged
) -> None:
    """Other fields, broken bytes, another checksum: counted, nobody shadows, and it is not asked for again."""
    registry = Registry()
    shadow = Shadow(predictor, registry.bundle)
    shadow.announced = announced("3")
    assert await shadow.settle() is Result.TAKEN_UP
    before = counted("refused")
    shadow.announced = bad
    assert await shadow.settle() is Result.REFUSED
    assert await shadow.settle() is None
    assert counted("refused") == before + 1
    assert registry.asked == ["3", bad.version]
    assert (predictor.model.version, predictor.challenger) == ("1", None)


async def test_a_registry_that_is_away_is_asked_again(predictor: Predictor) -> None:
    """What the registry did not give is no refusal: the next attempt may load it."""
    registry = Registry()
    registry.away = True
    shadow = Shadow(predictor, registry.bundle)
    shadow.announced = announced("2")
    before = counted("unreachable")
    assert await shadow.settle() is Result.UNREACHABLE
    assert counted("unreachable") == before + 1
    registry.away = False
    assert await shadow.settle() is Result.TAKEN_UP
    assert await shadow.settle() is None
    assert predictor.challenger is not None


async def test_before_a_version_serves_nobody_shadows() -> None:
    """A challenger waits for the version that serves, and is not asked for before."""
    registry, waiting = Registry(), Predictor(Nowhere())
    shadow = Shadow(waiting, registry.bundle)
    shadow.announced = announced("2")
    assert await shadow.settle() is None
    assert registry.asked == []
    waiting.swap(version("1"))
    assert await shadow.settle() is Result.TAKEN_UP


async def test_the_version_that_serves_does_not_shadow(predictor: Predictor) -> None:
    """Promoted, it ends; rolled back while it is still announced, it shadows again, as it would after a restart."""
    registry = Registry()
    shadow = Shadow(predictor, registry.bundle)
    shadow.announced = announced("2")
    assert await shadow.settle() is Result.TAKEN_UP
    ended = counted("ended")
    predictor.swap(version("2"))
    assert await shadow.settle() is None
    assert await shadow.settle() is None
    assert (counted("ended"), registry.asked) == (ended + 1, ["2"])
    assert predictor.challenger is None
    predictor.swap(version("1"))
    assert await shadow.settle() is Result.TAKEN_UP
    for number in ("2", "1"):  # both before anybody looks
        predictor.swap(version(number))
    assert await shadow.settle() is Result.TAKEN_UP
    assert predictor.challenger is not None
    assert registry.asked == ["2"]  # the version that served before is at hand


async def test_promoted_while_it_loads_it_is_no_refusal(predictor: Predictor) -> None:
    """A version that comes to serve before it is loaded as challenger is neither refused nor shadows."""

    def promoting(model: str, number: str) -> ModelBundle:
        predictor.swap(version(number))
        return Registry().bundle(model, number)

    shadow = Shadow(predictor, promoting)
    shadow.announced = announced("2")
    before = counted("refused")
    assert await shadow.settle() is None
    assert (counted("refused"), predictor.challenger) == (before, None)


async def until(fact: Callable[[], bool], seconds: float = 60) -> None:
    """Return once ``fact`` holds."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_what_goes_wrong_with_the_topic_is_tried_again(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that follows from the topic itself does not end the task, so it does not end the service."""
    tried = []

    async def fail(*_: object) -> None:
        tried.append(1)
        raise RuntimeError("whatever")

    monkeypatch.setattr(challengers, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(challengers, "_follow", fail)
    following = asyncio.create_task(challengers.follow(Settings(), predictor, Registry().bundle))
    await until(lambda: len(tried) > 2 or following.done())
    assert not following.done()
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """One broker with its topics, for the module."""
    with EmbeddedKafka() as broker:
        asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap, partitions=PARTITIONS)))
        yield broker.bootstrap


@pytest.fixture
async def announce(kafka: str) -> AsyncIterator[Any]:
    """Publishes an announcement."""
    producer = await make_producer(Settings(kafka=kafka), "test")

    async def send(event: ChallengerChanged | bytes) -> None:
        if isinstance(event, bytes):
            await producer.send_and_wait("challengers", event, key=b"m")
        else:
            await publish(producer, "challengers", event, source="test", key=event.model)

    yield send
    await producer.stop()


@pytest.mark.kafka
async def test_the_topic_says_who_shadows(
    predictor: Predictor, kafka: str, announce: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start the newest counts, then each: taken up, refused, promoted, replaced and stopped."""
    monkeypatch.setattr(challengers, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(challengers, "make_consumer", partial(make_consumer, max_poll_records=1))
    registry = Registry()
    registry.away = True
    for each in (announced("9"), announced("2"), announced("5", model="other"), b"nonsense"):
        await announce(each)
    unreachable, refused = counted("unreachable"), counted("refused")
    following = asyncio.create_task(
        challengers.follow(Settings(kafka=kafka, model="m"), predictor, registry.bundle)
    )

    def shadows(number: str | None) -> Callable[[], bool]:
        return lambda: (predictor.challenger.version if predictor.challenger else None) == number

    try:
        await until(lambda: counted("unreachable") > unreachable + 1)
        registry.away = False
        await until(shadows("2"))
        assert set(registry.asked) == {"2"}
        await announce(announced("99"))
        await until(lambda: counted("refused") == refused + 1)
        assert (predictor.model.version, predictor.challenger) == ("1", None)
        await announce(announced("3"))
        await until(shadows("3"))
        predictor.swap(version("3"))
        assert predictor.challenger is None
        await announce(announced("4"))
        await until(shadows("4"))
        await announce(announced(None))
        await until(shadows(None))
        assert predictor.model.version == "3"
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def events(kafka: str, topic: str) -> dict[str, tuple[Any, PredictionsMade]]:
    """All records of a topic, with their events, by batch."""
    found = {}
    async for batch in read_whole(Settings(kafka=kafka), topic):
        for record in batch:
            event = decode(PredictionsMade, record.value, record.headers)
            assert event.batch_id not in found
            found[event.batch_id] = record, event
    return found


@pytest.mark.kafka
async def test_the_challenger_scores_what_was_answered(
    kafka: str, announce: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The service as it is put together: each answer comes from the champion, each batch is the challenger's as well.

    Under the same id, key and partition, of the same rows; until it is stopped.
    """
    monkeypatch.setattr(bootstrap, "Registry", Registry)
    await announce(announced("2"))
    taken_up, ended = counted("taken up"), counted("ended")
    settings = Settings(
        kafka=kafka, model="m", predictor_port=free_port(), partitions=PARTITIONS, data_dir=tmp_path
    )
    task = asyncio.create_task(bootstrap.run(settings))
    answers, before = [], rows_published()
    try:
        await until(lambda: counted("taken up") == taken_up + 1 or task.done())
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{settings.predictor_port}",
            transport=httpx.AsyncHTTPTransport(retries=6),  # it may not listen yet
        ) as client:

            async def ask(value: float) -> None:
                answer = await client.post("/api/v1.0/predict/", json={"features": {"a": value}})
                assert answer.status_code == 200
                answers.append((value, answer.json()))

            for i in range(5):
                await asyncio.gather(*(ask(float(10 * i + j)) for j in range(4)))
            await until(lambda: rows_published() == before + 20)
            assert (
                f'atalaia_shadow_swaps_total{{result="taken up"}} {taken_up + 1}'
                in (await client.get("/metrics")).text
            )
            await announce(announced(None))
            await until(lambda: counted("ended") == ended + 1)
            await ask(99.0)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 30)
    seen, unseen = await events(kafka, "predictions"), await events(kafka, "shadow-predictions")
    for value, answer in answers:
        batch, row = split_prediction_id(answer["prediction_id"])
        record, event = seen[batch]
        assert (answer["version"], answer["y"], event.predictions[row]) == ("1", value, value)
        if value == 99.0:
            assert batch not in unseen
            continue
        shadowed, same = unseen[batch]
        assert shadowed.key == record.key == batch.encode()
        assert shadowed.partition == record.partition == partition_of(batch, PARTITIONS)
        assert dict(shadowed.headers)["ce_id"] != dict(record.headers)["ce_id"]
        assert (same.version, same.features, same.event_time) == ("2", event.features, event.event_time)
        assert same.predictions == [2 * each for each in event.features["a"]]
