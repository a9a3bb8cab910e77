"""The worlds of images and texts: what they send, and that their checks can fail."""

from __future__ import annotations

import pytest
from atalaia.demo.elsewhere import Seen, checks_of, profile_of
from atalaia.demo.watched import WATCHED, sentences
from contracts.events import WindowTested
from summaries.counts import count


@pytest.mark.parametrize("name", WATCHED)
def test_a_world_is_the_same_each_time(name: str) -> None:
    """And as long as its phases say; a text comes once."""
    world = WATCHED[name]
    reference, windows = world.rows()
    assert (reference, windows) == world.rows()
    assert len(reference) == world.reference_rows
    assert [len(rows) for _, rows in windows] == [world.window_rows] * sum(p.windows for p in world.phases)
    if name == "texts":
        quiet = reference + [row for phase, rows in windows if phase.change is None for row in rows]
        assert len(set(quiet)) == len(quiet)


def test_each_change_is_found_without_a_broker() -> None:
    """The profile's own detector, digits: quiet before, and below the budget within two windows of each change."""
    world = WATCHED["digits"]
    reference, windows = world.rows()
    profile = profile_of(world, reference)
    detector, before, low = profile.detector(), None, {}
    for phase, rows in windows:
        cells = profile.index_batch({world.field.name: rows}, [0] * len(rows))
        counts = {name: count(at, profile.monitored()[name].size) for name, at in cells.items()}
        both = {1: counts} | ({2: {n: c + before[n] for n, c in counts.items()}} if before else {})
        low.setdefault(phase.name, []).append(detector.judge(both).p_value)
        before = counts
    assert min(low["as it was"]) > 1e-3
    for phase in world.phases:
        if phase.change:
            assert min(low[phase.name][:2]) <= 1e-3


def _window(hour: int, status: str) -> WindowTested:
    return WindowTested(
        model="digits", version="1", window_start=hour, window_end=hour + 1, final=True, rows=200, late_rows=0,
        status=status, state="ok", alert_id=None, alpha=0.001, correction="bh", min_effect=0.05, features={},
    )  # fmt: skip


def test_the_checks_can_fail() -> None:
    """Nothing found, an early alarm, a refused record: each is said."""
    world = WATCHED["digits"]
    phases = [phase for phase in world.phases for _ in range(phase.windows)]
    reports = [_window(hour, "drift" if hour == 3 else "ok") for hour in range(len(phases))]
    checks = checks_of(world, Seen(phases, reports, [], 1, [], 200 * len(phases)))
    assert not any(check.ok for check in checks)
    assert len(checks) == 2 + len(world.phases) - 1
    short = checks_of(world, Seen(phases, reports[:5], [], 0, [], 200 * len(phases)))
    assert [check.ok for check in short] == [False]


def test_sentences_are_sentences() -> None:
    """Of a package that is there; one that is not is named."""
    from servicekit.errors import UserError

    assert all(text.endswith(".") and 40 <= len(text) <= 200 for text in sentences("typer"))
    with pytest.raises(UserError, match="no_such_package"):
        sentences("no_such_package")
