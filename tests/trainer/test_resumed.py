"""Runs that a crash interrupted: what serves is promoted, what was taken back stays so, and what is not kept does not serve."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError
from aiokafka.structs import OffsetAndTimestamp
from contracts.events import ModelChanged
from prometheus_client import REGISTRY
from servicekit import metrics
from servicekit.config import Settings
from trainer.commands import PipelineFailed
from trainer.pipeline import Pipeline, Trained
from trainer.reading import Reader
from trainer_fakes import STEP, Producer, World, begun, bundle, threshold

MADE = Trained("2", "run", "revision", "checksum")
AWAY = PipelineFailed("git push ended with exit code 128: fatal: the remote end hung up unexpectedly")


@pytest.fixture
async def world() -> Any:
    """Version 1 serves, and the registry holds a better version 2 that every run is said to have made."""
    made = World()
    made.registry.bundles["2"] = bundle("2", threshold(2))
    await made.begin()
    yield made
    await made.stop()


def runs(world: World) -> list[Any]:
    """All that is on training-runs."""
    return world.producer.on("training-runs")


async def killed(world: World, *lost: str) -> None:
    """The trainer is gone, and had not sent its last record on these topics; version 2 is registered."""
    await world.stop()
    sent = world.producer.sent
    for name in lost:
        del sent[max(i for i, (topic, _) in enumerate(sent) if topic == name)]
    world.remake(lambda _: (MADE, None))


def nothing(world: World) -> None:
    """All is well."""


def remote_away(world: World) -> None:
    """The git remote does not answer."""
    world.pipeline.push_error = AWAY


def slow(world: World) -> None:
    """The machine is busy: no challenger is fast enough."""
    world.settings.max_latency_ratio = 1e-9


def stricter(world: World) -> None:
    """Who set up the trainer wants more now."""
    world.settings.min_gain = 0.9


def shadowing(world: World) -> None:
    """Winners have to shadow now."""
    world.settings.shadow_rows = 200


async def test_a_trainer_that_hangs_after_its_restart_is_seen_to_stand_still(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far it had considered is shown from its start on, whatever becomes of the next boundary."""

    async def hang(boundary: int) -> None:
        await asyncio.Event().wait()

    await world.window(0)
    await world.considered(0)
    metrics.DECIDED_THROUGH.clear()  # as by a new process
    await world.restart()
    monkeypatch.setattr(world.loop, "consider", hang)
    await world.window(1, version="2")
    shown = {"service": "trainer"}
    await world.until(
        lambda: REGISTRY.get_sample_value("atalaia_decided_through_seconds", shown) == STEP / 1000
    )


@pytest.mark.parametrize("change", [nothing, remote_away, slow, stricter, shadowing])
async def test_what_serves_already_ends_as_promoted(world: World, change: Any) -> None:
    """Killed between model-events and the record, and whatever is so meanwhile: the record that it would have been."""
    await world.window(0)
    await world.considered(0)
    promoted = runs(world)[-1]
    await killed(world, "training-runs")
    change(world)
    await world.restart()
    await world.until(lambda: len(runs(world)) == 2)
    measured = ("guardrails", "seconds")
    assert {k: v for k, v in runs(world)[-1].items() if k not in measured} == {
        k: v for k, v in promoted.items() if k not in measured
    }
    assert [e["version"] for e in world.producer.on("model-events")] == ["2"]
    assert world.producer.on("challengers") == []
    assert world.registry.alias == "2"


async def test_what_serves_and_cannot_be_judged_any_more_ends_as_promoted(world: World) -> None:
    """Its candidates' losses are not to be read: the record has what the event says, and the version."""
    await world.window(0)
    await world.considered(0)
    promoted = runs(world)[-1]
    await killed(world, "training-runs")
    world.registry.artifacts = {"candidates.json": b"{", "losses.parquet": b""}
    await world.restart()
    await world.until(lambda: len(runs(world)) == 2)
    last = runs(world)[-1]
    assert (last["decision"], last["reason"]) == ("promoted", promoted["reason"])
    assert (last["challenger_version"], last["gain"]) == ("2", None)


async def test_what_somebody_else_made_serve_says_so(world: World) -> None:
    """The run was killed before its promotion, and a person installed its version."""
    await world.window(0)
    await world.considered(0)
    await killed(world, "training-runs", "model-events")
    await world.serves("2", "1", "installed", 2 * STEP)
    await world.restart()
    await world.until(lambda: len(runs(world)) == 2)
    assert runs(world)[-1]["decision"] == "promoted"
    assert runs(world)[-1]["reason"] == "it serves already: no reason given"
    assert world.producer.on("model-events") == []


class _Times(Producer):
    """Sends the first promotion and hears nothing of it."""

    async def send_and_wait(self, topic: str, value: bytes, **more: Any) -> None:
        """As aiokafka's."""
        await super().send_and_wait(topic, value, **more)
        if topic == "model-events" and len(self.on(topic)) == 1:
            raise KafkaTimeoutError


async def test_a_promotion_that_nobody_acknowledged_is_no_failed_training(world: World) -> None:
    """It may be on the topic, and is: the process ends, and the next one records that it was promoted."""
    world.producer = _Times()
    await world.stop()
    world.remake(lambda _: (MADE, None))
    await world.begin()
    await world.window(0)
    (task,) = world.tasks
    await asyncio.wait([task], timeout=20)
    assert isinstance(task.exception(), KafkaTimeoutError)
    assert [d["decision"] for d in runs(world)] == ["started"]
    await world.restart()
    await world.until(lambda: len(runs(world)) == 2)
    assert runs(world)[-1]["decision"] == "promoted"
    assert len(world.producer.on("model-events")) == 1


async def compacted(world: World, last: ModelChanged) -> None:
    """Of model-events only the last record is left."""
    world.producer.sent[:] = [
        (topic, value) for topic, value in world.producer.sent if topic != "model-events"
    ]
    world.log[:] = [entry for entry in world.log if entry[1] != "model-events"]
    world.log.insert(0, (0, "model-events", last))


BACK = ModelChanged(
    model="m", version="1", previous_version="3", action="rolled_back", artifact_uri="", sha256="",
    effective_from=STEP + 2, reason="complaints",
)  # fmt: skip


async def test_what_was_taken_back_is_not_promoted_again_though_its_topic_forgot_it(world: World) -> None:
    """Promoted, killed before the record, rolled back, another installed, back to the champion, and compacted."""
    await world.window(0)
    await world.considered(0)
    await killed(world, "training-runs")
    await compacted(world, BACK)
    await world.restart()
    await world.until(lambda: len(runs(world)) == 2)
    assert (runs(world)[-1]["decision"], runs(world)[-1]["challenger_version"]) == ("refused", "2")
    assert runs(world)[-1]["reason"] == (
        "version 1 serves again: others have served since it was challenged (complaints)"
    )
    assert world.producer.on("model-events") == []
    assert world.registry.alias == "1"


async def test_what_waits_for_a_person_ends_though_its_topic_forgot_why(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have served while no trainer ran: there is nothing to approve any more."""
    monkeypatch.setattr(world.settings, "promotion", "approve")
    await world.window(0)
    await world.until(lambda: bool(runs(world)) and runs(world)[-1]["waits_for"] == "approval")
    await world.stop()
    await compacted(world, BACK)
    await world.restart()
    await world.until(lambda: runs(world)[-1]["decision"] == "refused")
    assert runs(world)[-1]["reason"].startswith("version 1 serves again: ")


async def test_a_run_from_just_after_a_rollback_may_be_taken_up(world: World) -> None:
    """Its champion is effective after its boundary, as it was when it began: nobody else has served since."""
    await world.serves("1", "7", "rolled_back", STEP + 200)
    await world.window(0)
    await world.considered(0)
    assert runs(world)[0]["champion_since"] == STEP + 200
    await killed(world, "training-runs", "model-events")
    await world.restart()
    await world.until(lambda: len(runs(world)) == 2)
    assert runs(world)[-1]["decision"] == "promoted"
    assert [e["version"] for e in world.producer.on("model-events")] == ["2"]


async def test_a_push_that_fails_is_a_failed_training_and_is_tried_again(world: World) -> None:
    """No version serves that could not be made again; the record says what is wrong."""
    world.pipeline.push_error = AWAY
    await world.window(0)
    await world.considered(0)
    assert (runs(world)[-1]["decision"], runs(world)[-1]["reason"]) == (
        "failed",
        f"failed: {AWAY} (attempt 1 of 3 on these rows)",
    )
    assert world.producer.on("model-events") == []
    world.pipeline.push_error = None
    await world.window(1)
    await world.considered(1)
    assert [d["decision"] for d in runs(world)] == ["started", "failed", "started", "promoted"]


async def test_what_is_registered_and_cannot_be_pushed_does_not_serve(world: World) -> None:
    """Killed before its push, and the remote is away at the restart: failed, then tried again."""
    await world.stop()
    world.remake(lambda run: (MADE if run == begun().run_id else None, None))
    await world.take("training-runs", begun())
    world.pipeline.push_error = AWAY
    await world.restart()
    await world.until(lambda: bool(runs(world)))
    assert runs(world)[-1]["reason"].startswith(
        "failed: git push ended with exit code 128: fatal: the remote"
    )
    assert world.pipeline.pushes == [begun().run_id]
    assert world.producer.on("model-events") == []
    world.pipeline.push_error = None
    for k in (0, 1):
        await world.window(k)
        await world.considered(k)
    assert runs(world)[-1]["decision"] == "promoted"


async def test_a_remote_that_is_away_is_named(tmp_path: Path) -> None:
    """Of a registered run that is to be pushed: git says which remote it cannot read."""
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    (project / "dvc.yaml").write_text("stages: {}\n")
    settings = Settings(
        model="m", project=project, data_dir=tmp_path, git_remote="git://127.0.0.1:9/nowhere.git"
    )
    with pytest.raises(PipelineFailed, match=r"git ls-remote ended with exit code 128: .*127\.0\.0\.1"):
        await Pipeline(settings).pushed("run", "0" * 40)


async def test_who_was_announced_and_lost_its_champion_shadows_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the announcement and its record, and the champion is rolled back: refused, and none shadows."""
    monkeypatch.setattr(world.settings, "shadow_rows", 200)
    await world.window(0)
    await world.until(lambda: bool(runs(world)) and runs(world)[-1]["waits_for"] == "shadow")
    await killed(world, "training-runs")
    await world.serves("0", "1", "rolled_back", 900)
    await world.restart()
    await world.until(lambda: [e["version"] for e in world.producer.on("challengers")] == ["2", None])
    assert [d["decision"] for d in runs(world)] == ["started", "refused"]


class _Offsets:
    """A consumer of two partitions; of the second nothing is as new as asked for."""

    def __init__(self) -> None:
        self.sought: list[tuple[int, int]] = []
        self.resumed: list[int] = []

    def assignment(self) -> list[Any]:
        """Of two topics."""
        return [
            TopicPartition("shadow-predictions", 0),
            TopicPartition("shadow-predictions", 1),
            TopicPartition("x", 0),
        ]

    async def end_offsets(self, partitions: list[Any]) -> dict[Any, int]:
        """Nine each."""
        return dict.fromkeys(partitions, 9)

    async def offsets_for_times(self, times: dict[Any, int]) -> dict[Any, Any]:
        """As aiokafka's."""
        assert set(times.values()) == {5}
        return {p: OffsetAndTimestamp(4, 5) if p.partition == 0 else None for p in times}

    def seek(self, partition: Any, offset: int) -> None:
        """As aiokafka's."""
        self.sought.append((partition.partition, offset))

    def resume(self, partition: Any) -> None:
        """As aiokafka's."""
        self.resumed.append(partition.partition)


async def test_what_is_followed_is_read_from_its_time_on() -> None:
    """Where nothing is as new, from the end on."""
    consumer: Any = _Offsets()
    world = World()
    await Reader(world.knowledge, consumer, world.loop.reader.dead_letters).follow("shadow-predictions", 5)
    assert (consumer.sought, consumer.resumed) == ([(0, 4), (1, 9)], [0, 1])
