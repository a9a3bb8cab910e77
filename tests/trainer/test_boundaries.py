"""After a crash the trainer goes on where it was: people are answered as of now, and no boundary loses its own decisions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from contracts.events import PredictionsMade, TrainingDecided
from trainer_fakes import STEP, World, begun, bundle, threshold


@contextlib.asynccontextmanager
async def world_of(challenger: bytes, **settings: Any) -> AsyncIterator[World]:
    """A world that has begun; its challengers are all alike."""
    made = World(**settings)
    made.registry.bundles["2"] = bundle("2", challenger)
    await made.begin()
    try:
        yield made
    finally:
        await made.stop()


def runs(world: World) -> list[dict[str, Any]]:
    """All that was said on training-runs."""
    return world.producer.on("training-runs")


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    """What a stopwatch measured is never alike."""
    return {name: value for name, value in record.items() if name not in ("seconds", "guardrails")}


async def test_a_request_is_answered_as_of_the_newest_boundary_after_a_restart_too() -> None:
    """Quiet boundaries leave no record, so a restart goes over them again: it answers nobody as of them."""
    said = []
    for restarted in (False, True):
        async with world_of(threshold(0)) as world:
            for k in range(10):
                await world.window(k, alert=None)
                await world.considered(k)
            if restarted:
                await world.stop()
                await world.asks("H")
                await world.restart()
            else:
                await world.asks("H")
            await world.until(lambda: len(runs(world)) == 2)
            said.append([without_times(record) for record in runs(world)])
    assert (said[0][1]["as_of"], said[0][1]["rows"]["labelled"]) == (10 * STEP, 1_200)
    assert said[0] == said[1]


async def test_a_request_that_waits_for_a_boundary_is_answered_with_what_is_open_at_it() -> None:
    """Several boundaries become complete at once: the newest one answers it."""
    async with world_of(threshold(0)) as world:
        await world.asks("H")
        await world.judged(4, real=("R", 3_000))
        for k in (4, 3, 2, 1, 0):
            await world.window(k, alert=None)
        await world.considered(4)
        started = [(r["as_of"] // STEP, r["answers"]) for r in runs(world) if r["decision"] == "started"]
        assert started == [(5, ["R", "H"])]


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_crash_after_a_run_was_ended_at_a_boundary_loses_nothing_of_the_boundary(lost: int) -> None:
    """A challenger loses in shadow at the first boundary of the schedule's period, where an alert is open too: the training that
    begins then begins after a crash as well, wherever that came.
    """
    said = []
    for crashed in (False, True):
        async with world_of(
            threshold(2), shadow_rows=200, train_every_ms=3 * STEP, max_latency_ratio=1e9
        ) as world:
            await world.window(0)
            await world.until(lambda: bool(runs(world)) and runs(world)[-1]["waits_for"] == "shadow")
            await world.take(
                "shadow-predictions",
                PredictionsMade(
                    batch_id="b" * 32, model="m", version="2", event_time=[STEP, 3 * STEP],
                    features={"x": [0.0, 0.0]}, predictions=[0, 0],
                ),
            )  # fmt: skip
            for k in (1, 2):
                await world.window(k, alert="B", limit=0)
                await world.considered(k)
            if crashed:
                await world.stop()
                world._left = lambda _: (None, None)  # the registry knows nothing of the run that begins
                ended = next(i for i, r in enumerate(runs(world)) if r["decision"] == "refused")
                own = [i for i, (topic, _) in enumerate(world.producer.sent) if topic == "training-runs"]
                del world.producer.sent[own[ended + lost] + 1 :]
                world.log = [(min(at, len(world.producer.sent)), *rest) for at, *rest in world.log]
                await world.restart()
                await world.considered(2)
            said.append([without_times(record) for record in runs(world)])
    alive, died = said
    assert [(r["decision"], r["as_of"] // STEP) for r in alive[-3:]] == [
        ("refused", 3), ("started", 3), ("refused", 3),
    ]  # fmt: skip
    assert alive[-1]["answers"] == ["B", "m/schedule/1"]
    assert died == alive


async def test_a_period_whose_first_boundary_was_lost_has_its_training_still() -> None:
    """Where it begins hangs on the boundaries, not on which of them were considered."""
    async with world_of(threshold(0), train_every_ms=3 * STEP) as world:
        await world.stop()
        won = msgspec.structs.replace(begun(), decision="refused", as_of=3 * STEP, run_id="another")
        await world.take("training-runs", won)
        for k in range(4):
            await world.window(k, alert=None)
        await world.restart()
        await world.considered(3)
        assert [(r["decision"], r["answers"]) for r in runs(world)] == [
            ("started", ["m/schedule/1"]),
            ("refused", ["m/schedule/1"]),
        ]


def test_what_ended_later_than_it_began_leaves_its_last_boundary_in_doubt() -> None:
    """Until something else is said as of it."""
    history = World().knowledge.history
    shadow = msgspec.structs.replace(begun(), decision="waiting", waits_for="shadow")
    words: list[tuple[TrainingDecided, bool]] = [
        (shadow, False),
        (msgspec.structs.replace(shadow, decision="refused", waits_for=None, as_of=3 * STEP), True),
        (msgspec.structs.replace(begun(), run_id="next", as_of=3 * STEP), True),
        (msgspec.structs.replace(begun(), run_id="next", as_of=3 * STEP, decision="refused"), False),
    ]
    for word, doubted in words:
        history.record(word)
        assert history.in_doubt is doubted
    assert history.considered_through == 3 * STEP
