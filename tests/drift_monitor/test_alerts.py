"""The laws of the alert's state machine."""

from drift_monitor.domain.alerts import AlertState
from hypothesis import given
from hypothesis import strategies as st

WINDOWS = st.lists(st.sampled_from([True, False, None]), max_size=40)
SO_MANY = st.integers(1, 4)


def run(windows: list[bool | None], alert_windows: int, recovered_windows: int = 3) -> list[AlertState]:
    """The state after each window; window i starts at i."""
    state, states = AlertState(), []
    for i, drifted in enumerate(windows):
        state = state.after(
            drifted=drifted, start=i, alert_windows=alert_windows, recovered_windows=recovered_windows
        )
        states.append(state)
    return states


@given(WINDOWS, SO_MANY, SO_MANY)
def test_an_open_alert_keeps_its_since_and_another_has_a_later_one(
    windows: list[bool | None], alert_windows: int, recovered_windows: int
) -> None:
    """While an alert is open its beginning does not move; the next one begins after the last one's end."""
    before = AlertState()
    closed_at = -1
    for i, state in enumerate(run(windows, alert_windows, recovered_windows)):
        if before.opened and state.opened:
            assert state.since == before.since
        elif before.opened:
            closed_at = i
        elif state.opened:
            assert state.since is not None
            assert state.since > closed_at
        before = state


@given(WINDOWS, SO_MANY, SO_MANY)
def test_an_alert_opens_after_so_many_drifted_windows_in_a_row(
    windows: list[bool | None], alert_windows: int, recovered_windows: int
) -> None:
    """It opens at the first run of ``alert_windows`` drifted windows, thin ones left out, since the first."""
    states = run(windows, alert_windows, recovered_windows)
    start, length = 0, 0
    for i, drifted in enumerate(windows):
        if drifted is not None:
            start, length = (i if length == 0 else start, length + 1) if drifted else (0, 0)
        if length == alert_windows:
            assert not any(state.opened for state in states[:i])
            assert (states[i].opened, states[i].since) == (True, start)
            return
    assert not any(state.opened for state in states)


@given(WINDOWS, SO_MANY, SO_MANY)
def test_an_alert_closes_after_so_many_quiet_windows_in_a_row(
    windows: list[bool | None], alert_windows: int, recovered_windows: int
) -> None:
    """It closes at a run of ``recovered_windows`` quiet windows, thin ones left out, and nowhere else."""
    quiet, before = 0, AlertState()
    for drifted, state in zip(windows, run(windows, alert_windows, recovered_windows), strict=True):
        if drifted is not None:
            quiet = 0 if drifted else quiet + 1
        if before.opened:
            assert state.opened == (drifted is not False or quiet < recovered_windows)
            assert state.opened == (state.state in ("drift", "recovered"))
        before = state


@given(WINDOWS, SO_MANY, SO_MANY)
def test_too_few_rows_change_nothing(
    windows: list[bool | None], alert_windows: int, recovered_windows: int
) -> None:
    """Windows of insufficient data might as well not be there."""
    before = AlertState()
    for drifted, state in zip(windows, run(windows, alert_windows, recovered_windows), strict=True):
        assert drifted is not None or state == before
        before = state


def test_quiet_windows_lead_from_drift_over_recovered_to_ok() -> None:
    """One quiet window recovers, and a drifted one resumes the alert; enough of them close it for good."""
    windows: list[bool | None] = [True, True, False, True, False, False, None, False, False, True, True]
    states = run(windows, 2, 3)
    assert [state.state for state in states] == [
        "warning", "drift", "recovered", "drift", "recovered", "recovered", "recovered", "ok",
        "ok", "warning", "drift",
    ]  # fmt: skip
    assert [state.since for state in states] == [0] * 7 + [None] * 2 + [9] * 2


def test_where_one_quiet_window_suffices_it_closes_at_once() -> None:
    """With ``recovered_windows`` of one there is no state between drift and ok."""
    assert [state.state for state in run([True, False, True], 1, 1)] == ["drift", "ok", "drift"]
