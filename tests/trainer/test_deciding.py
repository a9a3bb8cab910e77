"""The trainer's loop over hand-written fakes of Kafka, the registry and the pipeline, with real ONNX models."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import onnx
import pytest
from contracts.events import (
    AlertChanged,
    ConceptTested,
    QualityReported,
    TrainingRequested,
)
from servicekit.config import Settings
from servicekit.registry import ModelBundle
from summaries.profile import FieldSpec
from trainer.commands import PipelineFailed
from trainer.pipeline import Begun, Trained
from trainer_fakes import FIELDS, ROWS, STEP, World, accept, begun, bundle, outcomes, profile, threshold


async def test_a_better_challenger_is_announced(world: World) -> None:
    """The record on model-events, the alias and the decision name one version."""
    world.registry.bundles["2"] = bundle("2", threshold(2))
    await world.window(0)
    promoted = (await world.considered(0))["decisions"][-1]
    assert promoted["decision"] == "promoted", promoted["reason"]
    (announced,) = world.producer.on("model-events")
    assert announced["version"] == promoted["challenger_version"] == world.registry.alias == "2"


async def test_a_challenger_that_breaks_a_guardrail_is_refused(world: World) -> None:
    """Better, but fifty times larger than the champion: nothing is announced, and the record says what was seen."""
    padded = onnx.load_from_string(threshold(2))
    padded.doc_string = "x" * 50 * len(threshold(0))
    world.registry.bundles["2"] = bundle("2", padded.SerializeToString())
    await world.window(0)
    refused = (await world.considered(0))["decisions"][-1]
    assert refused["decision"] == "refused"
    assert refused["reason"].startswith("guardrail: size is 5")
    assert refused["guardrails"]["size"]["held"] is False
    assert set(refused["guardrails"]) == {"size", "latency", "recall of 0", "recall of 1"}
    assert world.producer.on("model-events") == []


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (profile([FieldSpec("x", "int64")]), "x was float32 and is int64"),
        (profile([FieldSpec("x", "float32", optional=True)]), "x was float32 and is float32, optional"),
        (profile([*FIELDS, FieldSpec("more", "float32")]), "more (float32) is new"),
        (profile([FieldSpec("z", "float32")]), "x is gone; z (float32) is new"),
        (profile(target="other"), "the target was y and is other"),
        (
            profile() | {"task": "regression", "classes": None},
            "the task was classification and is regression",
        ),
    ],
)
async def test_what_the_predictor_would_not_let_serve_is_refused(
    world: World, described: dict[str, Any], said: str
) -> None:
    """However good: clients of the champion could not use it. Nothing is announced, the reason names why."""
    world.registry.bundles["2"] = bundle("2", threshold(2), described)
    await world.window(0)
    status = await world.considered(0)
    refused = status["decisions"][-1]
    assert (refused["decision"], refused["reason"]) == ("refused", f"not compatible: {said}")
    assert refused["challenger_version"] == "2"
    assert status["version"] == world.registry.alias == "1"
    assert world.producer.on("model-events") == []


@pytest.mark.parametrize(
    ("challenger", "said"),
    [
        (bundle("2", b"not a model"), "version 2 cannot be used: it cannot be loaded"),
        (bundle("2", threshold(float("nan"))), "version 2 cannot be used: the model's probabilities"),
        (bundle("2", threshold(2, classes=3)), "version 2 cannot be used: it gives 3 probabilities for 2"),
        (bundle("2", threshold(2), profile() | {"schema_version": 99}), "version 2 cannot be used: its profile"),
        (replace(bundle("2", threshold(2)), signature=[{"name": "z"}]), "signature and its profile differ in x, z"),
        (None, "no version 2 of m"),
    ],
)  # fmt: skip
async def test_a_challenger_that_cannot_be_used_is_a_failure(
    world: World, challenger: ModelBundle | None, said: str
) -> None:
    """It is never announced, the reason names it, and the loop goes on."""
    if challenger is not None:
        world.registry.bundles["2"] = challenger
    await world.window(0)
    failed = (await world.considered(0))["decisions"][-1]
    assert failed["decision"] == "failed"
    assert said in failed["reason"]
    assert world.producer.on("model-events") == []


async def test_a_registry_that_is_away_holds_a_decision_and_does_not_make_it(world: World) -> None:
    """Champion and challenger are asked for until they come, and the status says so meanwhile."""
    said: list[str | None] = []
    world.registry.bundles["2"] = bundle("2", threshold(2))
    world.registry.asked = lambda: said.append(world.loop.status()["waiting_for"])
    world.registry.away = [ConnectionError("no route")] * 2

    def again() -> None:
        world.registry.away = [ConnectionError("no route")] * 2

    world.pipeline.meanwhile = again
    await world.window(0)
    status = await world.considered(0)
    assert [d["decision"] for d in status["decisions"]] == ["promoted"]
    assert len(world.pipeline.selections) == 1
    away = "the registry: version {} cannot be fetched: no route"
    assert said == [
        None, away.format(1), away.format(1),
        "the training that runs", away.format(2), away.format(2),
    ]  # fmt: skip


async def test_a_failed_training_is_tried_again_at_the_next_boundary_a_refused_one_is_not(
    world: World,
) -> None:
    """With no row more: what failed was not judged."""
    world.pipeline.error = PipelineFailed("the barrel is empty")
    await world.window(0)
    await world.considered(0)
    world.pipeline.error = None
    world.registry.bundles["2"] = bundle("2", threshold(0))
    await world.window(1, rows=0)
    await world.considered(1)
    await world.window(2, rows=0)
    decisions = (await world.considered(2))["decisions"]
    assert [d["decision"] for d in decisions] == ["failed", "refused"]
    assert [d["as_of"] for d in decisions] == [STEP, 2 * STEP]


async def test_a_training_that_hangs_is_ended_and_tried_again_so_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record says why it failed and which attempt it was; the last, when the next one is made."""
    monkeypatch.setattr(world.loop.settings, "training_timeout_s", 0.05)
    monkeypatch.setattr(world.loop.settings, "training_attempts", 2)
    world.pipeline.hangs = True
    for k, rows in enumerate([100, 20, 4, 0, 1]):  # 120 are not a quarter more than 100; 125 are
        await world.window(k, rows=rows)
        await world.considered(k)
    said = [(d["as_of"] // STEP, d["reason"]) for d in world.loop.status()["decisions"]]
    why = "failed: the training was ended after 0.05 s (ATALAIA_TRAINING_TIMEOUT_S)"
    assert said == [
        (1, f"{why} (attempt 1 of 2 on these rows)"),
        (2, f"{why} (attempt 2 of 2 on these rows: the next is made when they have grown by a quarter)"),
        (5, f"{why} (attempt 2 of 2 on these rows: the next is made when they have grown by a quarter)"),
    ]
    assert len(world.pipeline.selections) == world.pipeline.ended == 3
    started = [d["reason"] for d in world.producer.on("training-runs") if d["decision"] == "started"]
    assert [reason.partition("failed before with ")[2] for reason in started] == [
        "", "100, attempt 2 of 2", "120, attempt 2 of 2",
    ]  # fmt: skip


async def test_a_run_that_a_crash_left_without_a_version_is_gone_on_with(world: World) -> None:
    """The pipeline is given it, and the decision is the one that there would have been."""
    world.tasks.pop().cancel()
    world.registry.bundles["2"] = bundle("2", threshold(2))
    orphan = Begun("orphan", "revision of the project")
    world.loop.registered._left = lambda _: (None, orphan)  # type: ignore[method-assign]
    await world.window(0)
    world.knowledge.history.record(begun())
    world.tasks.append(asyncio.create_task(world.loop.decide()))
    promoted = (await world.considered(0))["decisions"][-1]
    assert promoted["decision"] == "promoted", promoted["reason"]
    assert world.pipeline.resumed == [orphan]


async def test_a_real_alert_is_acted_on_beside_a_virtual_one_that_was_refused(world: World) -> None:
    """The virtual one waits for rows to grow; the real one, new at the next boundary, has not been judged yet."""
    world.registry.bundles["2"] = bundle("2", threshold(0))
    await world.window(0)
    await world.considered(0)
    world.registry.bundles["2"] = bundle("2", threshold(2))
    alert = AlertChanged(
        alert_id="R", model="m", version="1", kind="real", state="drift", previous="ok", since=100,
        window_start=STEP, window_end=2 * STEP, features={}, offsets={}, reason="error .1 -> .5",
    )  # fmt: skip
    await world.take("drift-alerts", alert)
    report = ConceptTested(
        model="m", version="1", as_of=2 * STEP, detector="adwin", rows=ROWS, error=0.5, state="drift",
        alert_id="R", since=100, offsets={},
    )  # fmt: skip
    await world.take("concept-reports", report)
    await world.window(1, rows=0)
    decisions = (await world.considered(1))["decisions"]
    assert [(d["decision"], d["alert_id"], d["as_of"], d["since"]) for d in decisions] == [
        ("refused", "A", STEP, 0),
        ("promoted", "R", 2 * STEP, 100),
    ]
    started = next(
        d for d in world.producer.on("training-runs") if d["decision"] == "started" and d["alert_id"] == "R"
    )
    assert started["reason"].endswith("real drift")


async def test_a_record_that_does_not_fit_goes_to_the_dlq_and_spoils_nothing(world: World) -> None:
    """Text among a feature's numbers, or a column too short: the rows are taken in once they come right."""
    good = outcomes(0)
    world.registry.bundles["2"] = bundle("2", threshold(2))
    spoiled: list[dict[str, Any]] = [
        {"features": {"x": [*good.features["x"][:-1], "much"]}},
        {"revision": good.revision[:-1]},
    ]
    for change in spoiled:
        await world.take("outcomes", msgspec.structs.replace(good, **change))
    assert len(world.producer.on("outcomes.dlq")) == 2
    await world.restart()
    assert len(world.producer.on("outcomes.dlq")) == 2  # it has read them again
    assert world.loop.status()["outcomes"] == 0
    await world.window(0)
    assert (await world.considered(0))["decisions"][-1]["decision"] == "promoted"
    chosen = world.pipeline.selections[0].train
    assert chosen.truth.tolist() == [int(x > 2) for x in chosen.features["x"]]


async def test_the_status_says_what_a_stall_waits_for(world: World) -> None:
    """An outcome that never came, as much as a trainer that has not read its topics yet."""
    await world.window(0)
    await world.considered(0)
    await world.window(1, rows=0)
    await world.considered(1)
    complete = QualityReported(
        model="m", version="1", window_start=STEP, window_end=2 * STEP, as_of=3 * STEP, revision=1, final=False,
        predicted=5, labelled=5, coverage=1.0, label_delay_mean=1.0, metrics={}, confusion=None,
    )  # fmt: skip
    await world.take("quality-reports", complete)
    await world.window(2, rows=0)
    await world.until(lambda: "outcomes" in (world.loop.status()["waiting_for"] or ""))
    stalled = "outcomes: 0 of 5 labelled rows of window [1000, 2000) as of 3000"
    assert world.loop.status()["waiting_for"] == stalled
    world.loop.reader.caught_up.clear()
    assert world.loop.status()["waiting_for"] == "the topics, which are read from their beginning"


async def test_a_closed_alert_is_trained_for_no_more(world: World) -> None:
    """Accepted or not: once a report names it no more, rows may come as they will. The next alert is another one."""
    await world.window(0, 60)
    assert (await world.considered(0))["decisions"][-1]["decision"] == "waiting"
    await accept(world, STEP)
    await world.window(1, alert=None)
    status = await world.considered(1)
    assert status["open_alert"] is None
    assert [d["decision"] for d in status["decisions"]] == ["waiting"]
    assert world.pipeline.selections == []


async def test_what_is_accepted_begins_no_training_though_the_trainer_was_behind(world: World) -> None:
    """It was busy with the alert while it was accepted, and the windows before that say that it is open. What was under
    way ends as it would; nothing new begins."""

    async def meanwhile() -> None:
        await world.window(1)
        await world.window(2)
        await accept(world, 3 * STEP)
        await world.window(3, alert=None)

    world.registry.bundles["2"] = bundle("2", threshold(0))  # no better: refused
    busy: list[asyncio.Task[None]] = []
    world.pipeline.meanwhile = lambda: busy.append(asyncio.create_task(meanwhile()))
    await world.window(0)
    status = await world.considered(3)
    assert [d["decision"] for d in status["decisions"]] == ["refused"]
    assert len(world.pipeline.selections) == len(busy) == 1


async def test_an_acceptance_that_the_monitor_passed_over_holds_nothing_back(world: World) -> None:
    """Where a report of a window after it still names the alert, it is open, and trained for."""
    world.registry.bundles["2"] = bundle("2", threshold(2))
    await accept(world, STEP)
    await world.window(0)
    assert (await world.considered(0))["decisions"] == []
    await world.window(1)
    assert (await world.considered(1))["decisions"][-1]["decision"] == "promoted"


async def test_a_training_that_is_asked_for_has_one_answer(world: World) -> None:
    """No alert is open: it begins at once, as of the newest boundary, on the rows so far, and is not repeated.

    It waits where rows are few, and its challenger has to win like any other.
    """
    world.registry.bundles["2"] = bundle("2", threshold(0))
    await world.window(0, rows=60, alert=None)
    await world.considered(0)
    asked = TrainingRequested(request_id="R", model="m", since=None, reason="new sensors", requested_by="me")
    await world.take("training-requests", asked)
    await world.until(lambda: len(world.producer.on("training-runs")) == 1)
    (waiting,) = world.producer.on("training-runs")
    assert (waiting["decision"], waiting["trigger"], waiting["alert_id"]) == ("waiting", "manual", "R")
    assert waiting["reason"].startswith("waiting: 60 of 100 labelled rows since the last training")
    await world.window(1, alert=None)
    await world.until(lambda: len(world.producer.on("training-runs")) == 3)
    started, refused = world.producer.on("training-runs")[1:]
    assert started["reason"] == "training: 180 labelled rows since the last training, asked for: new sensors"
    assert (refused["decision"], refused["as_of"], refused["trigger"]) == ("refused", 2 * STEP, "manual")
    await world.take("training-requests", asked)  # a copy asks for nothing
    await world.window(2, alert=None)
    await world.considered(2)
    assert len(world.producer.on("training-runs")) == 3
    assert len(world.pipeline.selections) == 1


async def test_a_request_for_another_model_is_not_ours(world: World) -> None:
    """Nothing begins."""
    await world.window(0, alert=None)
    await world.considered(0)
    await world.take(
        "training-requests", TrainingRequested(request_id="R", model="other", since=None, reason="")
    )
    await world.window(1, alert=None)
    await world.considered(1)
    assert world.producer.on("training-runs") == []


async def test_the_schedule_trains_once_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first boundary's period is passed over; each later one has one training, whatever comes of it."""
    made = World()
    made.loop.settings = Settings(model="m", min_train_rows=100, train_every_ms=3 * STEP)
    made.registry.bundles["2"] = bundle("2", threshold(0))  # no better: refused
    await made.begin()
    try:
        for k in range(8):
            await made.window(k, alert=None)
            await made.considered(k)
    finally:
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
    runs = [r for r in made.producer.on("training-runs") if r["decision"] != "started"]
    assert [(r["as_of"] // STEP, r["trigger"], r["alert_id"]) for r in runs] == [
        (3, "schedule", "m/schedule/1"),
        (6, "schedule", "m/schedule/2"),
    ]
    assert runs[0]["decision"] == "refused"
    assert made.pipeline.selections


async def test_a_rollback_while_it_trains_is_not_overwritten(world: World) -> None:
    """The winner beat a version that serves no more: refused, with the reason and the figures; nothing is announced."""
    world.registry.bundles["2"] = bundle("2", threshold(2))
    world.consumer.away = 1  # the broker answers at the second question; one record is not read yet
    world.consumer.unread["model-events"] = [lambda: world.serves("0", "1", "rolled_back", 900)]
    await world.window(0)
    status = await world.considered(0)
    refused = status["decisions"][-1]
    assert refused["decision"] == "refused"
    assert refused["reason"].startswith("version 0 serves now, not version 1 that was challenged; ")
    assert refused["challenger_version"] == "2"
    assert refused["gain"] > 0
    assert status["version"] == "0"
    assert world.producer.on("model-events") == []


async def test_a_promotion_after_a_rollback_takes_effect_after_it(world: World) -> None:
    """A rollback that is effective after the decision's boundary would else hold against the later promotion."""
    await world.serves("1", "7", "rolled_back", STEP + 200)
    world.registry.bundles["2"] = bundle("2", threshold(2))
    await world.window(0)
    await world.considered(0)
    (announced,) = world.producer.on("model-events")
    assert (announced["version"], announced["effective_from"]) == ("2", STEP + 200)


@pytest.mark.parametrize(
    ("registered", "changes", "said", "version"),
    [
        (None, [("0", "1", "rolled_back")], "version 0 serves now, not version 1 that was challenged", "0"),
        (
            "2",
            [("2", "1", "promoted"), ("1", "2", "rolled_back")],
            "version 1 serves now: version 2 was promoted and rolled back (complaints)",
            "1",
        ),
        (
            "2",
            [("1", "2", "rolled_back")],
            "version 1 serves now: version 2 was promoted and rolled back",
            "1",
        ),
        (
            "2",
            [("2", "1", "promoted"), ("0", "2", "rolled_back")],
            "version 0 serves now: version 2 was",
            "0",
        ),
    ],
)
async def test_a_restart_promotes_nothing_that_was_rolled_back(
    world: World, registered: str | None, changes: list[Any], said: str, version: str
) -> None:
    """A run whose end was not recorded: before it registered, or promoted and rolled back since, the topic compacted
    or not. It is refused, trains and announces nothing, and the alias follows what serves."""
    world.tasks.pop().cancel()
    world.registry.bundles["2"] = bundle("2", threshold(2))
    world.registry.alias = "2"
    made = Trained(registered, "run", "revision", "checksum") if registered else None
    world.loop.registered._left = lambda _: (made, None)  # type: ignore[method-assign]
    for change in changes:
        await world.serves(*change)
    world.knowledge.history.record(begun())
    world.tasks.append(asyncio.create_task(world.loop.decide()))
    await world.until(lambda: world.loop.status()["considered_through"] == STEP)
    (refused,) = world.loop.status()["decisions"]
    assert refused["decision"] == "refused"
    assert refused["reason"].startswith(said)
    assert refused["challenger_version"] == registered
    assert world.pipeline.selections == []
    assert world.producer.on("model-events") == []
    assert world.registry.alias == world.loop.status()["version"] == version


async def test_the_alias_follows_a_rollback_though_the_registry_was_away(world: World) -> None:
    """The trainer that runs moves it, and asks again until the registry answers."""
    world.tasks.append(asyncio.create_task(world.loop.alias.follow()))
    await world.until(lambda: world.loop.alias.at == "1")
    moved, failures = world.registry.set_champion, [ConnectionError("no route")]

    def away(model: str, version: str) -> None:
        if failures:
            raise failures.pop()
        moved(model, version)

    world.registry.set_champion = away  # type: ignore[method-assign]
    await world.serves("0", "1", "rolled_back", 900)
    world.loop.reader.said.set()  # as the reader does
    await world.until(lambda: world.registry.alias == "0")
    assert failures == []


async def test_while_a_run_is_pending_boundaries_go_on_and_no_other_run_begins(world: World) -> None:
    """Its challenger waits for a person: nothing is running, the status says what for, and its end frees the next."""
    won = msgspec.structs.replace(
        begun(), decision="waiting", waits_for="approval", reason="waiting for approval of version 2"
    )
    await world.take("training-runs", won)
    world.registry.bundles["2"] = bundle("2", threshold(2))
    for k in range(3):
        await world.window(k)
    status = await world.considered(2)
    assert (status["running"], world.pipeline.selections, len(status["decisions"])) == (False, [], 1)
    assert (
        status["waiting_for"]
        == "waiting for approval of version 2; a final drift report of version 1 after 3000"
    )
    await world.take(
        "training-runs", msgspec.structs.replace(won, decision="refused", reason="no", waits_for=None)
    )
    await world.window(3)
    assert [d["decision"] for d in (await world.considered(3))["decisions"]] == ["refused", "promoted"]
