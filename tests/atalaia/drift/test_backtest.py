"""``atalaia drift backtest``: stored panes under other thresholds."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from atalaia.drift.backtest import Run, grid_of, judge_again, other_settings, render, rule_from, unlike
from contracts.events import PaneCounted
from drift_monitor.domain.windows import Grid
from rich.console import Console
from servicekit.config import Settings, read_settings
from servicekit.errors import UserError

HOUR = 3_600_000


def again(world: Any, rule: Any, until: int | None = None) -> Run:
    """The world's panes judged by a rule."""
    end = max(r.window_end for r in world.reports) if until is None else until * HOUR
    return judge_again(
        world.model, world.panes, [world.installed], lambda version: world.profile, world.grid, rule, end
    )


def test_the_same_thresholds_say_what_the_monitor_said(drifted: Any) -> None:
    """Judged again by its own rule, each window's report and each alert is the monitor's, to the last digit."""
    run = again(drifted, drifted.rule)
    assert run.windows == drifted.reports
    assert run.alerts == drifted.alerts
    assert unlike(drifted.reports, run) == 0


def test_a_window_stays_with_the_version_that_served_it(drifted: Any) -> None:
    """A promotion as of a boundary before windows that were decided does not take them over in a backtest either."""
    promoted = msgspec.structs.replace(
        drifted.installed, version="2", previous_version="1", effective_from=4 * HOUR
    )
    told = [
        judge_again(
            "m", drifted.panes, [drifted.installed, promoted], lambda v: drifted.profile, drifted.grid,
            drifted.rule, 10 * HOUR, (), reports,
        )
        for reports in (drifted.reports, [])
    ]  # fmt: skip
    assert told[0].windows == drifted.reports
    assert {w.version for w in told[1].windows} == {"1", "2"}


def test_the_same_holds_for_overlapping_windows_and_wide_scales(world: Any) -> None:
    """Panes that several windows and scales need are there for each of them."""
    world.__class__.__init__(
        world, grid=Grid(0, 2 * HOUR, HOUR, 0), rule=replace(world.rule, scales=(1, 3), min_rows=400, max_widening=2)
    )  # fmt: skip
    world.play([0, 0, 0, 0, 2, 2, 2, 0, 0, 0, 0], n=150)
    run = again(world, world.rule)
    assert run.windows == world.reports
    assert run.alerts == world.alerts
    assert any(report.scale > 1 for report in run.windows)


def test_windows_without_rows_are_judged_too(world: Any) -> None:
    """Between two rows that lie far apart, what is reported and what is passed over is the monitor's choice."""
    world.hour(0, 0)
    world.hour(1500, 0)
    world.decide(1501)
    run = again(world, world.rule)
    assert run.windows == world.reports
    assert len(run.windows) < 1500


def test_other_thresholds_judge_otherwise(drifted: Any) -> None:
    """A large minimum effect silences the alert; many rows asked for say nothing at all."""
    deaf = again(drifted, replace(drifted.rule, min_effect=0.9))
    assert (deaf.count("drift"), deaf.raised) == (0, 0)
    assert unlike(drifted.reports, deaf) == 4
    short = again(drifted, replace(drifted.rule, min_rows=10_000))
    assert short.count("insufficient data") == len(short.windows) == 10


def test_a_window_that_is_not_decided_is_not_judged(drifted: Any) -> None:
    """Rows of a window still under way are in panes already; no report is made of them."""
    drifted.hour(10, 0, n=60)
    assert [w.window_end for w in again(drifted, drifted.rule).windows][-1] == 10 * HOUR


def test_a_year_of_hours_takes_seconds(world: Any) -> None:
    """The work grows with the number of windows, not with its square."""
    panes = []
    world.hour(0, 0, n=100)
    (pane,) = world.panes
    for at in range(24 * 365):
        panes.append(
            PaneCounted(
                model="m", version="1", partition=0, pane_start=at * HOUR, pane_end=(at + 1) * HOUR, rows=100,
                counts=pane.counts, unseen={}, last_offset=at, epoch=0,
            )
        )  # fmt: skip
    began = time.monotonic()
    rule = replace(world.rule, scales=(1,))
    run = judge_again(
        "m", panes, [world.installed], lambda v: world.profile, world.grid, rule, 24 * 365 * HOUR
    )
    assert len(run.windows) == 24 * 365
    assert time.monotonic() - began < 60


def test_before_and_after_stand_side_by_side(drifted: Any) -> None:
    """Settings that differ, the windows one of them speaks of, and the sums; within 80 columns."""
    before = read_settings(min_effect=0.1, min_rows=50)
    after = read_settings(min_effect=0.3, min_rows=50, alert_windows=2)
    runs = [again(drifted, rule_from(settings, drifted.grid)) for settings in (before, after)]
    console = Console(width=80, no_color=True)
    with console.capture() as captured:
        render(console, (before, after), (runs[0], runs[1]))
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "ATALAIA_MIN_EFFECT     0.1     0.3" in text
    assert "ATALAIA_ALERT_WINDOWS  1       2" in text
    assert "warning: origin V" in text
    assert "6 windows of which both say nothing are left out" in text
    assert [line.split() for line in text.splitlines()[-5:]] == [
        ["windows", "10", "10"],
        ["too", "few", "rows", "0", "0"],
        ["drifted", "4", "4"],
        ["alerts", "1", "1"],
        ["1", "of", "10", "windows", "differ", "(!)"],
    ]
    with console.capture() as captured:
        render(console, (before, before), (runs[0], runs[0]), every=True)
    assert "the thresholds are those there were" in captured.get()
    assert "left out" not in captured.get()


GRID = Grid(0, 2 * HOUR, HOUR, 0)


def test_a_file_of_thresholds_changes_these_alone() -> None:
    """What is no threshold is named and not used; the windows' own geometry may stand in it."""
    settings, unused = other_settings(
        Settings(model="loans", kafka_security_protocol="SSL"),
        {"ATALAIA_MIN_EFFECT": "0.2", "ATALAIA_WINDOW_MS": "7200000", "ATALAIA_STEP_MS": "3600000",
         "ATALAIA_WINDOW_ORIGIN_MS": "-3600000", "ATALAIA_MIN_GAIN": "0.5", "OTHER": "x"},
        GRID,
    )  # fmt: skip
    assert (settings.min_effect, settings.min_gain) == (0.2, 0.0)
    assert (settings.model, settings.kafka_security_protocol) == ("loans", "SSL")
    assert unused == ["ATALAIA_MIN_GAIN"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"ATALAIA_WINDOW_MS": "60000"},
            "ATALAIA_WINDOW_MS=60000 cannot be tried: the stored panes were counted",
        ),
        ({"ATALAIA_STEP_MS": "0"}, "ATALAIA_STEP_MS=0 cannot be tried"),
        ({"ATALAIA_WINDOW_ORIGIN_MS": "5"}, "ATALAIA_WINDOW_ORIGIN_MS=5 cannot be tried"),
        ({"ATALAIA_MIN_GAIN": "1"}, "no threshold to try: give some of ATALAIA_FALSE_ALARMS"),
        ({"ATALAIA_MIN_ROWS": "few"}, "ATALAIA_MIN_ROWS cannot be used"),
        ({"ATALAIA_SCALES": "2,1"}, "ATALAIA_SCALES cannot be used"),
    ],
)
def test_what_cannot_be_tried_is_one_line(given: dict[str, str], line: str) -> None:
    """Other windows, nothing to try, or no such value."""
    with pytest.raises(UserError, match=line) as caught:
        other_settings(Settings(), given, GRID)
    assert "\n" not in str(caught.value)


def test_a_budget_too_large_for_the_windows_is_one_line() -> None:
    """A budget in plain words is of the windows that were decided, not of those the environment names."""
    settings = read_settings(false_alarms="1 a day")
    with pytest.raises(UserError, match="ATALAIA_FALSE_ALARMS=1 a day cannot be tried"):
        rule_from(settings, Grid(0, 24 * HOUR, 24 * HOUR, 0))
    assert rule_from(settings, GRID).alpha == pytest.approx(1 / 24)


def test_the_grid_is_that_of_the_reports(world: Any) -> None:
    """Size, step and origin come from what was decided; the order of reports does not matter."""
    world.__class__.__init__(world, grid=Grid(0, 2 * HOUR, HOUR, 0))
    world.play([0, 0, 0, 0])
    order = np.random.default_rng(0).permutation(len(world.reports))
    found = grid_of([world.reports[i] for i in order], Settings())
    assert (found.size, found.step, found.origin % HOUR) == (2 * HOUR, HOUR, 0)
    assert grid_of(world.reports[:1], Settings()).step == 2 * HOUR
    with pytest.raises(UserError, match="no window of this model is decided yet"):
        grid_of([], Settings())
