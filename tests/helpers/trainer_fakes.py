"""The trainer's loop on hand-written fakes of Kafka, the registry and the pipeline, with real ONNX models.

The fixture ``world`` of tests/trainer/conftest.py is one that has begun.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
import onnx
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from contracts.codec import encode
from contracts.events import (
    AlertChanged,
    ChallengerChanged,
    ConceptTested,
    Event,
    ModelChanged,
    OutcomesJoined,
    PromotionReviewed,
    QualityReported,
    ReferenceAccepted,
    TrainingDecided,
    TrainingRequested,
    WindowTested,
)
from onnx import TensorProto, helper, numpy_helper
from servicekit.config import Settings
from servicekit.dead_letters import DeadLetters
from servicekit.errors import UserError
from servicekit.kafka import to_dlq
from servicekit.registry import ModelBundle
from summaries.profile import FieldSpec, Profile
from trainer.domain.history import run_id
from trainer.domain.knowledge import Knowledge
from trainer.domain.selection import Selection
from trainer.loop import Loop
from trainer.pipeline import Begun, Trained
from trainer.reading import PASSED_OVER, TAKES

STEP, ROWS = 1_000, 120
FIELDS = [FieldSpec("x", "float32")]


def threshold(at: float, classes: int = 2) -> bytes:
    """P(1) = sigmoid(9 * (x - at)), and as many classes more as asked for, each as likely as 0."""
    names = ["q", "p", *["q"] * (classes - 2)]
    nodes = [
        helper.make_node("Sub", ["x", "at"], ["moved"]),
        helper.make_node("Mul", ["moved", "slope"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", names, ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    constants = {"at": at, "slope": 9.0, "one": 1.0}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes]),
        ],
        [numpy_helper.from_array(np.float32([v]), k) for k, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def profile(fields: list[FieldSpec] = FIELDS, target: str = "y") -> dict[str, Any]:
    """A profile of three reference rows."""
    columns: dict[str, Any] = {f.name: [0, 1, 2] for f in fields}
    return Profile.build(
        columns, fields, predictions=[0, 1], probabilities={"0": [0.6, 0.4], "1": [0.4, 0.6]}, target=target,
        classes=[0, 1], task="classification",
    ).to_dict()  # fmt: skip


def bundle(version: str, content: bytes, described: dict[str, Any] | None = None) -> ModelBundle:
    """A registered version."""
    checksum = hashlib.sha256(content).hexdigest()
    return ModelBundle("m", version, content, checksum, f"models:/m/{version}", described or profile(), [])


class Registry:
    """Versions in a dictionary; ``away`` errors are raised first, one a question."""

    def __init__(self) -> None:
        self.bundles = {"1": bundle("1", threshold(0))}
        self.curves: dict[str, dict[str, Any]] = {}
        self.tagged: dict[str, dict[str, str]] = {}
        self.alias = "1"
        self.artifacts: dict[str, bytes] = {}
        self.away: list[Exception] = []
        self.asked: Callable[[], None] = lambda: None

    def bundle(self, model: str, version: str) -> ModelBundle:
        """As the real one."""
        self.asked()
        if self.away:
            raise self.away.pop()
        if version not in self.bundles:
            raise UserError(f"no version {version} of {model}")
        return self.bundles[version]

    def tags(self, model: str, version: str) -> dict[str, str]:
        """Of ``tagged``, by version."""
        return self.tagged.get(version, {})

    def described_by(self, model: str, version: str, name: str) -> dict[str, Any] | None:
        """Of ``curves``, by version."""
        return self.curves.get(version)

    def artifact(self, run_id: str, name: str) -> bytes | None:
        """What a run has logged."""
        return self.artifacts.get(name)

    def champion(self, model: str) -> str:
        """The alias."""
        return self.alias

    def set_champion(self, model: str, version: str) -> None:
        """Move it."""
        self.alias = version


class Pipeline:
    """Gives out version 2, or fails; before it does, ``meanwhile`` happens."""

    metric = "accuracy"

    def __init__(self) -> None:
        self.selections: list[Selection] = []
        self.resumed: list[Begun | None] = []
        self.error: Exception | None = None
        self.push_error: Exception | None = None
        self.pushes: list[str] = []  # of runs that a crash interrupted
        self.hangs, self.ended = False, 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.tagged: dict[str, dict[str, str]] = {}  # of each version: the registry's

    async def pushed(self, run_id: str, revision: str) -> None:
        """Kept already, or not to be kept."""
        self.pushes.append(run_id)
        if self.push_error:
            raise self.push_error

    async def train(
        self, run_id: str, selection: Selection, target: str, tags: Any, resume: Begun | None = None
    ) -> Trained:
        """As the real one."""
        self.selections.append(selection)
        self.resumed.append(resume)
        self.meanwhile()
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended += 1
        if self.error or self.push_error:
            raise self.error or self.push_error  # type: ignore[misc]
        self.tagged["2"] = dict(tags)
        return Trained("2", "run", "revision", "checksum")


class Consumer:
    """Of all topics. ``unread``, by topic, is what is there and not taken in yet: that happens once somebody waits for it.

    Answers in shadow are passed over until somebody follows them.
    """

    def __init__(self) -> None:
        self.unread: dict[str, list[Callable[[], Any]]] = {}
        self.answers: list[Callable[[], Any]] = []
        self.followed: list[int] = []  # since when: wall clock, ms
        self.away = 0  # so many questions for offsets are not answered
        self._at = dict.fromkeys(TAKES, 0)

    def assignment(self) -> list[TopicPartition]:
        """A partition each."""
        return [TopicPartition(topic, 0) for topic in TAKES]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """As aiokafka's: how many there are, or an error."""
        if self.away:
            self.away -= 1
            raise KafkaError("away")
        return {p: self._at[p.topic] + len(self.unread.get(p.topic, [])) for p in partitions}

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, None]:
        """As aiokafka's; all is from later."""
        self.followed += times.values()
        return dict.fromkeys(times)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """As aiokafka's."""

    def resume(self, partition: TopicPartition) -> None:
        """As aiokafka's: from where was sought on, which is the first."""
        self.unread[partition.topic] = list(self.answers)

    async def position(self, partition: TopicPartition) -> int:
        """As aiokafka's; the reader goes on meanwhile."""
        unread = self.unread.get(partition.topic, [])
        while unread:
            self._at[partition.topic] += 1
            await unread.pop(0)()
        return self._at[partition.topic]


class Producer:
    """What was sent: (topic, decoded value)."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.dead: list[tuple[str, Record]] = []

    async def send_and_wait(self, topic: str, value: bytes, **more: Any) -> None:
        """As aiokafka's."""
        if topic.endswith(".dlq"):
            self.dead.append((topic, Record(value, more["headers"])))
        self.sent.append((topic, value if topic.endswith(".dlq") else msgspec.json.decode(value)))

    async def read_dead(self, _: Settings, topic: str) -> AsyncIterator[list[Any]]:
        """What is on a DLQ."""
        yield [record for name, record in self.dead if name == topic]

    def on(self, topic: str) -> list[Any]:
        """The values on a topic."""
        return [value for name, value in self.sent if name == topic]


@dataclass
class Record:
    """A record as a consumer gives it."""

    value: bytes
    headers: list[tuple[str, bytes]]
    key: bytes | None = b"m"


class World:
    """A loop that has caught up; version 1 serves, says x > 0, and the world has come to be x > 2."""

    def __init__(self, **settings: Any) -> None:
        self.registry, self.pipeline, self.producer = Registry(), Pipeline(), Producer()
        self.pipeline.tagged = self.registry.tagged
        self.settings = Settings(model="m", **{"min_train_rows": 100, **settings})
        self.consumer = Consumer()
        self.tasks: list[asyncio.Task[None]] = []
        self.log: list[tuple[int, str, Event | None]] = []  # what was received, and how much was sent before
        self.named: set[str] = set()  # alerts that were raised
        self._left: Callable[[str], Any] | None = None
        self.remake()

    def remake(self, left: Callable[[str], Any] | None = None) -> None:
        """A loop of the parts as they are now; ``left``: what the registry says that a run has left, from now on."""
        self._left = left or self._left
        self.knowledge = Knowledge("m")
        parts: Any = (self.consumer, self.producer, self.registry, self.pipeline)
        self.loop = Loop(self.settings, self.knowledge, *parts)
        self.loop.reader.dead_letters = DeadLetters(
            self.settings, partial(to_dlq, self.producer), self.producer.read_dead
        )
        if self._left is not None:
            self.loop.registered._left = self._left  # type: ignore[method-assign]
        self.loop.reader.caught_up.set()

    async def restart(self) -> None:
        """A new process: it knows nothing but the topics, what the old one sent there too."""
        await self.stop()
        self.remake()
        self.consumer.unread.clear()
        self.consumer.followed.clear()
        own: dict[str, type[Event]] = {
            "training-runs": TrainingDecided, "model-events": ModelChanged, "challengers": ChallengerChanged,
            "promotion-reviews": PromotionReviewed,
        }  # fmt: skip
        sent, read = self.producer.sent, 0
        for before, topic, event in [*self.log, (len(sent), "", None)]:
            for name, value in sent[read:before]:
                if name in own:
                    await self._receive(name, msgspec.convert(value, own[name]))
            read = max(read, before)
            if event is not None and topic not in PASSED_OVER:
                await self._receive(topic, event)
        self.tasks.append(asyncio.create_task(self.loop.decide()))

    async def stop(self) -> None:
        """End what runs."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def take(self, topic: str, event: Event) -> None:
        """Receive an event."""
        self.log.append((len(self.producer.sent), topic, event))
        if topic in PASSED_OVER:
            answer = partial(self._receive, topic, event)
            self.consumer.answers.append(answer)
            if self.consumer.followed:
                self.consumer.unread[topic].append(answer)
            return
        await self._receive(topic, event)

    async def _receive(self, topic: str, event: Event) -> None:
        value, headers = encode(event, source="test")
        await self.loop.reader.take(topic, Record(value, headers))
        self.loop.reader.news.set()

    async def serves(self, version: str, previous: str | None, action: Any, effective_from: int = 0) -> None:
        """Somebody says so on model-events."""
        await self.take(
            "model-events",
            ModelChanged(
                model="m", version=version, previous_version=previous, action=action, artifact_uri="", sha256="",
                effective_from=effective_from, reason="complaints" if action == "rolled_back" else "",
            ),
        )  # fmt: skip

    async def begin(self) -> None:
        """Version 1 serves; start deciding."""
        await self.serves("1", None, "installed")
        self.tasks.append(asyncio.create_task(self.loop.decide()))

    async def raised(self, alert: str, kind: Any, since: int, k: int, version: str = "1") -> None:
        """An alert, by window k; once."""
        if alert not in self.named:
            self.named.add(alert)
            await self.take(
                "drift-alerts",
                AlertChanged(
                    alert_id=alert, model="m", version=version, kind=kind, state="drift", previous="ok", since=since,
                    window_start=k * STEP, window_end=(k + 1) * STEP, features={}, offsets={}, reason="x drifted",
                ),
            )  # fmt: skip

    async def judged(
        self,
        k: int,
        real: tuple[str, int] | None = None,
        quality: tuple[str, int] | None = None,
        version: str = "1",
    ) -> None:
        """The concept report as of the end of window k and the alerts it names, each with its ``since``; before the window's
        other reports."""
        for kind, alert in (("real", real), ("quality", quality)):
            if alert is not None:
                await self.raised(alert[0], kind, alert[1], k, version)
        await self.take(
            "concept-reports",
            ConceptTested(
                model="m", version=version, as_of=(k + 1) * STEP, detector="adwin", rows=ROWS, error=0.5,
                state="drift" if real else "ok", alert_id=real[0] if real else None, since=real[1] if real else None,
                offsets={}, quality_alert_id=quality[0] if quality else None,
                quality_state="drift" if quality else "ok", quality_since=quality[1] if quality else None,
            ),
        )  # fmt: skip

    async def asks(self, request: str, since: int | None = None) -> None:
        """A person asks for a training."""
        asked = TrainingRequested(request_id=request, model="m", since=since, reason="", requested_by="me")
        await self.take("training-requests", asked)

    async def window(
        self,
        k: int,
        rows: int = ROWS,
        alert: str | None = "A",
        *,
        version: str = "1",
        unlabelled: int = 0,
        limit: float = 2,
        joined: OutcomesJoined | None = None,
    ) -> None:
        """All that is said about window k, in which the world was x > ``limit``; ``joined``: its outcomes, ``rows`` of them."""
        start, end = k * STEP, (k + 1) * STEP
        if rows:
            await self.take("outcomes", joined or outcomes(k, rows, version, limit))
        if alert:
            await self.raised(alert, "virtual", start, k, version)
        state: Any = "drift" if alert else "ok"
        await self.take(
            "drift-reports",
            WindowTested(
                model="m", version=version, window_start=start, window_end=end, final=True, rows=rows, late_rows=0,
                status=state, state=state, alert_id=alert, alpha=0.01, correction="bh", min_effect=0.1,
                features={},
            ),
        )  # fmt: skip
        await self.take(
            "quality-reports",
            QualityReported(
                model="m", version=version, window_start=start, window_end=end, as_of=end, revision=0, final=False,
                predicted=rows + unlabelled, labelled=rows, coverage=1.0, label_delay_mean=1.0, metrics={},
                confusion=None,
            ),
        )  # fmt: skip

    async def considered(self, k: int) -> dict[str, Any]:
        """The status once window k has been considered."""

        def done() -> bool:
            through = self.loop.status()["considered_through"]
            return through is not None and through >= (k + 1) * STEP

        await self.until(done)
        return self.loop.status()

    async def until(self, fact: Callable[[], bool], seconds: float = 20) -> None:
        """Return once ``fact`` holds."""
        async with asyncio.timeout(seconds):
            while not fact():
                for task in self.tasks:
                    assert not task.done(), task.result()
                await asyncio.sleep(0.005)


def outcomes(k: int, rows: int = ROWS, version: str = "1", limit: float = 2) -> OutcomesJoined:
    """Rows of window k that ``version`` answered, whose truth is x > ``limit``."""
    x = np.random.default_rng(k).uniform(-4, 4, rows).round(3).tolist()
    times = [k * STEP + i * STEP // rows for i in range(rows)]
    return OutcomesJoined(
        model="m",
        version=version,
        prediction_id=[f"{k:032x}.{i}" for i in range(rows)],
        event_time=times,
        label_time=times,
        features={"x": x},
        predictions=[0] * rows,
        probabilities=None,
        truth=[int(v > limit) for v in x],
        corrected_from=[None] * rows,
        revision=[0] * rows,
    )


def begun() -> TrainingDecided:
    """A run of alert A as of the end of window 0 that has no end yet."""
    return TrainingDecided(
        run_id=run_id("m", "A", STEP), model="m", alert_id="A", as_of=STEP, decision="started", reason="training",
        since=0, until=STEP, rows={"labelled": 120, "needed": 100}, champion_version="1",
        challenger_version=None, metrics={}, gain=None, p_value=None, mlflow_run_id=None, dvc_revision=None,
        data_sha256=None,
    )  # fmt: skip


async def accept(world: World, effective_from: int, alert: str = "A") -> None:
    """A person takes the alert's world for the reference."""
    await world.take(
        "references",
        ReferenceAccepted(
            model="m", version="1", alert_id=alert, since=0, until=effective_from, effective_from=effective_from,
            rows=ROWS, counts={}, reason="all is well",
        ),
    )  # fmt: skip
