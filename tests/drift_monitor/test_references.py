"""A live span that was accepted as the reference: what is judged against it, over restarts and replays too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.events import (
    AlertChanged,
    ModelChanged,
    PaneCounted,
    PredictionsMade,
    ReferenceAccepted,
    WindowTested,
)
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Owner
from drift_monitor.domain.panes import Counter, Position, Record
from drift_monitor.domain.references import References, accepted_profile
from drift_monitor.domain.windows import Grid
from summaries.counts import to_sparse, unpack
from summaries.profile import FieldSpec, Profile

GRID = Grid(origin=0, size=60, step=60, grace=0)
RULE = Rule(alpha=0.001, correction="bh", min_effect=0.1, min_rows=20, alert_windows=1, scales=(1, 3))
OLD, NEW, OTHER = 0.0, 1.5, -1.5
SCHEMA = [FieldSpec("x", "float32", optional=True), FieldSpec("place", "string")]


def rows(shift: float, n: int, seed: int) -> dict[str, list[Any]]:
    """Rows whose number and category go with ``shift``."""
    random = np.random.default_rng(seed)
    x = np.round(random.normal(shift, 1, n), 1).astype(np.float32)
    return {"x": x.tolist(), "place": ["a" if value > 0 else "b" for value in x.tolist()]}


PROFILE = Profile.build(rows(OLD, 1000, 1), SCHEMA, [0, 1] * 500, None, "y", [0, 1], "classification")


class Log:
    """What is on Kafka: panes, reports, alerts, and what was accepted."""

    def __init__(self, grid: Grid = GRID, rule: Rule = RULE) -> None:
        self.grid, self.rule = grid, rule
        self.counter = Counter(grid)
        for partition in (0, 1):
            self.counter.take(partition, 0, Position(), [])
        self.panes: list[PaneCounted] = []
        self.reports: list[WindowTested] = []
        self.alerts: list[AlertChanged] = []
        self.accepted: list[ReferenceAccepted] = []

    def owner(self) -> Owner:
        """One that begins where the log ends."""
        owner = Owner("m", self.grid, self.rule, [0])
        owner.changed(
            ModelChanged(
                model="m", version="1", previous_version=None, action="installed", artifact_uri="", sha256="",
                effective_from=0, reason="",
            )
        )  # fmt: skip
        for event in self.accepted:
            owner.accepted(event)
        for pane in self.panes:
            owner.replace(pane)
        owner.restore(self.reports)
        return owner

    def count(self, at: int, shift: float, n: int = 60) -> list[PaneCounted]:
        """The rows of one window's time."""
        event = PredictionsMade(
            batch_id=f"{at}", model="m", version="1", event_time=[60 * at + i % 60 for i in range(n)],
            features=rows(shift, n, 100 + at), predictions=[i % 2 for i in range(n)],
        )  # fmt: skip
        written, refused = self.counter.absorb([Record(0, at, event)], {("m", "1"): PROFILE})
        assert not refused
        self.panes += written
        return written

    def decide(self, owner: Owner, until: int) -> None:
        """Decide what is over; publish, then commit."""
        owner.watermark.flush(until)
        while (window := owner.due()) is not None:
            decided = owner.decide(window, dict.fromkeys(owner.testable(window), PROFILE))
            self.alerts += decided.alerts
            self.reports += decided.reports
            owner.commit(decided)

    def accept(self, since: int, until: int, effective_from: int | None = None) -> ReferenceAccepted:
        """The span's panes added up, as the command line does."""
        counts = {name: np.zeros(ref.size, dtype=np.int64) for name, ref in PROFILE.monitored().items()}
        chosen = [p for p in self.panes if p.pane_end > since and p.pane_end <= until]
        for pane in {p.pane_start: p for p in chosen}.values():
            for name, packed in pane.counts.items():
                counts[name] += unpack(packed, len(counts[name]))
        event = ReferenceAccepted(
            model="m", version="1", alert_id=self.alerts[-1].alert_id, since=since, until=until,
            effective_from=until if effective_from is None else effective_from, rows=int(counts["x"].sum()),
            counts={name: to_sparse(c) for name, c in counts.items()}, reason="the new terminal opened",
        )  # fmt: skip
        self.accepted.append(event)
        return event


def play(
    shifts: Sequence[float], *, accept_after: int, since: int, restart: bool = False, late: int = 0
) -> Log:
    """A window a shift; ``accept_after`` so many, the span from window ``since`` on is accepted.

    ``late``: so many windows more are decided before the monitor hears of it.
    """
    log = Log()
    owner = log.owner()
    for at, shift in enumerate(shifts):
        for pane in log.count(at, shift):
            owner.replace(pane)
        log.decide(owner, 60 * (at + 1))
        if at + 1 == accept_after + late:
            owner.accepted(log.accept(60 * since, 60 * accept_after))
        if restart:
            owner = log.owner()
    return log


SHIFTS = [OLD, OLD, NEW, NEW, NEW, NEW, NEW, NEW, OTHER, OTHER]


def test_an_accepted_span_closes_the_alert_and_is_what_windows_are_judged_against() -> None:
    """The world that alarmed is quiet from then on; what differs from it is another alert."""
    log = play(SHIFTS, accept_after=5, since=2)
    assert [(a.state, a.previous, a.since, a.window_end) for a in log.alerts] == [
        ("drift", "ok", 120, 180),
        ("ok", "drift", 120, 360),
        ("drift", "ok", 480, 540),
    ]
    opened, closed, other = log.alerts
    assert opened.alert_id == closed.alert_id != other.alert_id
    assert closed.reason == "drift -> ok: accepted, 180 rows are the reference, the new terminal opened"
    told = [(r.window_end // 60, r.state, r.reference) for r in log.reports]
    assert told == [
        (1, "ok", None), (2, "ok", None), (3, "drift", None), (4, "drift", None), (5, "drift", None),
        (6, "ok", opened.alert_id), (7, "ok", opened.alert_id), (8, "ok", opened.alert_id),
        (9, "drift", opened.alert_id), (10, "drift", opened.alert_id),
    ]  # fmt: skip
    assert {r.question for r in log.reports[5:]} == {"single"}  # the joint law is not known any more


def test_the_world_that_was_there_before_is_drift_now() -> None:
    """Accepting is no deafness: the old world alarms."""
    log = play([OLD, NEW, NEW, NEW, OLD], accept_after=3, since=1)
    assert [a.state for a in log.alerts] == ["drift", "ok", "drift"]
    assert log.alerts[-1].window_end == 300


@pytest.mark.parametrize("late", [0, 2])
def test_a_restart_after_each_window_changes_nothing(late: int) -> None:
    """Reports and alerts are those without restarts, also where the monitor heard of it windows later."""
    once = play(SHIFTS, accept_after=4, since=2, late=late)
    again = play(SHIFTS, accept_after=4, since=2, late=late, restart=True)
    assert (once.reports, once.alerts) == (again.reports, again.alerts)
    assert [r.reference is not None for r in once.reports] == [at >= 4 + late for at in range(len(SHIFTS))]


def test_a_replay_that_knows_it_from_the_beginning_says_the_same() -> None:
    """What was accepted counts from its window on, however early it is known: a replay needs no timing."""
    live = play(SHIFTS, accept_after=5, since=2)
    replay = Log()
    replay.accepted = live.accepted
    replay.panes = live.panes
    replay.decide(replay.owner(), 60 * len(SHIFTS))
    assert (replay.reports, replay.alerts) == (live.reports, live.alerts)


def test_it_closes_with_the_next_window_even_where_that_has_no_rows() -> None:
    """The alert does not wait for traffic."""
    log = play([OLD, NEW, NEW], accept_after=3, since=1)
    owner = log.owner()
    log.decide(owner, 240)
    assert (log.alerts[-1].state, log.alerts[-1].window_end) == ("ok", 240)
    assert (log.reports[-1].status, log.reports[-1].state) == ("insufficient data", "ok")


def test_what_does_not_fit_the_profile_is_passed_over() -> None:
    """Counts of other cells, of other rows, or of none leave everything as it was."""
    event = play(SHIFTS, accept_after=5, since=2).accepted[0]
    quiet = play(SHIFTS, accept_after=99, since=2)
    for counts, n in (
        ({**event.counts, "x": ([99999], [event.rows])}, event.rows),
        (event.counts, event.rows + 1),
        ({"x": event.counts["x"]}, event.rows),
        ({name: ([], []) for name in event.counts}, 0),
    ):
        log = Log()
        log.panes = quiet.panes
        log.accepted = [msgspec.structs.replace(event, counts=counts, rows=n)]
        log.decide(log.owner(), 60 * len(SHIFTS))
        assert (log.reports, log.alerts) == (quiet.reports, quiet.alerts)


def test_of_an_alert_the_first_acceptance_holds_and_of_two_alerts_the_later() -> None:
    """A second word on one alert changes nothing; another alert's span takes the first one's place."""
    event = play(SHIFTS, accept_after=5, since=2).accepted[0]
    references = References()
    references.accepted(event)
    references.accepted(msgspec.structs.replace(event, effective_from=0))
    later = msgspec.structs.replace(event, alert_id="later", effective_from=600)
    references.accepted(later)
    found = [references.at("1", end) for end in (300, 301, 600, 601)]
    assert [known.alert_id if known else None for known in found] == [
        None, event.alert_id, event.alert_id, "later",
    ]  # fmt: skip
    assert references.at("2", 601) is None


def test_no_row_of_the_reference_is_held_against_it() -> None:
    """Larger scales and widened windows reach back to where the reference began to hold, not into it."""
    log = play([OLD, *[NEW] * 7], accept_after=4, since=1)
    owner = log.owner()
    reach = [owner._reaching_back(GRID.ending(end), "1", 3).start for end in (240, 300, 360, 420, 480)]
    assert reach == [60, 240, 240, 240, 300]


def test_overlapping_windows_can_be_accepted_too() -> None:
    """Windows that still hold rows of the span are judged against it; nothing alarms that is the new world."""
    log = Log(Grid(0, 120, 60, 0))
    owner = log.owner()
    for at, shift in enumerate([OLD, OLD, OLD, NEW, NEW, NEW, NEW, NEW, NEW]):
        for pane in log.count(at, shift):
            owner.replace(pane)
        log.decide(owner, 60 * (at + 1))
        if at == 5:
            owner.accepted(log.accept(180, 360))
    assert [a.state for a in log.alerts] == ["drift", "ok"]
    again = Log(log.grid)
    again.panes, again.accepted = log.panes, log.accepted
    again.decide(again.owner(), 540)
    assert (again.reports, again.alerts) == (log.reports, log.alerts)


def test_an_accepted_profile_has_the_same_cells_and_no_joint_law() -> None:
    """Edges, names and fields stay; counts are the span's, and fit exactly or not at all."""
    event = play(SHIFTS, accept_after=5, since=2).accepted[0]
    found = accepted_profile(PROFILE, event)
    assert PROFILE.joint is not None
    assert found.joint is None
    assert found.rows == event.rows == 180
    assert [f.spec for f in found.features] == [f.spec for f in PROFILE.features]
    for name, reference in found.monitored().items():
        assert reference.size == PROFILE.monitored()[name].size
        assert to_sparse(reference.counts) == event.counts[name]
    assert found == replace(found)


def test_a_span_in_which_a_number_was_always_missing_can_be_the_reference() -> None:
    """A sensor that is gone: that it is gone is quiet, and that it comes back is drift."""
    gone = {name: to_sparse(ref.counts) for name, ref in PROFILE.monitored().items()}
    gone["x"] = ([PROFILE.monitored()["x"].missing], [PROFILE.rows])
    event = ReferenceAccepted(
        model="m", version="1", alert_id="a", since=0, until=60, effective_from=60, rows=PROFILE.rows,
        counts=gone, reason="",
    )  # fmt: skip
    detector = accepted_profile(PROFILE, event).detector((1,), "bh")
    live = {name: ref.counts for name, ref in accepted_profile(PROFILE, event).monitored().items()}
    assert detector.judge({1: live}).p_value == 1.0
    back = {**live, "x": PROFILE.monitored()["x"].counts}
    assert detector.judge({1: back}).p_value < 1e-6
