"""Windows of other settings are not added up with ours."""

import pytest
from contracts.events import PaneCounted, WindowTested
from drift_monitor import geometry
from drift_monitor.domain.windows import Grid
from servicekit.errors import UserError

MADE_WITH = Grid(origin=7, size=60, step=20, grace=0)


def log(grid: Grid, windows: int = 3) -> tuple[list[PaneCounted], list[WindowTested]]:
    """What a monitor with such settings leaves."""
    first = grid.first_window(grid.pane_of(1000))
    reports = [
        WindowTested(
            model="m", version="1", window_start=first.start + i * grid.step,
            window_end=first.end + i * grid.step, final=True, rows=0, late_rows=0, status="insufficient data",
            state="ok", alert_id=None, alpha=0.01, correction="bh", min_effect=0.1, features={},
        )
        for i in range(windows)
    ]  # fmt: skip
    start = grid.pane_of(1000)
    pane = PaneCounted(
        model="m", version="1", partition=0, pane_start=start, pane_end=start + grid.pane, rows=1, counts={},
        unseen={}, last_offset=0, epoch=0,
    )  # fmt: skip
    return [pane], reports


def test_a_log_of_the_same_settings_is_taken() -> None:
    """The same grid, or one whose origin is a whole number of steps away, has the same windows."""
    for origin in (7, 27, -13):
        geometry.check(Grid(origin, 60, 20, 99), *log(MADE_WITH))
    geometry.check(MADE_WITH, [], [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Grid(7, 80, 20, 0), "ATALAIA_WINDOW_MS: the log has windows of 60 ms, set is 80 ms"),
        (Grid(7, 60, 40, 0), "ATALAIA_STEP_MS: the log has windows 20 ms apart, set is 40 ms"),
        (Grid(7, 60, 60, 0), "ATALAIA_STEP_MS: the log has windows 20 ms apart, set is 60 ms"),
        (
            Grid(10, 60, 20, 0),
            "ATALAIA_WINDOW_ORIGIN_MS: the log has windows that start 7 ms after multiples of 20 ms, "
            "set is 10, which makes it 10 ms",
        ),
    ],
)
def test_reports_of_other_settings_are_refused(settings: Grid, said: str) -> None:
    """One line says which setting, what the log has, what is set and what to do."""
    with pytest.raises(UserError) as caught:
        geometry.check(settings, *log(MADE_WITH))
    assert str(caught.value).startswith(said)
    assert "delete the topics panes" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Grid(7, 60, 60, 0), "ATALAIA_WINDOW_MS or ATALAIA_STEP_MS: the log has panes of 20 ms, set is 60"),
        (Grid(8, 60, 20, 0), "ATALAIA_WINDOW_ORIGIN_MS: the log has panes that start 7 ms after"),
    ],
)
def test_panes_of_other_settings_are_refused_before_any_report(settings: Grid, said: str) -> None:
    """A monitor that was stopped in its first window has left panes alone."""
    with pytest.raises(UserError) as caught:
        geometry.check(settings, log(MADE_WITH)[0], [])
    assert str(caught.value).startswith(said)


def test_a_shorter_step_of_the_same_panes_is_refused() -> None:
    """Panes may be the same where the step is not; the distance of reports tells."""
    with pytest.raises(UserError, match=r"ATALAIA_STEP_MS: the log has windows 40 ms apart, set is 20 ms"):
        geometry.check(Grid(0, 60, 20, 0), *log(Grid(0, 60, 40, 0)))
