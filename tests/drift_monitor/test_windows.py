"""Windows and panes."""

from drift_monitor.domain.windows import Grid
from hypothesis import given
from hypothesis import strategies as st

GRIDS = st.builds(
    lambda origin, a, b, unit: Grid(origin, max(a, b) * unit, min(a, b) * unit, 0),
    st.integers(-1000, 1000), st.integers(1, 12), st.integers(1, 12), st.integers(1, 50),
)  # fmt: skip


@given(GRIDS, st.integers(-(10**6), 10**6))
def test_a_window_is_a_whole_number_of_panes(grid: Grid, event_time: int) -> None:
    """Panes tile each window, so a window is exactly the sum of its panes."""
    window = grid.first_window(grid.pane_of(event_time))
    assert grid.pane_of(window.start) == window.start
    assert (window.end - window.start) % grid.pane == 0


@given(GRIDS, st.integers(-(10**6), 10**6))
def test_a_pane_lies_in_the_windows_from_its_first_to_its_last(grid: Grid, event_time: int) -> None:
    """All windows that hold an event time, and only they, lie between the pane's first and last window."""
    pane = grid.pane_of(event_time)
    assert pane <= event_time < pane + grid.pane
    first, last = grid.first_window(pane), grid.last_window(pane)
    window = (first.start - grid.step, first.end - grid.step)
    assert not window[0] <= event_time < window[1]
    at = first
    while at.start <= last.start:
        assert at.start <= pane
        assert pane + grid.pane <= at.end
        at = grid.after(at)
    assert not at.start <= event_time < at.end
