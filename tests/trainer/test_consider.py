"""What is to be done at a boundary: one run that answers all that is open, or a wait that says for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from contracts.events import ModelChanged, TrainingDecided
from hypothesis import given
from hypothesis import strategies as st
from trainer.domain.consider import Ask, Need, Step, ask, consider
from trainer.domain.history import History, run_id
from trainer.domain.pause import Hold, pause, pending
from trainer.domain.triggers import Kind, Trigger
from trainer_fakes import begun

HELD = Hold(50, "the pause after the training as of then ends later")


def decided(decision: Any, labelled: int = 400, **changed: Any) -> TrainingDecided:
    """What was said of A at boundary 10, of a change at 0."""
    words = {"as_of": 10, "rows": {"labelled": labelled}, "decision": decision, "since": 0} | changed
    return msgspec.structs.replace(
        begun(), run_id=run_id("m", words.get("alert_id", "A"), words["as_of"]), **words
    )


def asks(
    said: Sequence[TrainingDecided] = (),
    labelled: int = 400,
    kind: Kind = "virtual",
    since: int = 0,
    name: str = "A",
    attempts: int = 3,
    boundary: int = 100,
) -> Ask:
    """A trigger after what was said, with so many rows since whatever point."""
    history = History()
    for decision in said:
        history.record(decision)
    return ask(Trigger(name, kind, since, ""), since, boundary, history, lambda _: labelled, attempts)


def one(found: Ask, labelled: int, needed: int = 400, **more: Any) -> Step | None:
    """The step for a trigger alone."""
    steps = consider([found], {found.since: Need(labelled, needed)}, 0.95, **more)
    assert len(steps) <= 1
    return steps[0] if steps else None


def test_too_few_rows_wait_and_say_how_many() -> None:
    """And say it again only when the count has grown, or is counted from elsewhere."""
    step = one(asks(), 143)
    assert step is not None
    assert (step.decision, step.waits_for) == ("waiting", "rows")
    assert step.reason == (
        "waiting: 143 of 400 labelled rows since the change point (up to the newest window with 95% of its labels)"
    )
    said = decided("waiting", 143, waits_for="rows")
    assert one(asks([said]), 143) is None
    assert one(asks([said]), 150) is not None
    assert one(asks([msgspec.structs.replace(said, since=5)]), 143) is not None


def test_that_something_waits_is_said_once_a_boundary() -> None:
    """Whatever it waits for by then; what is new beside it says so for itself."""
    for said in (decided("waiting", 143, waits_for="rows"), decided("waiting", 143)):
        told = asks([said], boundary=10)
        assert one(told, 150) is None
        assert one(told, 150, hold=Hold(99, "")) is None
        (step,) = consider([told, asks(kind="real", name="R")], {0: Need(150, 400)}, 0.95)
        assert [each.trigger.alert_id for each in step.asks] == ["R"]


def test_a_need_by_the_curve_is_about_and_scarce_classes_are_named() -> None:
    """Rows enough in all do not make up for a class with too few."""
    scarce = Need(500, 450, True, {"late": 3, "early": 12}, each=10)
    (step,) = consider([asks(kind="real")], {0: scarce}, 0.9)
    assert step.reason == (
        "waiting: 500 of about 450 labelled rows since the change point (up to the newest window with 90% of its labels), "
        'and 3 of 10 of class "late", real drift'
    )
    assert (scarce.met, Need(450, 450, True, {"late": 10}, each=10).met) == (False, True)


def test_enough_rows_start_a_training() -> None:
    """At once, and after a wait."""
    for said in ([], [decided("waiting", 399, waits_for="rows")]):
        step = one(asks(said), 400)
        assert step is not None
        assert (step.decision, step.attempt) == ("started", 1)


@pytest.mark.parametrize("end", ["refused", "promoted"])
def test_what_was_judged_is_judged_again_when_its_rows_grew_by_a_quarter(end: str) -> None:
    """Not before; a wait in between changes nothing about that."""
    said = [decided(end, 400), decided("waiting", 450, as_of=20, waits_for="rows")]
    assert one(asks(said, 499), 499) is None
    step = one(asks(said, 500), 500)
    assert step is not None
    assert step.decision == "started"
    assert step.reason == f"training: 500 labelled rows since the change point, {end} before with 400"


def test_the_quarter_is_of_the_rows_that_were_judged() -> None:
    """Since the point of that run, whatever the trigger's own is."""
    history = History()
    history.record(decided("refused", 250, since=70, answers=["B", "A"], alert_id="B"))
    for later, due in ((310, False), (313, True)):
        found = ask(Trigger("A", "virtual", 0, ""), 0, 100, history, {0: 900, 70: later}.__getitem__, 3)
        assert found.due is due


def test_what_failed_is_tried_again_at_once() -> None:
    """A failure has judged nothing: the same rows are good enough for another attempt, but not for any number."""
    step = one(asks([decided("failed")], attempts=2), 400, attempts=2)
    assert step is not None
    assert step.reason.endswith("failed before with 400, attempt 2 of 2")
    assert step.attempt == 2
    again = decided("failed", as_of=20)
    assert one(asks([decided("failed"), again], attempts=2), 400, attempts=2) is None
    step = one(asks([decided("failed"), again], 500, attempts=2), 500, attempts=2)
    assert step is not None
    assert step.attempt == 1


def test_failures_count_while_the_rows_have_not_grown_by_a_quarter() -> None:
    """Of the runs that should have answered it, whatever was decided in between."""
    said = [
        decided("failed", 100, as_of=1),
        decided("failed", 100, as_of=2, alert_id="B"),
        decided("waiting", 110, as_of=3, waits_for="rows"),
        decided("failed", 120, as_of=4, alert_id="B", answers=["B", "A"]),
    ]
    assert [asks(said, rows).failures for rows in (90, 124, 125, 149, 150)] == [2, 2, 1, 1, 0]


def test_one_run_answers_all_and_its_world_begins_at_the_latest_change() -> None:
    """The first in order names the run; one that was judged before and is open still is answered along, behind."""
    virtual, real = asks(since=10), asks(kind="real", since=70, name="R")
    judged = asks([decided("refused", 400, alert_id="Q")], 400, kind="quality", since=20, name="Q")
    by_hand = asks(kind="manual", since=0, name="H")
    needs = {0: Need(900, 400), 10: Need(800, 400), 70: Need(450, 400)}
    (step,) = consider([virtual, real, judged, by_hand], needs, 0.95)
    assert (step.decision, step.since) == ("started", 70)
    assert [each.trigger.alert_id for each in step.asks] == ["A", "R", "H", "Q"]
    assert step.reason == "training: 450 labelled rows since the change point, real drift, asked for"


def test_a_change_with_too_few_rows_holds_no_earlier_one_back_and_is_not_answered() -> None:
    """It was not judged: it has rows of its own to wait for."""
    virtual, real = asks(since=10), asks(kind="real", since=70, name="R")
    (step,) = consider([virtual, real], {10: Need(800, 400), 70: Need(100, 400)}, 0.95)
    assert (step.since, [each.trigger.alert_id for each in step.asks]) == (10, ["A"])


def test_who_asks_asks_about_the_world_as_it_is_now() -> None:
    """A period of the schedule is answered on the rows since a change that was judged before, along with it, if they suffice."""
    judged = asks([decided("refused", 400)], 450, since=70)
    period = asks(kind="schedule", name="S")
    for rows, since, answers in ((450, 70, ["S", "A"]), (90, 0, ["S"])):
        (step,) = consider([judged, period], {0: Need(800, 400), 70: Need(rows, 400)}, 0.95)
        assert (step.since, [each.trigger.alert_id for each in step.asks]) == (since, answers)
    (step,) = consider([judged, asks(kind="real", name="R")], {0: Need(800, 400), 70: Need(450, 400)}, 0.95)
    assert (step.since, [each.trigger.alert_id for each in step.asks]) == (0, ["R"])


def test_of_several_that_wait_the_nearest_is_said_for_all() -> None:
    """One record: the rows of the one that can begin first."""
    waiting = [asks(since=10), asks(kind="real", since=70, name="R")]
    (step,) = consider(waiting, {10: Need(300, 400), 70: Need(100, 400)}, 0.95)
    assert (step.since, [each.trigger.alert_id for each in step.asks]) == (10, ["A", "R"])
    assert step.reason.startswith("waiting: 300 of 400")


def test_what_is_held_back_says_so_once() -> None:
    """A second one that comes into the pause says so for itself; a request by hand is not held, and answers all."""
    step = one(asks(), 900, hold=HELD)
    assert step is not None
    assert (step.decision, step.waits_for, step.reason) == ("waiting", None, f"waiting: {HELD.reason}")
    told = asks([decided("waiting", as_of=60, answers=["A"])])
    assert one(told, 900, hold=HELD) is None
    (step,) = consider([told, asks(kind="real", name="R")], {0: Need(900, 400)}, 0.95, HELD)
    assert [each.trigger.alert_id for each in step.asks] == ["R"]
    (step,) = consider([told, asks(kind="manual", name="H")], {0: Need(900, 400)}, 0.95, HELD)
    assert (step.decision, [each.trigger.alert_id for each in step.asks]) == ("started", ["A", "H"])


def test_a_record_of_before_there_were_other_reasons_waits_for_rows() -> None:
    """It does not say for what: that something else holds the alert back has not been said."""
    old = asks([decided("waiting", 143, as_of=60)])
    assert one(old, 143) is None
    assert one(old, 900, hold=HELD) is not None


def test_a_held_alert_and_a_request_that_lacks_rows_wait_for_different_things() -> None:
    """Two records, each about its own."""
    steps = consider([asks(), asks(kind="manual", name="H")], {0: Need(9, 400)}, 0.95, HELD)
    assert [(s.waits_for, [each.trigger.alert_id for each in s.asks]) for s in steps] == [
        (None, ["A"]),
        ("rows", ["H"]),
    ]


def test_a_run_that_is_not_over_holds_all_back() -> None:
    """What it answers itself has been told by it; a request by hand waits too, and says so."""
    run = decided("waiting", as_of=60, waits_for="shadow")
    hold = pending(run)
    assert hold is not None
    assert one(asks([run]), 900, hold=hold) is None
    step = one(asks(kind="manual", name="H"), 900, hold=hold)
    assert step is not None
    assert step.reason == "waiting: the run as of 1970-01-01 00:00:00Z is not over"


def serving(action: Any, effective_from: int) -> ModelChanged:
    """What model-events says last."""
    return ModelChanged(
        model="m", version="1", previous_version="2", action=action, artifact_uri="", sha256="",
        effective_from=effective_from, reason="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "now", "begins"),
    [
        ([decided("refused", as_of=40)], serving("installed", 90), 40),
        ([decided("promoted", as_of=40), decided("refused", as_of=20)], serving("promoted", 60), 60),
        ([decided("failed", as_of=40), decided("waiting", as_of=50)], serving("installed", 0), None),
        ([decided("promoted", as_of=40)], serving("rolled_back", 70), 70),
    ],
)
def test_a_pause_begins_with_what_was_judged_promoted_or_rolled_back(
    said: list[TrainingDecided], now: ModelChanged, begins: int | None
) -> None:
    """The newest of them; it ends exactly so much later, and without a length there is none."""
    found = [pause(100, boundary, said, now) for boundary in range(250)]
    ends = 0 if begins is None else begins + 100
    assert [hold is not None for hold in found] == [boundary < ends for boundary in range(250)]
    assert {hold.since for hold in found if hold} == ({begins} if begins else set())
    assert pause(0, 0, said, now) is None


TRIGGERS = st.lists(
    st.tuples(st.sampled_from(["virtual", "real", "quality", "schedule", "manual"]), st.integers(0, 5), st.booleans()),
    min_size=1, max_size=6,
)  # fmt: skip


@given(TRIGGERS, st.lists(st.integers(0, 500), min_size=6, max_size=6), st.booleans())
def test_a_step_answers_each_trigger_at_most_once(
    drawn: list[tuple[Kind, int, bool]], rows: list[int], held: bool
) -> None:
    """A run stands alone and has rows enough; it answers no later change; what waits is named by one record."""
    opened = [
        asks([] if due else [decided("refused", alert_id=str(i))], 400, kind, since, str(i))
        for i, (kind, since, due) in enumerate(drawn)
    ]
    needs = {since: Need(rows[since], 200) for since in range(6)}
    steps = consider(opened, needs, 0.9, HELD if held else None)
    named = [each.trigger.alert_id for step in steps for each in step.asks]
    assert len(named) == len(set(named))
    free = [each for each in opened if each.due and not (held and each.trigger.kind != "manual")]
    if any(step.decision == "started" for step in steps):
        (step,) = steps
        assert needs[step.since].met
        assert all(each.since <= step.since for each in step.asks)
        assert any(each in free for each in step.asks)
        assert step.asks[0].due
    else:
        assert {each.trigger.alert_id for each in opened if each.due} == set(named)
        assert not any(needs[each.since].met for each in free)
