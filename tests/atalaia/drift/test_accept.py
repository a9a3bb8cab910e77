"""``atalaia drift accept``: a live span becomes the reference."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from atalaia.drift.accept import acceptance, blind_spots, said, under_way
from atalaia.drift.backtest import judge_again
from atalaia.drift.history import alerts_of
from contracts.codec import decode, encode
from contracts.events import TrainingDecided
from contracts.flow import load_topics
from contracts.generate import example
from drift_monitor.domain.references import accepted_profile
from servicekit.errors import UserError

HOUR = 3_600_000


def test_the_span_goes_from_since_to_the_newest_decided_window(drifted: Any) -> None:
    """Its counts are all rows of these windows, over the profile's cells; a window under way is not in it."""
    drifted.hour(10, 2, n=60)
    (alert,) = alerts_of(drifted.alerts)
    event = acceptance(alert, drifted.reports, drifted.panes, [], "a new terminal", "on call")
    assert (event.since, event.until, event.effective_from) == (6 * HOUR, 10 * HOUR, 10 * HOUR)
    assert (event.rows, event.reason, event.accepted_by) == (1200, "a new terminal", "on call")
    assert accepted_profile(drifted.profile, event).rows == 1200
    assert "1,200 rows of m version 1, 1970-01-01 06:00 to 1970-01-01 10:00 UTC" in next(said(event))
    assert len(encode(event, source="test")[0]) < 10_000
    assert list(blind_spots(event, drifted.reports)) == []


def test_the_monitor_takes_what_was_accepted(drifted: Any) -> None:
    """The same hours again are quiet, the alert closes; a backtest judges against it too."""
    (alert,) = alerts_of(drifted.alerts)
    event = acceptance(alert, drifted.reports, drifted.panes, [], "")
    drifted.owner.accepted(event)
    for at in range(10, 14):
        drifted.hour(at, 2)
    drifted.decide(14)
    (alert,) = alerts_of(drifted.alerts)
    assert (alert.state, alert.changes[-1].window_end) == ("ok", 11 * HOUR)
    assert [r.state for r in drifted.reports[10:]] == ["ok"] * 4
    run = judge_again(
        "m", drifted.panes, [drifted.installed], lambda v: drifted.profile, drifted.grid, drifted.rule, 14 * HOUR,
        [event],
    )  # fmt: skip
    assert (run.windows, run.alerts) == (drifted.reports, drifted.alerts)


def test_panes_that_are_gone_refuse_it_with_the_window(drifted: Any) -> None:
    """One pane of the span is enough; one before it does not matter."""
    (alert,) = alerts_of(drifted.alerts)
    kept = [p for p in drifted.panes if p.pane_start != 7 * HOUR]
    line = "panes of its span are gone: the window 1970-01-01 07:00 to 1970-01-01 08:00 had 300 rows, its panes hold 0"
    with pytest.raises(UserError, match=line):
        acceptance(alert, drifted.reports, kept, [], "")
    acceptance(alert, drifted.reports, [p for p in drifted.panes if p.pane_start != 2 * HOUR], [], "")
    with pytest.raises(UserError, match="the reports of its windows are gone"):
        acceptance(alert, [], drifted.panes, [], "")


def test_only_an_open_virtual_alert_can_be_accepted_and_once(world: Any) -> None:
    """Closed, of another kind, or accepted already: one line each."""
    world.play([0, 0, 2, 0, 0, 0, 0, 2])
    opened, closed = alerts_of(world.alerts)
    with pytest.raises(UserError, match=r"is not open \(recovered -> ok: no feature drifted\)"):
        acceptance(closed, world.reports, world.panes, [], "")
    event = acceptance(opened, world.reports, world.panes, [], "")
    with pytest.raises(UserError, match="was accepted already, for windows that end after 1970-01-01 08:00"):
        acceptance(opened, world.reports, world.panes, [event], "")
    real = alerts_of([msgspec.structs.replace(world.alerts[0], kind="real")])
    with pytest.raises(UserError, match="is of kind real"):
        acceptance(real[0], world.reports, world.panes, [], "")


def test_rows_where_no_difference_can_be_seen_are_told(world: Any) -> None:
    """A world beyond all the reference's values is one cell: the person who accepts it must know."""
    world.play([0, 0, 40, 40])
    (alert,) = alerts_of(world.alerts)
    event = acceptance(alert, world.reports, world.panes, [], "")
    (told,) = blind_spots(event, world.reports)
    assert told.startswith("temp: 100% of the rows lie between two neighbouring values")


def test_a_training_that_is_under_way_is_told() -> None:
    """The trainer does not hear of an acceptance: what it has begun for the alert it may still promote."""
    content = json.dumps(example(load_topics()["training-runs"])).encode()
    started = msgspec.structs.replace(decode(TrainingDecided, content), alert_id="a", decision="started")
    refused = msgspec.structs.replace(started, decision="refused")
    (told,) = under_way("a", [started])
    assert told.startswith("A training that this alert began is under way")
    pending = msgspec.structs.replace(started, decision="waiting", waits_for="approval")
    (told,) = under_way("a", [started, pending])
    assert "waiting for approval" in told
    assert list(under_way("a", [started, refused])) == list(under_way("b", [started])) == []
