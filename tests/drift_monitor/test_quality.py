"""Quality alerts: what was promised is held against what came, once a window, within the false-alarm budget."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.events import AlertChanged, ConceptTested, QualityReported
from drift_monitor.domain.quality import Figure, Promise, Quality, QualityRule, Standing, has_fallen
from summaries.intervals import intervals, wilson
from summaries.profile import FieldSpec, Profile
from summaries.quality import Classification, Regression

SIZE = 100
RULE = QualityRule("", 0.05, 0.9, 0.01, 1, 2)


def profile(right: int = 400, rows: int = 500) -> Profile:
    """A profile whose held-out rows were answered rightly so often."""
    truth = ["yes", "no"] * (rows // 2)
    predicted = truth[:right] + [{"yes": "no", "no": "yes"}[t] for t in truth[right:]]
    return Profile.build(
        {"x": np.arange(rows, dtype=float)},
        [FieldSpec("x", "float32")],
        predictions=predicted,
        probabilities=None,
        target="y",
        task="classification",
        classes=["no", "yes"],
        truth=truth,
    )


def report(
    end: int, as_of: int, right: int, rows: int = 200, *, labelled: int | None = None, version: str = "1"
) -> QualityReported:
    """A window's report: of its labelled rows so many were right."""
    labelled = rows if labelled is None else labelled
    quality = Classification(["no", "yes"])
    quality.update(["yes"] * labelled, ["yes"] * right + ["no"] * (labelled - right))
    return QualityReported(
        model="m",
        version=version,
        window_start=end - SIZE,
        window_end=end,
        as_of=as_of,
        revision=0,
        final=False,
        predicted=rows,
        labelled=labelled,
        coverage=labelled / rows,
        label_delay_mean=None,
        metrics=quality.get(),
        confusion=None,
        intervals=intervals(quality),
    )


class World:
    """A monitor's quality, and all it has published."""

    def __init__(self, rule: QualityRule | None = RULE) -> None:
        self.quality, self.rule = Quality("m", rule), rule
        self.reports: list[QualityReported] = []
        self.alerts: list[AlertChanged] = []
        self.told: dict[int, ConceptTested] = {}

    def decide(
        self, as_of: int, *reports: QualityReported, version: str = "1", seen: Profile | None = None
    ) -> Standing:
        """What is said as of a boundary, published."""
        for each in reports:
            self.quality.take(each)
        self.reports += reports
        standing = self.quality.decide(as_of, SIZE, version, seen or profile())
        self.alerts += standing.alerts
        self.told[as_of] = ConceptTested(
            model="m",
            version=version,
            as_of=as_of,
            detector="adwin",
            rows=0,
            error=None,
            state="ok",
            alert_id=None,
            since=None,
            offsets={},
            quality_alert_id=standing.alert_id,
            quality_state=standing.state.state,
            quality_since=standing.since,
        )
        self.quality.commit(standing)
        return standing

    def restart(self, rule: QualityRule | None = RULE) -> None:
        """Another worker decides: it has the topics, and nothing else."""
        self.quality = Quality("m", rule)
        for each in self.reports:
            self.quality.take(each)
        for as_of, told in sorted(self.told.items()):
            again = self.quality.decide(as_of, SIZE, told.version, profile(), told)
            assert not again.alerts
            self.quality.commit(again)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_window_that_is_worse_than_promised_opens_an_alert_that_recovers(restarted: bool) -> None:
    """One alert, named as of each boundary while it is open, the same for a worker that takes over after each of them."""
    world, states = World(), []
    for k, right in enumerate([160, 120, 118, 160, 161, 110]):
        end = (k + 1) * SIZE
        standing = world.decide(end, report(end, end, right))
        states.append((standing.state.state, standing.alert_id is not None))
        if restarted:
            world.restart()
    assert states == [
        ("ok", False), ("drift", True), ("drift", True), ("recovered", True), ("ok", False), ("drift", True)
    ]  # fmt: skip
    said = [(a.previous, a.state, a.window_end) for a in world.alerts]
    assert said == [
        ("ok", "drift", 200), ("drift", "recovered", 400), ("recovered", "ok", 500), ("ok", "drift", 600)
    ]  # fmt: skip
    assert {a.kind for a in world.alerts} == {"quality"}
    assert len({a.alert_id for a in world.alerts[:3]}) == 1 != len({a.alert_id for a in world.alerts})
    assert {a.since for a in world.alerts[:3]} == {100}
    assert world.alerts[0].reason == (
        "ok -> drift: accuracy 0.6 (0.531 to 0.665) on 200 labelled rows of a window; 0.8 on 500 rows was promised, "
        "and 0.05 worse is allowed"
    )


def test_a_window_is_judged_once_when_enough_of_it_is_labelled() -> None:
    """A window without labels enough says nothing; once it has them it is judged, and later labels change nothing."""
    world = World()
    assert world.decide(100, report(100, 100, 0, labelled=100)).state.state == "ok"
    bad = report(100, 200, 100, labelled=190)
    assert world.decide(200, bad, report(200, 200, 10, labelled=20)).state.state == "drift"
    better = msgspec.structs.replace(report(100, 300, 199), revision=2)
    assert world.decide(300, better).state.state == "drift"
    assert len(world.alerts) == 1


def test_windows_that_become_complete_together_are_judged_in_their_order() -> None:
    """Of two at one boundary the later window has the last word, and what changed in between is not told."""
    world = World()
    standing = world.decide(300, report(200, 300, 160), report(100, 300, 100))
    assert (standing.state.state, standing.since) == ("recovered", 0)
    assert [(a.previous, a.state) for a in world.alerts] == [("ok", "recovered")]


def test_an_alert_is_closed_by_the_version_that_answers_it() -> None:
    """Another version starts at ok, and its predecessor's windows that are labelled later say nothing of it."""
    world = World()
    world.decide(100, report(100, 100, 100))
    standing = world.decide(200, report(200, 200, 90), report(200, 200, 160, version="2"), version="2")
    assert (standing.state.state, standing.alert_id) == ("ok", None)
    assert [(a.version, a.state) for a in world.alerts] == [("1", "drift"), ("1", "ok")]
    assert world.alerts[-1].reason == "drift -> ok: version 2 serves"


def test_a_promise_on_few_rows_is_held_to_less() -> None:
    """The same live figure breaks a promise that rests on 500 rows and not one that rests on 20."""
    world = World()
    assert world.decide(100, report(100, 100, 120), seen=profile(16, 20)).state.state == "ok"
    assert World().decide(100, report(100, 100, 120), seen=profile()).state.state == "drift"


@pytest.mark.parametrize(
    ("held_out", "rows", "share", "drop"),
    [(400, 200, 0.8, 0.05), (60, 50, 0.6, 0.05), (300, 100, 0.97, 0.05)],
)
def test_false_alarms_stay_within_the_budget_at_the_very_limit(
    held_out: int, rows: int, share: float, drop: float
) -> None:
    """A model that is exactly as much worse as is allowed alarms in ``alpha`` of its windows, its promise drawn too."""
    random, draws, alpha, alarms = np.random.default_rng(7), 10_000, 0.01, 0
    held, live = random.binomial(held_out, share, draws), random.binomial(rows, share - drop, draws)
    for before, now in zip(held.tolist(), live.tolist(), strict=True):
        promise = Promise("accuracy", Figure(before / held_out, *wilson(before, held_out), held_out))
        alarms += has_fallen(Figure(now / rows, *wilson(now, rows), rows), promise, drop, alpha)
    assert 0.5 * alpha <= alarms / draws <= 1.3 * alpha


def test_a_model_that_keeps_its_promise_hardly_ever_alarms_and_a_broken_one_does() -> None:
    """With no drop at all 1 in 6,000 windows or fewer alarm; 15 points below, more than nine in ten do."""
    random = np.random.default_rng(8)

    def alarms(share: float, draws: int) -> float:
        seen = 0
        for _ in range(draws):
            held, live = int(random.binomial(400, 0.8)), int(random.binomial(400, share))
            promise = Promise("accuracy", Figure(held / 400, *wilson(held, 400), 400))
            seen += has_fallen(Figure(live / 400, *wilson(live, 400), 400), promise, 0.05, 0.001)
        return seen / draws

    assert alarms(0.8, 6000) <= 1 / 6000
    assert alarms(0.6, 500) > 0.9


def test_losses_are_worse_when_they_are_higher() -> None:
    """Of mae, log loss and the like a higher figure breaks the promise, a lower one keeps it."""
    promise = Promise("mae", Figure(2.0, 1.9, 2.1, 500))
    assert has_fallen(Figure(3.0, 2.8, 3.2, 300), promise, 0.5, 0.01)
    assert not has_fallen(Figure(1.0, 0.8, 1.2, 300), promise, 0.5, 0.01)


def test_a_regression_goes_by_its_absolute_error() -> None:
    """Where no metric is named a model of numbers is judged by mae."""
    rows = np.arange(100, dtype=float)
    held_out = Profile.build(
        {"x": rows},
        [FieldSpec("x", "float32")],
        predictions=rows + 1,
        probabilities=None,
        target="y",
        classes=None,
        task="regression",
        truth=rows,
    )
    promise = Promise.of(held_out)
    assert promise is not None
    expected = Regression()
    expected.update(rows, rows + 1)
    assert (promise.metric, promise.figure.value, promise.figure.rows) == ("mae", expected.get()["mae"], 100)


@pytest.mark.parametrize(
    ("rule", "seen"),
    [(None, profile()), (QualityRule("log_loss", 0.05, 0.9, 0.01, 1, 2), profile())],
)
def test_without_a_rule_or_a_promise_nothing_is_said(rule: QualityRule | None, seen: Profile) -> None:
    """No drop set, or no such metric of the held-out rows: no alert, however bad the window."""
    world = World(rule)
    assert world.decide(100, report(100, 100, 0), seen=seen).state.state == "ok"
    assert not world.alerts


def test_an_unknown_metric_is_refused() -> None:
    """A name of which nobody knows what is better cannot be judged."""
    with pytest.raises(ValueError, match="'bias' is none of accuracy, auc"):
        QualityRule("bias", 0.05, 0.9, 0.01, 1, 2)


@pytest.mark.parametrize("rule", [None, QualityRule("", 0.5, 0.9, 0.01, 1, 2)])
def test_other_settings_leave_what_was_said_and_close_it_only_where_none_are_asked_for(
    rule: QualityRule | None,
) -> None:
    """An open alert stays the one that was named; with quality alerts switched off it is closed by name."""
    world = World()
    opened = world.decide(100, report(100, 100, 100)).alert_id
    world.restart(rule)
    standing = world.decide(200)
    assert standing.alert_id == (None if rule is None else opened)
    assert [a.alert_id for a in world.alerts] == ([opened] * 2 if rule is None else [opened])


def test_all_reports_as_of_a_boundary_are_awaited() -> None:
    """The version's own report of the window that ends there is the last; without rows there is none to wait for."""
    quality = Quality("m", RULE)
    quality.take(report(200, 200, 100, version="2"))
    said: list[Any] = [quality.is_said(200, "1", 200), quality.is_said(200, "1", 0)]
    quality.take(report(200, 200, 100))
    said.append(quality.is_said(200, "1", 200))
    assert said == [False, True, True]
    later = Quality("m", RULE)
    later.take(report(300, 300, 100, version="2"))
    assert later.is_said(200, "1", 200)  # what comes later is there: no more is to come
