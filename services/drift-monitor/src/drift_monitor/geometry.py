"""Are the windows on the log the settings' own? Panes of others would be added to windows they do not tile."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from contracts.events import PaneCounted, WindowTested
from servicekit.errors import UserError

from drift_monitor.domain.windows import Grid


def check(grid: Grid, panes: Iterable[PaneCounted], reports: Iterable[WindowTested]) -> None:
    """Raise :class:`UserError` where panes or reports were made with another size, step or origin."""
    starts: dict[str, set[int]] = {}
    for report in reports:
        if (size := report.window_end - report.window_start) != grid.size:
            raise _other("ATALAIA_WINDOW_MS", f"windows of {size} ms", f"{grid.size} ms")
        starts.setdefault(report.model, set()).add(report.window_start)
    for found in starts.values():
        ordered = sorted(found)
        # two that are reported are neighbours: windows are passed over only after many without rows
        step = min((b - a for a, b in itertools.pairwise(ordered)), default=grid.step)
        if step != grid.step:
            raise _other("ATALAIA_STEP_MS", f"windows {step} ms apart", f"{grid.step} ms")
        _check_origin(grid, ordered, grid.step, "windows")
    for pane in panes:
        if (size := pane.pane_end - pane.pane_start) != grid.pane:
            raise _other(
                "ATALAIA_WINDOW_MS or ATALAIA_STEP_MS",
                f"panes of {size} ms",
                f"{grid.size} and {grid.step} ms, which makes panes of {grid.pane} ms",
            )
        _check_origin(grid, [pane.pane_start], grid.pane, "panes")


def _check_origin(grid: Grid, starts: Iterable[int], distance: int, what: str) -> None:
    for start in starts:
        if (start - grid.origin) % distance:
            raise _other(
                "ATALAIA_WINDOW_ORIGIN_MS",
                f"{what} that start {start % distance} ms after multiples of {distance} ms",
                f"{grid.origin}, which makes it {grid.origin % distance} ms",
            )


def _other(setting: str, has: str, is_set: str) -> UserError:
    return UserError(
        f"{setting}: the log has {has}, set is {is_set}. Set it to what the log was made with; or, to count "
        "all predictions anew, delete the topics panes, progress, drift-reports, concept-reports and drift-alerts and the consumer group "
        "drift-monitor."
    )
