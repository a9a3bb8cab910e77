"""Concept drift: one order whatever the arrival, the same after a restart, and found by every detector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.events import AlertChanged, ConceptTested, OutcomesJoined
from drift_monitor.domain.concept import Concept, Served
from drift_monitor.domain.detectors import BINARY, NAMES, Unsuitable, make_detectors
from drift_monitor.domain.errors import Errors, Row, change_point
from hypothesis import given, settings
from hypothesis import strategies as st

WINDOW, DELAY, CHANGE = 200, 10, 650
Record = tuple[int, int, OutcomesJoined]  # partition, offset


def outcomes(
    first: int,
    wrong: Iterable[bool],
    *,
    version: str = "1",
    label_time: int | None = None,
    revision: int = 0,
) -> OutcomesJoined:
    """Rows of event time ``first``, ``first + 1``, ..., labelled ``DELAY`` later."""
    flags = list(wrong)
    times = list(range(first, first + len(flags)))
    return OutcomesJoined(
        model="m",
        version=version,
        prediction_id=[f"{version}-{t}" for t in times],
        event_time=times,
        label_time=[t + DELAY if label_time is None else label_time for t in times],
        features={"x": [t % 7 for t in times]},
        predictions=["yes"] * len(times),
        probabilities=None,
        truth=["no" if flag else "yes" for flag in flags],
        corrected_from=[None] * len(times),
        revision=[revision] * len(times),
    )


def world(seed: int = 3, rows: int = 1400, before: float = 0.05, after: float = 0.5) -> list[Record]:
    """Records of one to nine rows over three partitions; the error rises at ``CHANGE``."""
    random = np.random.default_rng(seed)
    wrong = random.random(rows) < np.where(np.arange(rows) < CHANGE, before, after)
    records, first, ends = [], 0, [0, 0, 0]
    while first < rows:
        n, partition = int(random.integers(1, 10)), int(random.integers(3))
        records.append((partition, ends[partition], outcomes(first, wrong[first : first + n].tolist())))
        first, ends[partition] = first + n, ends[partition] + 1
    return records


class Said:
    """What was published."""

    def __init__(self) -> None:
        self.alerts: list[AlertChanged] = []
        self.reports: list[ConceptTested] = []

    def decide(
        self, concept: Concept, as_of: int, version: str | None = "1", virtual: str | None = None
    ) -> None:
        """Decide a boundary and publish."""
        told = concept.told(as_of)
        served = None if version is None else Served(version, "classification", virtual)
        concluded = concept.decide(as_of, WINDOW, served)
        self.alerts += concluded.alerts
        if concluded.report is not None and told is None:
            self.reports.append(concluded.report)
        concept.commit(concluded)


def concept(detector: str = "adwin") -> Concept:
    """A concept with a detector at its default."""
    return Concept("m", detector, make_detectors(detector, 0.002))


def boundaries(rows: int = 1400) -> range:
    """All boundaries of a world."""
    return range(WINDOW, rows + WINDOW + 1, WINDOW)


def live(records: list[Record], detector: str = "adwin", restarted: bool = False) -> Said:
    """Each record when its labels are known; each boundary when it has passed; a restart after each, if asked for."""
    said, own = Said(), concept(detector)
    taken: list[Record] = []
    left = sorted(records, key=lambda r: r[2].label_time[0])
    for as_of in boundaries():
        while left and left[0][2].label_time[0] < as_of:
            taken.append(left.pop(0))
            own.take(*taken[-1])
        own.word(as_of)
        said.decide(own, as_of)
        if restarted:
            own = concept(detector)
            own.restore(said.reports)
            for record in taken:
                own.take(*record)
            for before in boundaries():
                if before <= as_of:
                    own.word(before)
            while (again := own.next()) is not None:
                said.decide(own, again)
    return said


def test_a_rise_opens_one_alert_that_says_since_when() -> None:
    """It names the change point by event time and by offset, and the error on either side."""
    records = world()
    said = live(records)
    [alert] = said.alerts
    assert (alert.kind, alert.state, alert.previous, alert.version) == ("real", "drift", "ok", "1")
    assert abs(alert.since - CHANGE) <= 20
    assert (alert.window_start, alert.window_end) == (600, 800)
    for partition, offset in alert.offsets.items():
        here = {o: r.event_time for p, o, r in records if str(p) == partition}
        assert here[offset][-1] >= alert.since
        assert all(times[0] < alert.since for o, times in here.items() if o < offset)
    before, after = (
        float(alert.reason.split()[i]) for i in (alert.reason.split().index("error") + j for j in (1, 3))
    )
    assert before < 0.1 < 0.4 < after
    assert "labelled rows" in alert.reason
    assert [(r.as_of, r.state, r.alert_id) for r in said.reports] == [
        (b, "drift" if b >= 800 else "ok", alert.alert_id if b >= 800 else None) for b in boundaries()
    ]
    assert [r.rows for r in said.reports] == [min(1400, b - DELAY) for b in boundaries()]
    assert {r.since for r in said.reports if r.as_of >= 800} == {alert.since}


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_order_of_arrival_does_not_show(random: Any, seed: int) -> None:
    """Partitions in any interleaving, read as far ahead of the boundary as may be: the same alerts and reports."""
    records = world(seed)
    expected = live(records)
    queues = [[r for r in records if r[0] == p] for p in range(3)]
    for queue in queues:
        queue.reverse()
    said, own = Said(), concept()
    for as_of in boundaries():
        while True:
            due = [q for q in queues if q and q[-1][2].label_time[0] < as_of]
            early = [q for q in queues if q]
            if not due or (early and random.random() < 0.2):
                chosen = random.choice(early) if early else None
                if chosen is not None:
                    own.take(*chosen.pop())
                if not due:
                    break
                continue
            own.take(*random.choice(due).pop())
        own.word(as_of)
        said.decide(own, as_of)
    assert said.alerts == expected.alerts
    assert said.reports == expected.reports


@pytest.mark.parametrize("detector", NAMES)
def test_a_restart_after_each_boundary_changes_nothing(detector: str) -> None:
    """Rebuilt from outcomes, the detectors say what they would have, and nothing twice."""
    records = world()
    assert vars(live(records, detector, restarted=True)) == vars(live(records, detector))


def test_what_came_late_goes_to_the_next_boundary_and_does_so_after_a_restart() -> None:
    """A label whose boundary was decided is not lost, and a rebuilt detector takes it where the first one did."""
    wrong = [i % 3 == 0 for i in range(150)]
    early, late, next_ = (
        (0, 0, outcomes(0, wrong)),
        (0, 1, outcomes(150, [True] * 20)),
        (0, 2, outcomes(200, [False] * 100)),
    )
    told = []
    for restarted in (False, True):
        said, own = Said(), concept()
        own.take(*early)
        own.word(200)
        said.decide(own, 200)
        if restarted:
            own = concept()
            own.restore(said.reports)
            for record in (early, late, next_):
                own.take(*record)
            own.word(200)
            said.decide(own, 200)
        else:
            own.take(*late)
            own.take(*next_)
        own.word(400)
        said.decide(own, 400)
        told.append(vars(said))
    assert told[0] == told[1]
    assert [r.rows for r in told[0]["reports"]] == [150, 270]
    assert [r.offsets for r in told[0]["reports"]] == [{"0": 1}, {"0": 3}]


def test_corrections_and_repetitions_are_not_fed_again() -> None:
    """A row counts with its first label, once."""
    own, said = concept(), Said()
    own.take(0, 0, outcomes(0, [False] * 50))
    own.take(0, 1, outcomes(0, [False] * 50))
    own.take(0, 2, outcomes(0, [True] * 50, revision=1))
    said.decide(own, 200)
    assert [(r.rows, r.error) for r in said.reports] == [(50, 0.0)]


def test_rows_of_one_moment_are_not_ordered_by_their_error() -> None:
    """A thousand labels uploaded as of one moment, a tenth of them wrong and sent last, are no drift."""
    own, said = concept(), Said()
    random = np.random.default_rng(5)
    rows = outcomes(0, [i >= 900 for i in range(1000)], label_time=5)
    rows = msgspec.structs.replace(
        rows, event_time=[1] * 1000, features={"x": random.normal(size=1000).tolist()}
    )
    own.take(0, 0, rows)
    said.decide(own, 200)
    assert said.alerts == []
    assert said.reports[0].error == pytest.approx(0.1)


def test_an_alert_is_closed_by_the_version_that_answers_it() -> None:
    """Another version starts at ok with a detector of its own; the old one's alert closes under its id."""
    own, said = concept(), Said()
    for record in world():
        own.take(*record)
    for as_of in (200, 400, 600, 800):
        said.decide(own, as_of)
    own.take(0, 10_000, outcomes(1400, [False] * 200, version="2"))
    for as_of in (1000, 1600, 1800):
        said.decide(own, as_of, "1" if as_of == 1000 else "2")
    opened, closed = said.alerts
    assert (closed.state, closed.previous, closed.version) == ("ok", "drift", "1")
    assert (closed.alert_id, closed.since) == (opened.alert_id, opened.since)
    assert closed.reason == "drift -> ok: version 2 serves"
    assert [(r.version, r.state, r.rows) for r in said.reports[-3:]] == [
        ("1", "drift", 990), ("2", "ok", 190), ("2", "ok", 200),
    ]  # fmt: skip


@pytest.mark.parametrize("restarted", [False, True])
def test_a_version_that_comes_back_begins_anew(restarted: bool) -> None:
    """Version 1, then 2, then 1 again: its detector is a new one, after a restart too."""
    own, said = concept(), Said()
    records = [(0, i, outcomes(100 * i, [False] * 100, version="2" if 2 <= i < 4 else "1")) for i in range(6)]
    for record in records:
        own.take(*record)
    for as_of in (200, 400):
        said.decide(own, as_of, "1" if as_of == 200 else "2")
    if restarted:
        said.decide(own, 500, "1")
        own = concept()
        own.restore(said.reports)
        for record in records:
            own.take(*record)
        for as_of in (200, 400, 500):
            said.decide(own, as_of, said.reports[0].version if as_of != 400 else "2")
    else:
        said.decide(own, 500, "1")
    said.decide(own, 800, "1")
    assert [(r.version, r.rows) for r in said.reports] == [("1", 190), ("2", 190), ("1", 90), ("1", 200)]


def test_both_kinds_are_said() -> None:
    """Where a virtual alert is open too, the reason of the real one names it."""
    own, said = concept(), Said()
    for record in world():
        own.take(*record)
    for as_of in boundaries():
        said.decide(own, as_of, virtual="v7" if as_of >= 600 else None)
    assert said.alerts[0].reason.endswith("; virtual too (v7)")


def test_without_a_serving_version_nothing_is_said() -> None:
    """Rows are taken in all the same."""
    own, said = concept(), Said()
    own.take(0, 0, outcomes(0, [False] * 50))
    said.decide(own, 200, None)
    said.decide(own, 400, "1")
    assert [(r.as_of, r.rows) for r in said.reports] == [(400, 50)]


# -- the detectors ---------------------------------------------------------------------------------------


def rows_of(errors: Iterable[float]) -> Iterator[Row]:
    """A row a millisecond."""
    return (Row(i, 0, i, float(e)) for i, e in enumerate(errors))


def rises(name: str, errors: Iterable[float], regression: bool = False) -> list[int]:
    """The rows at which a detector said that the error rose."""
    own = Errors(make_detectors(name, 0.002)(), regression=regression)
    return [i for i, row in enumerate(rows_of(errors)) if own.update(row) is not None]


def test_none_says_nothing_and_others_are_refused() -> None:
    """``none`` looks at nothing; a name that is no detector's is an error that lists them."""
    assert rises("none", [0.0] * 500 + [1.0] * 500) == []
    with pytest.raises(ValueError, match="adwin, page-hinkley"):
        make_detectors("kswin", 0.002)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_each_detector_finds_a_plain_rise_within_500_rows(name: str) -> None:
    """.06 to .5, as of a labelling function that changes, in each of 20 streams; a fall calls for nobody."""
    found = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        errors = random.random(2000) < np.where(np.arange(2000) < 1000, 0.06, 0.5)
        found.append(min((i - 999 for i in rises(name, errors) if i >= 1000), default=9999))
    assert max(found) <= 500, found
    falling = np.random.default_rng(1).random(1000) < np.where(np.arange(1000) < 500, 0.6, 0.05)
    assert not [i for i in rises(name, falling) if i >= 500] or name in ("eddm", "ddm")


@pytest.mark.parametrize("error", [0.05, 0.12, 0.3])
def test_adwin_rests_while_the_error_does(error: float) -> None:
    """At the default not more than one alarm in 100,000 rows of a steady error; none in 300,000 when measured."""
    streams = [np.random.default_rng(seed).random(10_000) < error for seed in range(10)]
    assert sum(len(rises("adwin", stream)) for stream in streams) <= 1


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_detector_refuses_a_regression(name: str) -> None:
    """It says which can be used instead."""
    with pytest.raises(Unsuitable, match="adwin, page-hinkley and none"):
        concept(name).decide(200, WINDOW, Served("1", "regression"))


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", ["adwin", "page-hinkley"])
def test_a_regression_is_judged_in_its_own_unit(name: str, unit: float) -> None:
    """Errors that double are found whatever the unit; a wild one among usual ones is nothing."""
    random = np.random.default_rng(2)
    usual, doubled = np.abs(random.normal(size=(2, 1500))) * unit
    usual[700] = 1e12 * unit
    assert rises(name, usual, regression=True) == []
    found = rises(name, [*usual, *(4 * doubled)], regression=True)
    assert found
    assert 1500 <= found[0] < 2000


def days(seed: int, rise_at: int | None = None) -> Any:
    """40 days of 1,000 rows whose error goes up and down with the day, and from day to day; it may rise by .15."""
    random, n = np.random.default_rng(seed), 40_000
    error = (
        0.22 + 0.12 * np.sin(2 * np.pi * np.arange(n) / 1000) + np.repeat(random.normal(0, 0.03, 40), 1000)
    )
    if rise_at is not None:
        error[rise_at:] += 0.15
    return random.random(n) < error


def test_the_course_of_a_day_is_no_rise_and_a_rise_on_top_of_it_is_one() -> None:
    """Errors that go by the hour: at most one alarm in 160 days, and a rise is found within two and a half."""

    def found(errors: Any) -> list[int]:
        own = Errors(make_detectors("adwin", 0.002)(), regression=False, comparable=7000)
        return [i for i, row in enumerate(rows_of(errors)) if own.update(row) is not None]

    assert sum(len(found(days(seed))) for seed in range(4)) <= 1
    for seed in range(4):
        after = [i - 25_300 for i in found(days(seed, rise_at=25_300)) if i >= 25_300]
        assert after
        assert after[0] <= 2500


def test_no_rise_is_believed_before_a_window_has_passed() -> None:
    """What a version's first hours are like says nothing of its day."""
    errors = [i % 10 == 0 for i in range(400)] + [i % 2 == 0 for i in range(400)]
    for comparable, rose in ((300, True), (500, False)):
        own = Errors(make_detectors("adwin", 0.002)(), regression=False, comparable=comparable)
        assert any(own.update(row) is not None for row in rows_of(errors)) == rose


def test_a_change_point_is_where_the_mean_rose() -> None:
    """Within 60 rows in nine of ten streams, for a rise from .12 to .31 seen for 200 rows."""
    off = []
    for seed in range(50):
        random = np.random.default_rng(seed)
        errors = random.random(1200) < np.where(np.arange(1200) < 1000, 0.12, 0.31)
        off.append(abs(change_point(errors.astype(float).tolist()) - 1000))
    assert np.quantile(off, 0.9) <= 60


@pytest.mark.parametrize(("first", "second"), [(6, 2), (1, 3)])
def test_a_labelling_function_that_changes_is_found_within_500_rows(first: int, second: int) -> None:
    """A forest fitted on one of Agrawal's functions, another one from row 1,000 on, over 20 seeds.

    The loans' own pair, whose error rises to .5, and one whose error rises from .09 to .23 only.
    """
    from river.datasets.synth import Agrawal
    from sklearn.ensemble import RandomForestClassifier

    def drawn(function: int, n: int, seed: int) -> tuple[Any, Any]:
        pairs = list(Agrawal(function, seed=seed, perturbation=0.05).take(n))
        return np.array([list(x.values()) for x, _ in pairs]), np.array([y for _, y in pairs])

    forest = RandomForestClassifier(30, min_samples_leaf=3, random_state=0, n_jobs=1).fit(
        *drawn(first, 2000, 1)
    )
    delays, off = [], []
    for seed in range(20):
        steady, changed = drawn(first, 1000, 100 + seed), drawn(second, 500, 200 + seed)
        errors = np.concatenate([forest.predict(x) != y for x, y in (steady, changed)])
        own = Errors(make_detectors("adwin", 0.002)(), regression=False)
        found = [(i, rise) for i, row in enumerate(rows_of(errors)) if (rise := own.update(row)) is not None]
        assert found, f"seed {seed}: not found"
        delays.append(found[0][0] - 999)
        off.append(found[0][1].first.event_time - 1000)
    assert all(0 < delay <= 500 for delay in delays), delays
    assert np.quantile(np.abs(off), 0.9) <= 100, off
