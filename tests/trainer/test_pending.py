"""From a verdict to what serves: a shadow period on live traffic, a person's word, and what comes in between."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from contracts.events import (
    ChallengerChanged,
    ChallengerReviewed,
    PredictionsMade,
    TrainingDecided,
)
from trainer.pipeline import Trained
from trainer.registered import Registered
from trainer_fakes import STEP, World, bundle, threshold

NEEDED = 200
NO_ANSWERS = "waiting: no answers yet, 0"
ASKS = "waiting for approval: better: accuracy"


@pytest.fixture
async def world() -> Any:
    """Version 1 serves, the registry holds a better version 2, and window 0 comes with an alert."""
    made = World()
    made.registry.bundles["2"] = bundle("2", threshold(2))
    await made.begin()
    yield made
    await made.stop()


@pytest.fixture
def asks(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Where a person has to approve."""
    monkeypatch.setattr(world.loop.settings, "promotion", "approve")
    return world


@pytest.fixture
def shadows(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Where a winner shadows first."""
    monkeypatch.setattr(world.loop.settings, "shadow_rows", NEEDED)
    return world


async def waits(world: World, reason: str) -> TrainingDecided:
    """The run of window 0, which is pending."""
    await world.window(0)
    await world.until(lambda: any(d["waits_for"] in ("shadow", "approval") for d in runs(world)))
    found = msgspec.convert(runs(world)[-1], TrainingDecided)
    assert (found.decision, found.challenger_version) == ("waiting", "2")
    assert found.reason.startswith(reason)
    assert world.producer.on("model-events") == []
    assert not world.loop.status()["running"]
    return found


def runs(world: World) -> list[Any]:
    """All that is on training-runs."""
    return world.producer.on("training-runs")


async def says(world: World, run: TrainingDecided, approved: bool, reason: str = "read it") -> None:
    """A person's word."""
    event = ChallengerReviewed(
        run_id=run.run_id, model="m", version="2", approved=approved, reason=reason, reviewed_by="us"
    )
    await world.take("approvals", event)


async def ends(world: World, run: TrainingDecided, decision: str) -> Any:
    """The end of a run, once there is one."""

    def found() -> list[Any]:
        over = ("promoted", "refused", "failed")
        return [d for d in runs(world) if d["run_id"] == run.run_id and d["decision"] in over]

    await world.until(lambda: bool(found()))
    (last,) = found()
    assert last["decision"] == decision, last["reason"]
    assert last["waits_for"] is None
    return last


async def test_a_winner_waits_with_its_evidence_and_serves_once_approved(asks: World) -> None:
    """The record holds all figures; what is approved is effective from the newest boundary considered by then."""
    run = await waits(asks, ASKS)
    assert run.gain is not None
    assert run.gain > 0
    assert run.p_value is not None
    assert {"champion", "challenger"} == set(run.metrics)
    assert "latency" in run.guardrails
    assert asks.loop.status()["pending"] == run.reason
    await asks.window(1)
    await asks.considered(1)
    assert len(asks.pipeline.selections) == 1
    assert asks.registry.alias == "1"
    await says(asks, run, approved=True)
    promoted = await ends(asks, run, "promoted")
    assert promoted["reason"].startswith("approved by us: read it; better: accuracy")
    assert promoted["metrics"] == run.metrics
    (event,) = asks.producer.on("model-events")
    assert (event["version"], event["effective_from"], promoted["as_of"]) == ("2", 2 * STEP, 2 * STEP)
    assert asks.registry.alias == "2"


async def test_what_a_person_refuses_does_not_serve(asks: World) -> None:
    """The record bears the reason, and of two words the first holds."""
    run = await waits(asks, ASKS)
    await says(asks, run, approved=False, reason="unfair to late flights")
    await says(asks, run, approved=True)
    refused = await ends(asks, run, "refused")
    assert refused["reason"].startswith("refused by us: unfair to late flights; better: accuracy")
    assert asks.producer.on("model-events") == []


@pytest.mark.parametrize("waited", [1, 3])
async def test_a_refusal_is_heeded_until_the_rows_as_of_then_have_grown(asks: World, waited: int) -> None:
    """However long the run had waited: not those as of its beginning."""
    run = await waits(asks, ASKS)
    for k in range(1, waited):
        await asks.window(k)
        await asks.considered(k)
    await says(asks, run, approved=False)
    refused = await ends(asks, run, "refused")
    assert refused["rows"]["labelled"] == waited * 120
    await asks.window(waited, rows=waited * 30 - 1)
    await asks.considered(waited)
    assert len(asks.pipeline.selections) == 1
    await asks.window(waited + 1, rows=1)
    await asks.considered(waited + 1)
    assert len(asks.pipeline.selections) == 2


@pytest.mark.parametrize("approved", [True, False])
async def test_a_word_that_came_while_no_trainer_ran_is_of_the_newest_boundary(
    asks: World, approved: bool
) -> None:
    """Quiet boundaries left no record: what is approved serves from the newest on, what is refused is heeded as of it."""
    run = await waits(asks, ASKS)
    for k in (1, 2):
        await asks.window(k)
        await asks.considered(k)
    await asks.stop()
    await says(asks, run, approved=approved)
    await asks.restart()
    end = await ends(asks, run, "promoted" if approved else "refused")
    await asks.considered(2)
    assert len(asks.pipeline.selections) == 1
    if approved:
        (event,) = asks.producer.on("model-events")
        assert end["as_of"] == event["effective_from"] == 3 * STEP
    else:
        assert end["rows"]["labelled"] == 360


async def test_a_run_whose_champion_serves_no_more_is_refused(asks: World) -> None:
    """At once, with the figures it had: there is nothing to approve any more."""
    run = await waits(asks, ASKS)
    await asks.serves("0", "1", "rolled_back", 900)
    refused = await ends(asks, run, "refused")
    assert refused["reason"].startswith("version 0 serves now, not version 1 that was challenged; better: ")
    assert refused["gain"] == run.gain
    await says(asks, run, approved=True)
    await asks.until(lambda: asks.loop.knowledge.approvals.of(run.run_id) is not None)
    assert asks.producer.on("model-events") == []


async def again(world: World, *lost: str) -> None:
    """The trainer is killed and started; the last record on each topic of ``lost`` had not been sent by then."""
    await world.stop()
    sent = world.producer.sent
    for name in lost:
        del sent[max(i for i, (topic, _) in enumerate(sent) if topic == name)]
    await world.restart()


async def test_an_approval_that_came_while_no_trainer_ran_is_acted_on_once(asks: World) -> None:
    """The run is pending after the restart and is promoted; after one more nothing comes again."""
    run = await waits(asks, ASKS)
    await asks.stop()
    await says(asks, run, approved=True)
    assert asks.producer.on("model-events") == []
    await asks.restart()
    await ends(asks, run, "promoted")
    await asks.restart()
    await asks.window(1, alert=None, version="2")
    await asks.considered(1)
    assert len(asks.producer.on("model-events")) == 1
    assert [d["decision"] for d in runs(asks)] == ["started", "waiting", "promoted"]


async def test_a_crash_between_the_promotion_and_its_record_promotes_once(asks: World) -> None:
    """The version serves already: the run ends as it had, and model-events are told nothing new."""
    run = await waits(asks, ASKS)
    await says(asks, run, approved=True)
    first = await ends(asks, run, "promoted")
    await again(asks, "training-runs")
    assert await ends(asks, run, "promoted") == first
    assert len(asks.producer.on("model-events")) == 1


async def answers(world: World, first: int, last: int) -> None:
    """The predictor has asked version 2 about rows of these event times."""
    event = PredictionsMade(
        batch_id="b" * 32, model="m", version="2", event_time=[first, last], features={"x": [0.0, 0.0]},
        predictions=[0, 0],
    )  # fmt: skip
    await world.take("shadow-predictions", event)


async def test_a_winner_serves_once_it_has_won_again_in_shadow(shadows: World) -> None:
    """It is announced; the rows count from the boundary after its first answer, and are those that decide."""
    run = await waits(shadows, f"{NO_ANSWERS} of {NEEDED} labelled rows of live traffic in shadow; better: ")
    (told,) = shadows.producer.on("challengers")
    assert (told["version"], told["announced_by"]) == ("2", "trainer")
    assert told["sha256"] == shadows.registry.bundles["2"].sha256
    assert run.run_id in told["reason"]
    await answers(shadows, STEP + 300, STEP + 999)
    await shadows.window(1)
    await shadows.considered(1)
    assert (
        shadows.loop.status()["pending"] == f"waiting: 0 of {NEEDED} labelled rows of live traffic in shadow"
    )
    await answers(shadows, 2 * STEP, 4 * STEP)
    await shadows.window(2)
    await shadows.considered(2)
    assert shadows.loop.status()["pending"].startswith(f"waiting: 120 of {NEEDED} labelled")
    await shadows.window(3)
    promoted = await ends(shadows, run, "promoted")
    assert promoted["reason"].startswith("in shadow better: accuracy 1.0000 against the champion's 0.7")
    assert (promoted["rows"]["shadow"], promoted["as_of"]) == (240, 4 * STEP)
    assert promoted["metrics"] != run.metrics
    (event,) = shadows.producer.on("model-events")
    assert (event["version"], event["effective_from"]) == ("2", 4 * STEP)
    await shadows.until(lambda: len(shadows.producer.on("challengers")) == 2)
    assert shadows.producer.on("challengers")[-1]["version"] is None
    assert len(shadows.pipeline.selections) == 1


async def test_a_challenger_that_no_predictor_answers_with_never_passes(shadows: World) -> None:
    """Rows by the hundred, and not one that it was asked about; nor do those count that come after its last answer."""
    await waits(shadows, NO_ANSWERS)
    for k in range(1, 5):
        await shadows.window(k)
        await shadows.considered(k)
    assert shadows.loop.status()["pending"].startswith(NO_ANSWERS)
    await answers(shadows, 4 * STEP, 5 * STEP - 1)  # and then it was gone
    for k in range(5, 9):
        await shadows.window(k)
        await shadows.considered(k)
    assert shadows.loop.status()["pending"].startswith("waiting: 120 of")
    assert shadows.producer.on("model-events") == []


async def test_no_row_that_it_was_trained_or_chosen_on_counts_in_shadow(shadows: World) -> None:
    """Somebody asks about old rows, and it answers: that is no answer in shadow, and rows count from the first one on."""
    run = await waits(shadows, NO_ANSWERS)
    await answers(shadows, 10, STEP - 1)
    await shadows.window(1)
    await shadows.considered(1)
    assert shadows.loop.status()["pending"].startswith(NO_ANSWERS)
    await answers(shadows, 10, 4 * STEP)
    await answers(shadows, 3 * STEP, 3 * STEP + 10)
    for k in (2, 3):
        await shadows.window(k)
        await shadows.considered(k)
    assert shadows.loop.status()["pending"].startswith("waiting: 120 of")
    await answers(shadows, 3 * STEP, 5 * STEP)
    await shadows.window(4)
    promoted = await ends(shadows, run, "promoted")
    assert (promoted["rows"]["shadow"], promoted["as_of"]) == (240, 5 * STEP)


async def test_answers_are_read_where_a_version_shadows_alone(shadows: World) -> None:
    """From its announcement on, give or take what clocks differ; a restart without a run in shadow reads none of them."""
    await shadows.restart()
    assert shadows.consumer.followed == []
    await waits(shadows, NO_ANSWERS)
    (told,) = shadows.producer.on("challengers")
    since = told["effective_from"] - 3_600_000
    assert shadows.consumer.followed == [since]
    await answers(shadows, STEP, 2 * STEP)
    await again(shadows)
    assert shadows.loop.status()["pending"] == (
        f"waiting: {NEEDED} labelled rows of live traffic in shadow are wanted, and counted at the next boundary"
    )
    await shadows.window(1)
    await shadows.considered(1)
    assert shadows.consumer.followed == [since]
    assert shadows.loop.status()["pending"].startswith("waiting: 120 of")


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (None, "no predictor has answered with version 2 in shadow within 3.47222e-05 days"),
        (3 * STEP, "120 of 200 labelled rows of live traffic in shadow after 3.47222e-05 days"),
    ],
)
async def test_a_shadow_period_that_gets_no_rows_ends(
    shadows: World, monkeypatch: pytest.MonkeyPatch, first: int | None, said: str
) -> None:
    """After so much event time the run has failed, says whether anybody answered, and holds nobody back any more."""
    monkeypatch.setattr(shadows.loop.settings, "shadow_timeout_ms", 3 * STEP)
    run = await waits(shadows, NO_ANSWERS)
    if first is not None:
        await answers(shadows, first, first + STEP - 1)
    for k in (1, 2):
        await shadows.window(k)
        await shadows.considered(k)
    assert shadows.loop.status()["pending"] is not None
    await shadows.asks("by hand")
    await shadows.window(3)
    failed = await ends(shadows, run, "failed")
    assert failed["reason"] == f"failed: {said} (ATALAIA_SHADOW_TIMEOUT_MS)"
    assert failed["as_of"] == 4 * STEP
    await shadows.until(lambda: runs(shadows)[-1]["waits_for"] == "shadow")
    assert "by hand" in runs(shadows)[-1]["answers"]


async def test_a_winner_that_loses_on_live_traffic_is_refused(shadows: World) -> None:
    """The world has changed back: the figures are those of the shadow period, and none shadows any more."""
    run = await waits(shadows, NO_ANSWERS)
    await answers(shadows, STEP, 3 * STEP)
    await shadows.window(1, limit=0)
    await shadows.window(2, limit=0)
    refused = await ends(shadows, run, "refused")
    assert refused["reason"].startswith("in shadow not better: accuracy 0.7")
    assert refused["gain"] < 0
    assert shadows.producer.on("model-events") == []
    await shadows.until(lambda: [e["version"] for e in shadows.producer.on("challengers")] == ["2", None])


async def test_who_else_announces_a_challenger_ends_the_shadow_period(shadows: World) -> None:
    """The run is refused, says who and why, and the other announcement stands."""
    run = await waits(shadows, NO_ANSWERS)
    other = ChallengerChanged(
        model="m", version="7", artifact_uri="", sha256="", effective_from=1, reason="a better idea", announced_by="us"
    )  # fmt: skip
    shadows.consumer.unread["challengers"] = [lambda: shadows.take("challengers", other)]
    await shadows.window(1, rows=10)
    refused = await ends(shadows, run, "refused")
    said = "its shadow period was ended: version 7 shadows instead: a better idea (us); "
    assert refused["reason"].startswith(said)
    await shadows.considered(1)
    assert len(shadows.producer.on("challengers")) == 1


async def test_a_winner_takes_the_place_of_who_was_announced_meanwhile(shadows: World) -> None:
    """It is on the topic and not read yet: the announcement names it."""
    other = ChallengerChanged(
        model="m", version="7", artifact_uri="", sha256="", effective_from=1, reason="a better idea", announced_by="us"
    )  # fmt: skip
    shadows.consumer.unread["challengers"] = [lambda: shadows.take("challengers", other)]
    await waits(shadows, NO_ANSWERS)
    (told,) = shadows.producer.on("challengers")
    assert told["reason"].endswith("has won its challenge, in place of version 7")


async def test_what_somebody_announces_as_a_shadow_period_ends_stands(shadows: World) -> None:
    """It is on the topic and not read yet: the trainer says nothing more."""
    other = ChallengerChanged(
        model="m", version="7", artifact_uri="", sha256="", effective_from=1, reason="a better idea", announced_by="us"
    )  # fmt: skip
    shadows.registry.bundles["0"] = bundle("0", threshold(1))
    run = await waits(shadows, NO_ANSWERS)
    shadows.consumer.unread["challengers"] = [lambda: shadows.take("challengers", other)]
    await shadows.serves("0", "1", "rolled_back", 900)
    await ends(shadows, run, "refused")
    await shadows.until(lambda: shadows.consumer.unread["challengers"] == [])
    await shadows.window(1, rows=10, version="0")
    await shadows.considered(1)
    assert len(shadows.producer.on("challengers")) == 1


async def test_a_shadow_period_ends_with_the_champion_it_is_against(shadows: World) -> None:
    """A rollback by hand meanwhile: refused, and none shadows any more."""
    run = await waits(shadows, NO_ANSWERS)
    await shadows.serves("0", "1", "rolled_back", 900)
    refused = await ends(shadows, run, "refused")
    assert refused["reason"].startswith("version 0 serves now, not version 1 that was challenged; ")
    await shadows.until(lambda: shadows.producer.on("challengers")[-1]["version"] is None)


async def test_after_its_shadow_period_a_winner_asks(shadows: World, asks: World) -> None:
    """One run, three words: with the figures of the shadow period a person is asked."""
    run = await waits(shadows, NO_ANSWERS)
    await says(shadows, msgspec.structs.replace(run, run_id="another"), approved=True)
    await answers(shadows, STEP, 3 * STEP)
    await shadows.window(1)
    await shadows.window(2)
    await shadows.until(lambda: runs(shadows)[-1]["waits_for"] == "approval")
    assert runs(shadows)[-1]["reason"].startswith("waiting for approval: in shadow better: accuracy")
    await says(shadows, run, approved=True)
    promoted = await ends(shadows, run, "promoted")
    assert promoted["rows"]["shadow"] == 240
    assert [d["waits_for"] for d in runs(shadows)] == [None, "shadow", "approval", None]


@pytest.mark.parametrize("first", [STEP + 1, STEP + 990, 2 * STEP])
async def test_when_in_a_window_the_predictor_took_it_up_decides_nothing(shadows: World, first: int) -> None:
    """At the boundary, or at any moment of the window before it: the same rows, the same words, the same boundary."""
    run = await waits(shadows, NO_ANSWERS)
    await answers(shadows, first, 4 * STEP)
    for k in (1, 2, 3):
        await shadows.window(k)
    promoted = await ends(shadows, run, "promoted")
    assert (promoted["as_of"], promoted["rows"]["shadow"]) == (4 * STEP, 240)


@pytest.mark.parametrize("lost", [["training-runs"], []])
async def test_a_restart_goes_on_with_a_shadow_period(shadows: World, lost: list[str]) -> None:
    """Killed once it was announced, recorded or not: one announcement, and it ends as it would have."""
    run = await waits(shadows, NO_ANSWERS)
    made = Trained("2", "run", "revision", "checksum")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registered, "_left", lambda *_: (made, None))
        await again(shadows, *lost)
        await shadows.until(lambda: runs(shadows)[-1]["waits_for"] == "shadow")
    await answers(shadows, STEP, 3 * STEP)
    await shadows.window(1)
    await shadows.window(2)
    promoted = await ends(shadows, run, "promoted")
    assert promoted["rows"]["shadow"] == 240
    await shadows.until(lambda: [e["version"] for e in shadows.producer.on("challengers")] == ["2", None])


async def test_a_crash_after_a_shadow_period_leaves_the_same_record(shadows: World) -> None:
    """Promoted by the second challenge and killed before it was recorded: the same figures, one event."""
    run = await waits(shadows, NO_ANSWERS)
    await answers(shadows, STEP, 3 * STEP)
    await shadows.window(1)
    await shadows.window(2)
    first = await ends(shadows, run, "promoted")
    await shadows.until(lambda: len(shadows.producer.on("challengers")) == 2)
    await again(shadows, "training-runs", "challengers")
    second = await ends(shadows, run, "promoted")
    assert (
        first.pop("guardrails").keys() == second.pop("guardrails").keys()
    )  # one of them is a time that was taken
    assert second == first
    assert len(shadows.producer.on("model-events")) == 1
    await shadows.until(lambda: [e["version"] for e in shadows.producer.on("challengers")] == ["2", None])


async def test_a_challenger_that_somebody_made_serve_waits_no_more(asks: World) -> None:
    """The run ends as promoted, in the words of whoever did it, and its topic is told nothing."""
    run = await waits(asks, ASKS)
    await asks.serves("2", "1", "rolled_back", 1_100)
    promoted = await ends(asks, run, "promoted")
    assert promoted["reason"] == "it serves already: complaints"
    assert asks.producer.on("model-events") == []
