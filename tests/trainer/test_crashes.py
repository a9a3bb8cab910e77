"""Random worlds with crashes: whatever happens and whenever the trainer dies, each trigger has one answer a state."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from contracts.events import ModelChanged
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from servicekit.errors import UserError
from trainer.pipeline import Trained
from trainer_fakes import STEP, Pipeline, Producer, World, bundle, threshold

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # a failure that hangs would be shrunk for minutes


class Killed(BaseException):
    """The process dies: nothing catches it."""


class _Producer(Producer):
    """Dies before or after some of the records it sends, once each."""

    def __init__(self, deaths: dict[int, bool]) -> None:
        super().__init__()
        self._deaths, self._count = dict(deaths), 0

    async def send_and_wait(self, topic: str, value: bytes, **more: Any) -> None:
        """As aiokafka's; True: the record is on the topic when it dies."""
        self._count += 1
        death = self._deaths.pop(self._count, None)
        if death is not False:
            await super().send_and_wait(topic, value, **more)
        if death is not None:
            raise Killed


class _Pipeline(Pipeline):
    """Registers a version a run, or fails; each version is half as far from the truth, x > 2, as its champion, or as far."""

    def __init__(self, world: World, ends: list[str]) -> None:
        super().__init__()
        self._world, self._ends = world, ends
        self.at, self.made, self.trained = {"1": 0.0}, dict[str, Trained](), 0

    async def train(self, run_id: str, selection: Any, target: str, tags: Any, resume: Any = None) -> Trained:
        """As the real one."""
        end = self._ends[self.trained % len(self._ends)]
        self.trained += 1
        await asyncio.sleep(0)
        if end == "failed":
            raise UserError("no disk")
        before, version = self.at[tags["champion_version"]], str(len(self.at) + 1)
        self.at[version] = (before + 2) / 2 if end == "promoted" else before
        self._world.registry.bundles[version] = bundle(version, threshold(self.at[version]))
        self._world.registry.tagged[version] = dict(tags)
        self.made[run_id] = Trained(version, "run", "revision", "checksum")
        return self.made[run_id]


@dataclass
class Window:
    """What happens in a window, and who asks after it."""

    rows: int
    virtual: bool
    real: bool
    quality: bool
    asked: bool = False
    rolled_back: bool = False


@dataclass
class Story:
    """What happens, what comes of trainings, and at which records the trainer dies."""

    windows: list[Window]
    ends: list[str]
    deaths: dict[int, bool] = field(default_factory=dict)
    pause: int = 0


WINDOWS = st.builds(
    Window,
    st.sampled_from([0, 60, 120, 300]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
ENDED = ("promoted", "refused", "failed")
ENDS = st.lists(st.sampled_from(ENDED), min_size=1, max_size=4)
DEATHS = st.dictionaries(st.integers(1, 12), st.booleans(), max_size=4)
STORIES = st.builds(
    Story, st.lists(WINDOWS, min_size=2, max_size=6), ENDS, DEATHS, st.sampled_from([0, 2 * STEP])
)


async def live(story: Story) -> World:
    """A world that has been through a story."""
    world = World(
        training_pause_ms=story.pause, train_every_ms=3 * STEP, training_attempts=2, max_latency_ratio=1e9
    )
    world.producer = _Producer(story.deaths)
    pipeline = _Pipeline(world, story.ends)
    world.pipeline = pipeline
    world.remake(lambda run_id: (pipeline.made.get(run_id), None))
    await world.begin()
    for k, window in enumerate(story.windows):
        version = serving(world)
        named = {
            kind: (f"{kind} of {version}", max(k - 1, 0) * STEP + 500) if getattr(window, kind) else None
            for kind in ("real", "quality")
        }
        await world.judged(k, **named, version=version)  # type: ignore[arg-type]
        virtual = f"virtual of {version}" if window.virtual else None
        await world.window(k, window.rows, virtual, version=version)
        await quiet(world)
        if window.asked:
            await world.asks(f"request {k}")
            await quiet(world)
        if window.rolled_back and serving(world) != "1":
            await world.serves("1", serving(world), "rolled_back", (k + 1) * STEP)
    await world.stop()
    return world


def serving(world: World) -> str:
    """The version."""
    assert world.knowledge.serving is not None
    return world.knowledge.serving.version


async def quiet(world: World) -> None:
    """Until nothing more is done; who died is started again."""
    idle = 0
    async with asyncio.timeout(20):
        while idle < 3:
            if any(task.done() for task in world.tasks):
                (task,) = world.tasks
                assert isinstance(task.exception(), Killed), task.exception()
                await world.restart()
            waits = world.loop.reader.news._waiters  # type: ignore[attr-defined]  # the loop waits for news
            idle = idle + 1 if waits else 0
            await asyncio.sleep(0.001)


def recorded(world: World) -> list[dict[str, Any]]:
    """What is on training-runs."""
    return world.producer.on("training-runs")


@settings(deadline=None, max_examples=25, phases=UNSHRUNK)
@given(STORIES)
def test_each_trigger_has_one_answer_a_state_whatever_happens(story: Story) -> None:
    """No run has two ends, no two run at once, none begins within a pause but by request, and none on rows that were judged."""
    world = asyncio.run(live(story))
    running, judged, pauses = None, dict[str, dict[str, Any]](), list[int]()
    by_people = [
        e.effective_from for *_, e in world.log if isinstance(e, ModelChanged) and e.action == "rolled_back"
    ]
    said: Counter[tuple[str, str]] = Counter()
    answered: Counter[tuple[str, int]] = Counter()
    for topic, record in world.producer.sent:
        if topic == "model-events":
            pauses.append(record["effective_from"])
            continue
        end, at = record["decision"] in ENDED, record["as_of"]
        said[record["run_id"], "end" if end else record["decision"]] += 1
        if record["decision"] == "started":
            assert running is None
            running = record["run_id"]
            if not any(name.startswith("request") for name in record["answers"]):
                assert not any(begun <= at < begun + story.pause for begun in pauses)
                assert not any(begun < at < begun + story.pause for begun in by_people)
            first = judged.get(record["answers"][0])
            if first is not None and first["decision"] != "failed":
                now = world.knowledge.ledger.count(first["since"], record["until"], at)
                assert now >= 1.25 * first["rows"]["labelled"]
        if end:
            assert running == record["run_id"]
            running = None
            answered.update((name, at) for name in record["answers"])
            judged |= dict.fromkeys(record["answers"], record)
            pauses += [at] if record["decision"] != "failed" else []
    assert running is None
    assert set(said.values()) <= {1}
    assert set(answered.values()) <= {1}
    requests = [name for name, _ in answered if name.startswith("request")]
    assert len(requests) == len(set(requests))
    versions = [event["version"] for event in world.producer.on("model-events")]
    assert len(versions) == len(set(versions))


@settings(deadline=None, max_examples=12, phases=UNSHRUNK)
@given(STORIES)
def test_a_trainer_that_dies_decides_as_one_that_does_not(story: Story) -> None:
    """Where nobody asks for anything, the records are the same, one for one."""
    for window in story.windows:
        window.asked = window.rolled_back = False
    story.ends = [end for end in story.ends if end != "failed"] or ["promoted"]
    alive, died = (
        asyncio.run(live(Story(story.windows, story.ends, deaths, story.pause)))
        for deaths in ({}, story.deaths)
    )
    measured = {"guardrails", "seconds"}  # with a stopwatch, so never alike
    said = [[{k: v for k, v in r.items() if k not in measured} for r in recorded(w)] for w in (alive, died)]
    assert said[0] == said[1]
    assert alive.producer.on("model-events") == died.producer.on("model-events")
