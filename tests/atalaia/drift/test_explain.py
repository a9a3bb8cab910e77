"""``atalaia drift explain``: an alert in words and letters."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from atalaia.drift.explain import render, render_list
from atalaia.drift.history import Alert, alerts_of, find
from atalaia.drift.plots import PLAIN, Signs, bars, curve_at, ecdf, share, sparkline
from contracts.events import AlertChanged, ConceptTested, FeatureShape
from rich.console import Console
from rich.text import Text
from servicekit.errors import UserError

HOUR = 3_600_000


def shown(call: Any, *arguments: Any, **options: Any) -> str:
    """What is printed at 80 columns, without colour."""
    console = Console(width=80, no_color=True, force_terminal=False, record=True, quiet=False, file=None)
    with console.capture() as captured:
        call(console, *arguments, **options)
    return captured.get()


def plain(lines: list[Text]) -> list[str]:
    """The letters alone."""
    return [line.plain for line in lines]


def test_an_alert_is_told_within_80_columns(drifted: Any) -> None:
    """Model, since, states, each feature's test, plots, unseen categories and the windows since are all there."""
    (alert,) = alerts_of(drifted.alerts)
    text = shown(render, alert, drifted.reports)
    assert max(map(len, text.splitlines())) <= 80
    for told in (
        f"alert {alert.id}  open: drift",
        "m version 1, virtual",
        "since 1970-01-01 06:00 UTC",
        "ok -> drift",
        "Anderson-Darling",
        "chi-square",
        "4 of 4",
        "○ reference   ● live   ◆ both",
        "Half of the reference is at most 9.9",
        "EWR               reference ░░░",
        "of the live values are categories the reference does not know",
        "▲▲▲▲",
        "│ since 1970-01-01 06:00",
    ):
        assert told in text


def test_the_newest_drifted_window_can_be_asked_for(drifted: Any) -> None:
    """--newest shows the evidence of the alert's last drifted window, not of its first."""
    (alert,) = alerts_of(drifted.alerts)
    assert "window 1970-01-01 06:00 to 1970-01-01 07:00" in shown(render, alert, drifted.reports)
    newest = shown(render, alert, drifted.reports, newest=True)
    assert "window 1970-01-01 09:00 to 1970-01-01 10:00" in newest
    assert "over the last 2 windows" in newest


def test_missing_values_are_told_in_words(world: Any) -> None:
    """How many are missing in the window, and that their share is what changed."""
    for at in range(4):
        world.hour(at, 0, missing=0.3 if at >= 2 else 0.0)
    world.decide(4)
    (alert,) = alerts_of(world.alerts)
    text = shown(render, alert, world.reports)
    assert "What changed is how many values are missing" in text
    assert "Missing in the window: " in text
    assert "missing values" in text


def test_an_alert_is_told_without_reports_and_without_features(drifted: Any) -> None:
    """Where reports are gone, or a kind of alert has no features, what there is is told."""
    (alert,) = alerts_of(drifted.alerts)
    assert "temp" in shown(render, alert, [])
    real = msgspec.structs.replace(
        alert.changes[0], kind="real", features={}, reason="ok -> drift: error rose"
    )
    text = shown(render, Alert([real]), drifted.reports)
    assert "the same inputs mean something else" in text
    assert "error rose" in text


def test_a_real_alert_shows_how_the_errors_went(drifted: Any) -> None:
    """The mean error before and since, and its course, from the reports as of each boundary."""
    opened = msgspec.structs.replace(
        drifted.alerts[0],
        kind="real",
        features={},
        since=5 * HOUR,
        window_end=7 * HOUR,
        reason="ok -> drift: rose",
    )
    errors = [
        ConceptTested(
            model="m", version="1", as_of=at * HOUR, detector="adwin", rows=10 * at, error=0.1 if at <= 5 else 0.4,
            state="drift" if at >= 7 else "ok", alert_id=opened.alert_id if at >= 7 else None, since=None,
            offsets={},
        )
        for at in range(1, 10)
    ]  # fmt: skip
    text = shown(render, Alert([opened]), drifted.reports, [*errors, *errors])
    assert "Mean error of the labelled rows: 0.1 before, 0.4 since (by adwin)." in text
    assert "error    ▃▃▃▃▃│████  0 to 0.4, 9 boundaries" in text
    assert "drift         │ ▲▲▲  (│ since 1970-01-01 05:00)" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_quality_alert_says_what_was_promised_and_shows_the_errors(drifted: Any) -> None:
    """Its figures are in its reason; the course of the errors is marked where quality was below the promise."""
    reason = "ok -> drift: accuracy 0.6 (0.53 to 0.67) on 200 labelled rows of a window; 0.8 was promised"
    opened = msgspec.structs.replace(
        drifted.alerts[0], kind="quality", features={}, since=5 * HOUR, window_end=7 * HOUR, reason=reason
    )
    errors = [
        ConceptTested(
            model="m", version="1", as_of=at * HOUR, detector="adwin", rows=10 * at, error=0.1 if at <= 5 else 0.4,
            state="ok", alert_id=None, since=None, offsets={}, quality_state="drift" if at >= 7 else "ok",
            quality_alert_id=opened.alert_id if at >= 7 else None, quality_since=5 * HOUR if at >= 7 else None,
        )
        for at in range(1, 10)
    ]  # fmt: skip
    text = shown(render, Alert([opened]), drifted.reports, errors)
    assert "m version 1, quality: the model does worse than its held-out rows promised" in text
    assert "accuracy 0.6 (0.53 to 0.67)" in text
    assert "Mean error of the labelled rows: 0.1 before, 0.4 since." in text
    assert "drift         │ ▲▲▲  (│ since 1970-01-01 05:00)" in text


def test_the_list_is_newest_first_and_marks_the_open(world: Any) -> None:
    """An alert that closed and one that is open; a change that came twice counts once."""
    world.play([0, 0, 2, 0, 0, 0, 0, 2])
    alerts = alerts_of([*world.alerts, *world.alerts])
    assert [(alert.mark, len(alert.changes)) for alert in alerts] == [("open", 1), ("closed", 3)]
    lines = shown(render_list, alerts).splitlines()
    assert lines[1].startswith(f"*  {alerts[0].id[:8]}")
    assert lines[-1].startswith("2 alerts, 1 open (*)")
    assert shown(render_list, []) == "no alert on drift-alerts: nothing has drifted so far\n"


def test_a_prefix_finds_an_alert_and_others_are_one_line(world: Any) -> None:
    """An unambiguous beginning is enough; an unknown or ambiguous one names what there is."""
    world.play([0, 0, 2, 0, 0, 0, 0, 2])
    first, second = alerts_of(world.alerts)
    assert find([first, second], second.id[:10]) is second
    with pytest.raises(
        UserError, match=rf"no alert zz; there are {first.id[:8]} \(m, open: drift\), {second.id[:8]}"
    ):
        find([first, second], "zz")
    with pytest.raises(UserError, match="begins the ids of 2 alerts"):
        find([first, second], "")
    with pytest.raises(UserError, match="there is none on drift-alerts yet"):
        find([], "zz")


def test_a_warning_is_not_open(drifted: Any) -> None:
    """A run of drifted windows that is too short yet has raised nothing."""
    warning: AlertChanged = msgspec.structs.replace(drifted.alerts[0], state="warning")
    (alert,) = alerts_of([warning])
    assert (alert.open, alert.mark) == (False, "warning")


def test_two_curves_differ_in_sign() -> None:
    """Reference, live and where both are: three signs, in ASCII where the terminal knows no others."""
    x: list[float | str] = [float(i) for i in range(100)]
    up = np.linspace(0.01, 1, 100)
    shape = FeatureShape(kind="numeric", x=x, reference=up.tolist(), live=np.maximum(0, up - 0.4).tolist())
    for signs in (Signs(), PLAIN):
        lines = plain(ecdf(shape, 80, signs))
        assert max(map(len, lines)) <= 80
        body = "\n".join(lines[:11])
        assert all(sign in body for sign in (signs.reference, signs.live, signs.both))
        assert lines[0].startswith(" 100%")
        # the reference reaches the top, the live curve does not
        assert signs.reference in lines[0]
        assert signs.live not in lines[0]
    assert all(line.isascii() for line in lines)


def test_a_staircase_is_drawn_as_one() -> None:
    """Of few distinct values the ECDF jumps at them; of many, points in between are interpolated."""
    x, y = np.array([1.0, 2.0]), np.array([0.5, 1.0])
    assert curve_at(x, y, np.array([0.9, 1.0, 1.9, 2.0])).tolist() == [0, 0.5, 0.5, 1]
    many = np.arange(100.0)
    assert curve_at(many, many / 99, np.array([49.5])).tolist() == [0.5]


def test_far_values_leave_the_others_room() -> None:
    """One value far out does not squeeze the rest: the axis shows the rest and says so."""
    x: list[float | str] = [*[float(i) for i in range(99)], 1e6]
    y = np.linspace(0.01, 1, 100).tolist()
    lines = plain(ecdf(FeatureShape(kind="numeric", x=x, reference=y, live=y), 80, Signs()))
    assert "(all: 0 to 1,000,000)" in lines[-1]


def test_one_value_alone_can_be_drawn() -> None:
    """A constant reference has an axis too."""
    shape = FeatureShape(kind="numeric", x=[3.0], reference=[1.0], live=[0.2])
    assert len(ecdf(shape, 80, Signs())) == 14


def test_many_categories_are_those_that_differ_most() -> None:
    """The first bars are of the largest differences; the rest are one line."""
    n = 30
    shape = FeatureShape(
        kind="categorical", x=[f"category number {i}" for i in range(n)],
        reference=[1 / n] * n, live=[*[1 / n] * (n - 2), 0.0, 2 / n],
    )  # fmt: skip
    lines = plain(bars(shape, 80, Signs()))
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("category number ")
    assert lines[-1] == "18 more categories differ by 0% or less"


def test_a_sparkline_keeps_every_peak() -> None:
    """More windows than columns: neighbours share one, their largest is shown; what is not known is a dot."""
    line, marks = sparkline([None, 0.0, 0.5, 1.0], [False, False, False, True], 2, 10, Signs())
    assert (line, marks) == ("·▁│▅█", "  │ ▲")
    values = [0.0] * 100
    values[70] = 1.0
    line, marks = sparkline(values, [v > 0 for v in values], 50, 10, Signs())
    assert len(line) == 11
    assert line.count("█") == marks.count("▲") == 1


def test_a_share_is_never_rounded_to_none_or_all() -> None:
    """What is nearly nothing or nearly all is told as that."""
    assert [share(v) for v in (0, 0.0001, 0.05, 0.5, 0.9999, 1)] == [
        "0%",
        "<0.1%",
        "5.0%",
        "50%",
        ">99.9%",
        "100%",
    ]
