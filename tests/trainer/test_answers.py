"""The loop on fakes: one run answers all that is open, pauses hold back, and how many rows a training needs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.events import OutcomesJoined
from servicekit.errors import UserError
from trainer_fakes import STEP, World, begun, bundle, outcomes, threshold

NO_BETTER, BETTER = threshold(0), threshold(2)


@contextlib.asynccontextmanager
async def world_of(challenger: bytes = NO_BETTER, **settings: Any) -> AsyncIterator[World]:
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


def short(record: dict[str, Any]) -> tuple[Any, ...]:
    """What matters about a record."""
    return record["decision"], record["as_of"] // STEP, record["trigger"], record["answers"]


async def test_all_that_is_open_at_a_boundary_is_answered_by_one_run() -> None:
    """A virtual, a real and a quality alert, the schedule's period and a request: one training since the latest change, in the
    order of kinds; and none for the same rows at the next boundary, whatever is still open.
    """
    async with world_of(train_every_ms=2 * STEP) as world:
        await world.window(0, rows=60, alert=None)
        await world.considered(0)
        await world.asks("H")
        await world.until(lambda: len(runs(world)) == 1)
        await world.judged(1, real=("R", 1_200), quality=("Q", 1_100))
        await world.window(1, rows=200)
        await world.considered(1)
        waiting, started, refused = runs(world)
        assert short(waiting) == ("waiting", 1, "manual", ["H"])
        answers = ["A", "R", "Q", "m/schedule/1", "H"]
        assert short(started) == ("started", 2, "virtual", answers)
        assert started["reason"] == (
            "training: 160 labelled rows since the change point, real drift, worse answers, by the schedule, asked for"
        )
        assert (started["since"], started["rows"]["labelled"], started["alert_id"]) == (1_200, 160, "A")
        assert started["classes"] == {"0": 116, "1": 44}
        assert short(refused) == ("refused", 2, "virtual", answers)
        await world.judged(2, real=("R", 1_200), quality=("Q", 1_100))
        await world.window(2, rows=19, unlabelled=1)
        await world.considered(2)
        assert len(runs(world)) == 3
        await world.judged(3, real=("R", 1_200), quality=("Q", 1_100))
        await world.window(3, rows=5)
        await world.considered(3)
        assert short(runs(world)[3]) == ("started", 4, "schedule", ["m/schedule/2", "A", "R", "Q"])
        assert (runs(world)[3]["since"], runs(world)[3]["unlabelled"]) == (1_200, 1)
        assert len(world.pipeline.selections) == 2


async def test_a_failure_is_every_ones_and_a_request_has_its_answer() -> None:
    """The alerts are tried for again, the request is not; the attempt is recorded."""
    async with world_of(BETTER) as world:
        world.pipeline.error = UserError("no disk")
        await world.window(0, rows=60, alert=None)
        await world.considered(0)
        await world.asks("H")
        await world.window(1, rows=120)
        await world.considered(1)
        world.pipeline.error = None
        await world.window(2, rows=1)
        status = await world.considered(2)
        ends = [d for d in status["decisions"] if d["decision"] != "waiting"]
        assert [(d["decision"], d["answers"], d["attempt"]) for d in ends] == [
            ("failed", ["A", "H"], 1),
            ("promoted", ["A"], 2),
        ]
        assert ends[0]["reason"] == "failed: no disk (attempt 1 of 3 on these rows)"


async def test_a_request_answers_the_alerts_that_are_open_then() -> None:
    """It begins between two boundaries; an alert that was judged as of the newest one already is not answered twice."""
    async with world_of() as world:
        await world.window(0)
        await world.considered(0)
        await world.asks("H")
        await world.until(lambda: len(runs(world)) == 4)
        await world.window(1, rows=10)
        await world.considered(1)
        await world.asks("G")
        await world.until(lambda: len(runs(world)) == 6)
        assert [short(record) for record in runs(world)[1::2]] == [
            ("refused", 1, "virtual", ["A"]),
            ("refused", 1, "manual", ["H"]),
            ("refused", 2, "manual", ["G", "A"]),
        ]


async def test_the_pause_holds_alerts_and_the_schedule_back_and_says_so_once() -> None:
    """Not a request; the pause is counted from the newest training, and ends where it says."""
    async with world_of(training_pause_ms=3 * STEP, train_every_ms=4 * STEP) as world:
        await world.window(0)
        await world.considered(0)
        for k in range(1, 3):
            await world.window(k)
            await world.considered(k)
        assert [short(record) for record in runs(world)] == [
            ("started", 1, "virtual", ["A"]),
            ("refused", 1, "virtual", ["A"]),
            ("waiting", 2, "virtual", ["A"]),
        ]
        held = runs(world)[2]
        assert held["reason"] == (
            "waiting: the pause after the training as of 1970-01-01 00:00:01Z ends at 1970-01-01 00:00:04Z"
        )
        assert held["waits_for"] is None
        await world.asks("H")
        await world.until(lambda: len(runs(world)) == 5)
        assert short(runs(world)[4]) == ("refused", 3, "manual", ["H", "A"])
        for k in range(3, 6):
            await world.window(k)
            await world.considered(k)
        assert [short(record) for record in runs(world)[5:]] == [
            ("waiting", 4, "virtual", ["A", "m/schedule/1"]),
            ("started", 6, "virtual", ["A", "m/schedule/1"]),
            ("refused", 6, "virtual", ["A", "m/schedule/1"]),
        ]


async def test_a_rollback_begins_a_pause_too() -> None:
    """From its own moment on, which a restart finds on the compacted topic."""
    async with world_of(BETTER, training_pause_ms=2 * STEP) as world:
        await world.serves("1", "7", "rolled_back", STEP)
        await world.window(0)
        await world.window(1)
        await world.considered(1)
        await world.restart()
        await world.window(2)
        await world.considered(2)
        assert [short(record)[:2] for record in runs(world)] == [
            ("waiting", 1),
            ("started", 3),
            ("promoted", 3),
        ]
        assert "the pause after the rollback to version 1 ends at" in runs(world)[0]["reason"]


async def test_the_learning_curve_says_about_how_many_rows_are_needed() -> None:
    """Flat at what the champion costs, the least rows do; steep, up to ten times as many, and no more."""
    curve = {"metric": "accuracy", "rows": [50, 100, 200, 400], "loss": [0.24, 0.17, 0.12, 0.085]}
    async with world_of(BETTER) as world:
        world.registry.curves["1"] = curve
        await world.window(0)
        await world.considered(0)
        (waiting,) = runs(world)
        assert (waiting["decision"], waiting["waits_for"]) == ("waiting", "rows")
        needed = waiting["rows"]["needed"]
        assert 200 < needed < 400
        assert waiting["reason"].startswith(
            f"waiting: 120 of about {needed} labelled rows since the change point"
        )
        k = 1
        while world.loop.status()["version"] == "1":
            await world.window(k, rows=200)
            await world.considered(k)
            k += 1
        started, promoted = runs(world)[-2:]
        assert promoted["decision"] == "promoted"
        assert started["rows"]["labelled"] >= started["rows"]["needed"] > 120


@pytest.mark.parametrize(
    ("curve", "needed"),
    [
        (None, 100),
        (
            {"metric": "accuracy", "rows": [50, 100, 200], "loss": [0.9, 0.9, 0.9]},
            100,
        ),  # no model can be better
        ({"metric": "accuracy", "rows": [50, 100], "loss": [0.5, 0.4]}, 100),  # no curve
        ({"metric": "mae", "rows": [50, 100, 200], "loss": [9.0, 2.0, 0.1]}, 100),  # not of a classifier
        (
            {"metric": "accuracy", "rows": [50, 100, 200], "loss": [0.01, 0.01, 0.01]},
            100,
        ),  # any model is better
        ({"rows": []}, 100),
        (UserError("learning_curve.json of models:/m/1 is not JSON"), 100),
    ],
)
async def test_without_a_curve_that_says_more_the_least_rows_are_needed(curve: Any, needed: int) -> None:
    """None is registered, it is none, or it has nothing to say."""

    def described(model: str, version: str, name: str) -> Any:
        if isinstance(curve, Exception):
            raise curve
        return curve

    async with world_of() as world:
        world.registry.described_by = described  # type: ignore[method-assign]
        await world.window(0)
        await world.considered(0)
        assert [(r["decision"], r["rows"]["needed"]) for r in runs(world)] == [
            ("started", needed),
            ("refused", needed),
        ]


def with_late(joined: OutcomesJoined, late: int) -> OutcomesJoined:
    """The same rows, all of class 0 but the first few."""
    truth: Any = [int(i < late) for i in range(len(joined.truth))]
    return msgspec.structs.replace(joined, truth=truth)


async def test_every_class_has_its_least_rows() -> None:
    """One with too few is named; past ten times the least rows in all it holds nothing back any more."""
    async with world_of(min_class_rows=5) as world:
        await world.window(0, joined=with_late(outcomes(0), 3))
        await world.considered(0)
        (waiting,) = runs(world)
        assert waiting["reason"].endswith(', and 3 of 5 of class "1"')
        assert waiting["classes"] == {"0": 117, "1": 3}
        await world.window(1, joined=with_late(outcomes(1), 2))
        await world.considered(1)
        assert [short(record)[:2] for record in runs(world)[1:]] == [("started", 2), ("refused", 2)]
        assert runs(world)[-1]["classes"] == {"0": 235, "1": 5}
    async with world_of(min_class_rows=5) as world:
        await world.window(0, rows=999, joined=with_late(outcomes(0, 999), 0))
        await world.window(1, rows=1, joined=with_late(outcomes(1, 1), 0))
        await world.considered(1)
        assert [short(record)[:2] for record in runs(world)] == [
            ("waiting", 1),
            ("started", 2),
            ("refused", 2),
        ]
        assert np.sum(world.pipeline.selections[0].reference.truth) == 0


async def test_rows_that_chose_the_champion_are_not_new() -> None:
    """Its holdout has judged it: a request counts from its end, and what it holds out is disjoint from it."""
    async with world_of(BETTER) as world:
        await world.window(0)
        await world.considered(0)
        assert world.loop.status()["version"] == "2"
        await world.asks("H", since=0)
        await world.until(lambda: len(runs(world)) == 3)
        assert runs(world)[2]["reason"].startswith("waiting: 0 of 100 labelled rows since")
        await world.window(1, alert=None, version="2")
        await world.considered(1)
        first, second = world.pipeline.selections
        assert len(second.reference) == 120
        assert {*first.holdout.prediction_id}.isdisjoint(second.reference.prediction_id)
        assert {*first.holdout.prediction_id} <= {*second.train.prediction_id}


async def test_a_version_that_says_less_counts_from_its_training_rows_on() -> None:
    """Older ones name no end of the held-out rows."""
    async with world_of() as world:
        world.registry.tagged["1"] = {"trained_until": "500"}
        await world.window(0, alert=None)
        await world.considered(0)
        await world.asks("H")
        await world.until(lambda: len(runs(world)) == 1)
        assert (runs(world)[0]["since"], runs(world)[0]["rows"]["labelled"]) == (500, 60)


async def test_rows_of_a_shadow_period_that_chose_the_champion_are_not_new() -> None:
    """Nor those: what counts is new since the boundary as of which it was promoted."""
    async with world_of() as world:
        won = msgspec.structs.replace(
            begun(),
            decision="promoted",
            challenger_version="1",
            as_of=2 * STEP,
            rows={"labelled": 120, "shadow": 90},
        )
        await world.take("training-runs", won)
        await world.window(0, alert=None)
        await world.window(1, alert=None)
        await world.window(2, rows=30, alert=None)
        await world.considered(2)
        await world.asks("H")
        await world.until(lambda: len(runs(world)) == 1)
        assert (runs(world)[0]["since"], runs(world)[0]["rows"]["labelled"]) == (2 * STEP, 30)
