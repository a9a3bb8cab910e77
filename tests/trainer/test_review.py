"""Reviews of promoted versions: the statistics, what many looks cost, and what the trainer makes of a look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contracts.events import ModelChanged, PromotionReviewed
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from servicekit.config import Settings
from sklearn.metrics import root_mean_squared_error
from trainer.domain import review
from trainer.domain.challenge import Scored
from trainer.domain.spans import DAY, count, spans
from trainer.domain.student import quantile
from trainer_fakes import STEP, World, bundle, outcomes, threshold

WINDOW, WANTED = 3_600_000, 2_000


@given(st.floats(0.5, 0.999999), st.integers(1, 60))
def test_students_quantile_is_scipys(chance: float, freedom: int) -> None:
    """Two-sided, for any whole number of degrees of freedom."""
    assert quantile(chance, freedom) == pytest.approx(stats.t.ppf((1 + chance) / 2, freedom), rel=1e-6)


def test_with_one_row_a_span_it_is_the_paired_t_interval() -> None:
    """Of the gains, as scipy gives it."""
    gain = np.random.default_rng(0).normal(0.1, 1, 40)
    width = review.half_width(gain, np.arange(40), 0.9)
    interval = stats.ttest_1samp(gain, 0).confidence_interval(0.9)
    assert (gain.mean() - width, gain.mean() + width) == pytest.approx((interval.low, interval.high))


def test_rows_that_share_a_span_count_as_one() -> None:
    """Ten copies of every row make the interval no narrower than it was, but for nothing new."""
    gain = np.random.default_rng(1).normal(0, 1, 30)
    once = review.half_width(gain, np.arange(30), 0.95)
    assert review.half_width(np.repeat(gain, 10), np.repeat(np.arange(30), 10), 0.95) == pytest.approx(once)


def test_the_gain_in_rmse_has_the_interval_of_its_resamples() -> None:
    """The delta method against the bootstrap, on two regressions of different quality."""
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 1, 2000)
    good, bad = Scored(truth + rng.normal(0, 0.5, 2000)), Scored(truth + rng.normal(0, 0.6, 2000))
    found = review.compare(
        truth, bad, good, np.arange(2000), metric="rmse", task="regression", confidence=0.95
    )
    gains = [
        root_mean_squared_error(truth[i], good.predictions[i]) - root_mean_squared_error(truth[i], bad.predictions[i])
        for i in rng.integers(0, 2000, (400, 2000))
    ]  # fmt: skip
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(gains), rel=0.1)
    assert found.gain == pytest.approx(
        found.metrics["predecessor"]["rmse"] - found.metrics["promoted"]["rmse"]
    )
    assert found.high < 0


def test_a_metric_that_there_is_not_is_an_error() -> None:
    """Labels have no log loss."""
    said = Scored(np.array([0, 1]))
    with pytest.raises(ValueError, match="metric 'log_loss' cannot be computed"):
        review.compare(
            np.array([0, 1]),
            said,
            said,
            np.arange(2),
            metric="log_loss",
            task="classification",
            confidence=0.9,
        )


def reviewed(gain: np.ndarray[Any, Any], time: np.ndarray[Any, Any], every: int, length: int = WINDOW) -> str:
    """How the review of a version with these gains ends that is looked at after each ``every`` rows."""
    span, looks, before = spans(time, length), 0, 0
    for n in range(every, len(gain) + 1, every):
        if not review.due(n, before, count(span[:n]), WANTED):
            continue
        looks, before, mean = looks + 1, n, float(gain[:n].mean())
        confidence = review.confidence_of(looks, 0.95)
        width = review.half_width(gain[:n], span[:n], confidence)
        found = review.Compared({}, mean, mean - width, mean + width, confidence)
        verdict = review.verdict(found, n, WANTED)
        if verdict != "undecided":
            return verdict
    return "undecided"


def rolled_back(make: Any, times: int, every: int = 50) -> float:
    """The share of ``times`` reviews, each of other rows, that end in a rollback."""
    rng = np.random.default_rng(20)
    time = np.arange(WANTED) * (WINDOW // 25)  # 25 rows a window
    return sum(reviewed(make(rng), time, every) == "rolled_back" for _ in range(times)) / times


def accuracy(lost: float, won: float) -> Any:
    """Gains of a version that is wrong where its predecessor was right with a chance of ``lost``; ``won``: the reverse."""

    def make(rng: np.random.Generator) -> Any:
        dice = rng.random(WANTED)
        return (dice < won).astype(float) - (dice > 1 - lost)

    return make


def weather(rng: np.random.Generator) -> Any:
    """Gains that the rows of a window share in part."""
    return np.repeat(rng.normal(0, 0.1, WANTED // 25), 25) + rng.normal(0, 0.3, WANTED)


@pytest.mark.parametrize("every", [10, 100])
@pytest.mark.parametrize("equal", [accuracy(0.05, 0.05), accuracy(0.2, 0.2), weather])
def test_an_equally_good_version_is_seldom_rolled_back(equal: Any, every: int) -> None:
    """Over all looks, many or few: no more than the 5% that the confidence leaves; measured 1% to 3%."""
    assert rolled_back(equal, 300, every) <= 0.05


def test_days_that_differ_are_no_reason_to_roll_back() -> None:
    """Two equal versions on 20 rows an hour, each day with a luck of its own: by days no more than the 5% are rolled
    back; hours of one day taken as independent make it every third at least."""
    rng, rows = np.random.default_rng(3), 4_800
    time = np.arange(rows) * (WINDOW // 20)
    by = dict.fromkeys((DAY, WINDOW), 0)
    for _ in range(100):
        gain = np.repeat(rng.normal(0, 0.05, rows // 480), 480) + rng.normal(0, 0.1, rows)
        for length in by:
            by[length] += reviewed(gain, time, 100, length) == "rolled_back"
    assert by[DAY] <= 5
    assert by[WINDOW] >= 30


def test_a_worse_version_is_rolled_back() -> None:
    """Ten points of accuracy less nearly always; five points, where the two differ on 15% of rows, most of the time."""
    assert rolled_back(accuracy(0.2, 0.1), 100) >= 0.95
    assert rolled_back(accuracy(0.1, 0.05), 100) >= 0.8


def test_without_the_price_of_looking_it_would_err_more_often() -> None:
    """That the confidence is spent is what keeps many looks honest: 95% at each look errs in more than 5%."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(review, "confidence_of", lambda look, confidence: 0.9)  # one-sided 95%
        assert rolled_back(accuracy(0.2, 0.2), 200, 10) > 0.05


@pytest.fixture
async def world() -> Any:
    """Version 2 is promoted over version 1 at the end of window 0: right for x > 2, and the world was that."""
    made = World()
    made.loop.settings.span_ms, made.loop.settings.review_rows = STEP, 1_000
    made.registry.bundles["2"] = bundle("2", threshold(2))
    await made.begin()
    await made.window(0)
    await made.considered(0)
    assert made.loop.status()["version"] == "2"
    yield made
    await made.stop()


async def windows(
    world: World, first: int, last: int, limit: float, rows: int = 30, version: str = "2"
) -> None:
    """So many windows that a version answers while the world is x > limit."""
    for k in range(first, last):
        await world.window(k, rows, alert=None, version=version, limit=limit)
        await world.considered(k)


def looks(world: World) -> list[Any]:
    """All looks so far."""
    return world.producer.on("promotion-reviews")


async def test_a_version_that_does_worse_is_rolled_back(world: World) -> None:
    """The world changes back: after five windows one look, one rollback, and the alias follows."""
    await windows(world, 1, 5, limit=0)
    assert looks(world) == []
    await windows(world, 5, 6, limit=0)
    (look,) = looks(world)
    assert look["reason"].startswith("worse: accuracy 0.7")
    assert (look["verdict"], look["look"], look["rows"]) == ("rolled_back", 1, 150)
    assert (look["version"], look["previous_version"], look["as_of"]) == ("2", "1", 6 * STEP)
    assert look["high"] < 0
    assert look["confidence"] == pytest.approx(0.975)
    _, event = world.producer.on("model-events")
    assert (event["action"], event["version"], event["previous_version"]) == ("rolled_back", "1", "2")
    assert event["sha256"] == world.registry.bundles["1"].sha256
    assert (event["effective_from"], event["reason"]) == (6 * STEP, look["reason"])
    assert world.registry.alias == world.loop.status()["version"] == "1"


async def test_the_version_that_came_back_is_not_reviewed(world: World) -> None:
    """Against the one that it replaced: that was found worse."""
    await windows(world, 1, 6, limit=0)
    await windows(world, 6, 14, limit=2, version="1")
    assert len(looks(world)) == 1
    assert world.loop.status()["version"] == "1"


async def test_a_short_window_is_no_day(world: World) -> None:
    """However many windows there are: by default nothing is said before five days."""
    world.loop.settings.span_ms = Settings().span_ms
    await windows(world, 1, 14, limit=0, rows=100)
    assert looks(world) == []


async def test_a_version_that_does_well_is_kept(world: World) -> None:
    """Looks come as rows grow by a quarter, and end with as many rows as a review wants."""
    await windows(world, 1, 14, limit=2, rows=100)
    assert [(e["look"], e["rows"], e["verdict"]) for e in looks(world)] == [
        (1, 500, "undecided"), (2, 700, "undecided"), (3, 900, "undecided"), (4, 1_000, "kept"),
    ]  # fmt: skip
    assert looks(world)[-1]["reason"].startswith("not worse: accuracy 1.0000 against the predecessor's 0.7")
    assert len(world.producer.on("model-events")) == 1


async def test_no_row_that_it_was_trained_or_chosen_on_is_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that its predecessor answered after it was effective: only what it has served."""
    seen: list[Any] = []
    look = world.loop.reviewing._look

    async def looking(serving: ModelChanged, rows: Any, *rest: Any) -> PromotionReviewed:
        seen.extend(rows.prediction_id.tolist())
        return await look(serving, rows, *rest)

    monkeypatch.setattr(world.loop.reviewing, "_look", looking)
    late = outcomes(1, 40, "1")
    await world.take("outcomes", late)
    await windows(world, 2, 8, limit=2)
    (chosen,) = world.pipeline.selections
    before = {*chosen.train.prediction_id, *chosen.holdout.prediction_id, *late.prediction_id}
    assert len(seen) >= 150
    assert before.isdisjoint(seen)


async def test_no_look_without_new_rows_or_where_a_version_cannot_be_asked(world: World) -> None:
    """Empty windows spend no confidence; a predecessor that is gone from the registry is logged, and the loop goes on."""
    await windows(world, 1, 6, limit=2)
    assert len(looks(world)) == 1
    await windows(world, 6, 9, limit=2, rows=0)
    del world.registry.bundles["1"]
    await windows(world, 9, 12, limit=2)
    assert len(looks(world)) == 1


async def test_where_rollbacks_are_off_it_is_only_said(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and the log says why nothing is done; the look does not: it may be acted on later."""
    monkeypatch.setattr(world.loop.settings, "rollback", "off")
    await windows(world, 1, 9, limit=0)
    (look,) = looks(world)
    assert look["verdict"] == "rolled_back"
    assert "ROLLBACK" not in look["reason"]
    assert "version 2 is worse and serves on: ATALAIA_ROLLBACK is off" in caplog.messages
    assert world.loop.status()["version"] == "2"


async def test_nothing_is_rolled_back_for_an_old_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rollbacks are switched on: the version is looked at again, as of the newest boundary, and goes for what that says."""
    monkeypatch.setattr(world.loop.settings, "rollback", "off")
    await windows(world, 1, 8, limit=0)
    await world.stop()
    monkeypatch.setattr(world.loop.settings, "rollback", "automatic")
    await world.restart()
    await world.until(lambda: world.loop.status()["version"] == "1")
    assert [(e["as_of"], e["verdict"]) for e in looks(world)] == [
        (6 * STEP, "rolled_back"), (8 * STEP, "rolled_back"),
    ]  # fmt: skip
    event = world.producer.on("model-events")[-1]
    assert (event["action"], event["effective_from"]) == ("rolled_back", 8 * STEP)
    assert event["reason"] == looks(world)[-1]["reason"]


async def test_a_version_that_has_recovered_since_an_old_look_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new look says so."""
    monkeypatch.setattr(world.loop.settings, "rollback", "off")
    await windows(world, 1, 6, limit=0)
    await windows(world, 6, 9, limit=2, rows=300)
    await world.stop()
    monkeypatch.setattr(world.loop.settings, "rollback", "automatic")
    await world.restart()
    await windows(world, 9, 10, limit=2)
    assert [e["verdict"] for e in looks(world)] == ["rolled_back", "kept"]
    assert world.loop.status()["version"] == "2"


async def test_what_is_found_worse_and_serves_on_begins_no_pause(world: World) -> None:
    """Rollbacks are off, or the predecessor is gone: nothing was rolled back, so no training waits for it."""
    world.loop.settings.rollback, world.loop.settings.training_pause_ms = "off", 3 * STEP
    await windows(world, 1, 6, limit=0)
    assert looks(world)[-1]["verdict"] == "rolled_back"
    await world.window(6, alert="B", version="2", limit=0)
    await world.considered(6)
    assert [d["decision"] for d in world.producer.on("training-runs")][2:] == ["started", "refused"]


async def test_nothing_is_rolled_back_over_what_somebody_made_serve_meanwhile(world: World) -> None:
    """It is on model-events and not read yet while the look is made: that holds."""
    await windows(world, 1, 5, limit=0)
    world.consumer.unread["model-events"] = [lambda: world.serves("7", "2", "promoted", 5 * STEP)]
    await windows(world, 5, 6, limit=0)
    assert looks(world)[-1]["verdict"] == "rolled_back"
    assert [e["version"] for e in world.producer.on("model-events")] == ["2"]
    assert world.loop.status()["version"] == "7"


@pytest.mark.parametrize("lost", [["model-events"], ["model-events", "promotion-reviews"], []])
async def test_a_crash_at_any_point_of_a_rollback_leaves_one(world: World, lost: list[str]) -> None:
    """Before the look was recorded, between it and model-events, or after both."""
    await windows(world, 1, 6, limit=0)
    await world.stop()
    sent = world.producer.sent
    for topic in lost:
        del sent[max(i for i, (name, _) in enumerate(sent) if name == topic)]
    await world.restart()
    await world.until(lambda: world.registry.alias == world.loop.status()["version"] == "1")
    assert len(looks(world)) == 1
    assert [(e["action"], e["version"]) for e in world.producer.on("model-events")] == [
        ("promoted", "2"), ("rolled_back", "1"),
    ]  # fmt: skip
