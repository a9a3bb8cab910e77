"""The monitor with edges of its own: what is published, over restarts too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from contracts.events import AlertChanged, ModelChanged, PaneCounted, PredictionsMade, WindowTested
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.panes import Record
from drift_monitor.domain.windows import Grid
from drift_monitor.monitor import Edges, Monitor
from summaries.profile import FieldSpec, Profile

GRID = Grid(origin=0, size=60, step=60, grace=0)
RULE = Rule(alpha=0.01, correction="bh", min_effect=0.1, min_rows=5, alert_windows=1)
PROFILE = Profile.build(
    {"x": [1.0, 2.0, 3.0, 4.0]},
    [FieldSpec("x", "float32")],
    [0, 1, 0, 1],
    None,
    "y",
    [0, 1],
    "classification",
)
QUIET, ODD = [1.0, 2.0, 3.0, 4.0], [9.0] * 4


class Platform:
    """What outlives a monitor: its topics and model-events. One partition, one model."""

    def __init__(self) -> None:
        self.changes: list[ModelChanged] = []
        self.panes: list[PaneCounted] = []
        self.alerts: list[AlertChanged] = []
        self.reports: list[WindowTested] = []
        self.offset = 0

    async def get(self, model: str, version: str) -> Profile:
        """Profiles."""
        return PROFILE

    def install(self, version: str, effective_from: int, previous: str | None = None) -> ModelChanged:
        """A version takes over."""
        change = ModelChanged(
            model="m",
            version=version,
            previous_version=previous,
            action="promoted" if previous else "installed",
            artifact_uri="",
            sha256="",
            effective_from=effective_from,
            reason="",
        )
        self.changes.append(change)
        return change

    def start(self) -> Monitor:
        """A monitor that begins where the last one ended."""

        async def publish_panes(panes: Sequence[PaneCounted]) -> None:
            self.panes += panes

        async def publish_alert(alert: AlertChanged) -> None:
            self.alerts.append(alert)

        async def publish_report(report: WindowTested) -> None:
            self.reports.append(report)

        async def end_offsets() -> Mapping[int, int]:
            return {0: self.offset}

        async def model_events_read() -> None:
            return

        edges = Edges(self, publish_panes, publish_alert, publish_report, end_offsets, model_events_read)
        monitor = Monitor(GRID, RULE, [0], edges)
        for change in self.changes:
            monitor.changed(change)
        monitor.restore(self.panes, self.reports, {0: self.offset})
        return monitor

    async def send(
        self, monitor: Monitor, start: int, values: list[Any], version: str = "1", n: int = 40
    ) -> None:
        """``n`` rows from ``start`` on, one a millisecond; then the windows that are over are decided."""
        times = list(range(start, start + n))
        made = PredictionsMade(
            batch_id="b",
            model="m",
            version=version,
            event_time=times,
            predictions=[t % 2 for t in times],
            features={"x": [values[t % len(values)] for t in times]},
        )
        record = Record(0, self.offset, made)
        self.offset += 1
        await monitor.absorb([record], {0: self.offset})
        await monitor.decide()


async def test_a_restart_decides_no_window_again_that_a_promotion_reaches_back_to() -> None:
    """A promotion as of a boundary before windows that are reported leaves them as they were reported."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start()
    for start in (0, 60, 120, 180):
        await platform.send(monitor, start, ODD)
    assert monitor.owner("m").decided_through == 180
    platform.install("2", effective_from=60, previous="1")
    monitor = platform.start()
    assert monitor.owner("m").decided_through == 180
    await platform.send(monitor, 220, QUIET, version="2", n=20)
    await platform.send(monitor, 240, QUIET, version="2")
    said = Counter((report.window_end, report.version) for report in platform.reports)
    assert said == Counter([(60, "1"), (120, "1"), (180, "1"), (240, "1"), (240, "2")])
    last = {report.window_end: report.version for report in platform.reports if report.serving}
    assert last == {60: "1", 120: "1", 180: "1", 240: "2"}


async def test_a_restart_in_the_gap_publishes_what_no_restart_would() -> None:
    """With a promotion that reaches back, a monitor that is restarted says what one that is not says."""
    told = []
    for restarted in (False, True):
        platform = Platform()
        platform.install("1", 0)
        monitor = platform.start()
        for start in (0, 60, 120, 180):
            await platform.send(monitor, start, ODD)
        change = platform.install("2", effective_from=60, previous="1")
        if restarted:
            monitor = platform.start()
        else:
            monitor.changed(change)
        await platform.send(monitor, 220, ODD, version="2", n=20)
        await platform.send(monitor, 240, ODD, version="2")
        await platform.send(monitor, 300, QUIET, version="2")
        told.append((platform.reports, platform.alerts))
    assert told[0] == told[1]
