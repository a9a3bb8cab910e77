"""The laws of the alert's state machine."""

from drift_monitor.domain.alerts import AlertState
from hypothesis import given
from hypothesis import strategies as st

WINDOWS = st.lists(st.sampled_from([True, False, None]), max_size=30)


def run(windows: list[bool | None], alert_windows: int) -> list[AlertState]:
    """The state after each window; window i starts at i."""
    state, states = AlertState(), []
    for i, drifted in enumerate(windows):
        state = state.after(drifted=drifted, start=i, alert_windows=alert_windows)
        states.append(state)
    return states


@given(WINDOWS, st.integers(1, 4))
def test_an_open_alert_stays_open_and_keeps_its_since(windows: list[bool | None], alert_windows: int) -> None:
    """Once opened, no sequence of windows closes an alert or moves its beginning."""
    opened = [state for state in run(windows, alert_windows) if state.opened]
    assert len({state.since for state in opened}) <= 1
    states = run(windows, alert_windows)
    assert [state.opened for state in states] == sorted(state.opened for state in states)


@given(WINDOWS, st.integers(1, 4))
def test_an_alert_opens_after_so_many_drifted_windows_in_a_row(
    windows: list[bool | None], alert_windows: int
) -> None:
    """It opens at the first run of ``alert_windows`` drifted windows, thin ones left out, since the first."""
    told = [(i, drifted) for i, drifted in enumerate(windows) if drifted is not None]
    run_start, length, expected = 0, 0, None
    for i, drifted in told:
        run_start, length = (i if length == 0 else run_start, length + 1) if drifted else (0, 0)
        if length == alert_windows:
            expected = run_start
            break
    last = run(windows, alert_windows)[-1] if windows else AlertState()
    assert (last.since if last.opened else None) == expected


@given(WINDOWS, st.integers(1, 4))
def test_too_few_rows_change_nothing(windows: list[bool | None], alert_windows: int) -> None:
    """Windows of insufficient data might as well not be there."""
    state = AlertState()
    for drifted in windows:
        after = state.after(drifted=drifted, start=0, alert_windows=alert_windows)
        assert drifted is not None or after == state
        state = after


def test_quiet_windows_lead_from_drift_over_recovered_to_ok() -> None:
    """ok, warning, drift, recovered, ok, and straight to drift again while the alert is open."""
    windows: list[bool | None] = [True, True, False, False, True]
    states = run(windows, 2)
    assert [state.state for state in states] == ["warning", "drift", "recovered", "ok", "drift"]
    assert states[-1].since == 0
