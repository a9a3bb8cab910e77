"""The monitor with edges of its own: what is published, over restarts too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from contracts.events import AlertChanged, ModelChanged, PaneCounted, PredictionsMade, WindowTested
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Owner
from drift_monitor.domain.panes import Counter as Panes
from drift_monitor.domain.panes import Record
from drift_monitor.domain.windows import Grid
from drift_monitor.monitor import Edges, Missing, Monitor, UnusableProfile
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


def made(times: list[int], values: list[Any], version: str = "1") -> PredictionsMade:
    """A batch; row i has value i, from the beginning again after the last."""
    n = len(times)
    return PredictionsMade(
        batch_id="b",
        model="m",
        version=version,
        event_time=times,
        predictions=[i % 2 for i in range(n)],
        features={"x": [values[i % len(values)] for i in range(n)]},
    )


class Platform:
    """What outlives a monitor: its topics and model-events. One partition, one model."""

    def __init__(self) -> None:
        self.changes: list[ModelChanged] = []
        self.panes: list[PaneCounted] = []
        self.alerts: list[AlertChanged] = []
        self.reports: list[WindowTested] = []
        self.offset = 0
        self.unusable: set[str] = set()

    async def get(self, model: str, version: str) -> Profile:
        """Profiles."""
        if version in self.unusable:
            raise UnusableProfile("another schema version")
        return PROFILE

    def missing(self) -> list[Missing]:
        """Profiles that are not there."""
        return [Missing("m", version, 7, "another schema version", True) for version in self.unusable]

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
        record = Record(0, self.offset, made(list(range(start, start + n)), values, version))
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


async def test_an_alert_closes_when_the_world_comes_back_and_the_next_one_is_another() -> None:
    """Three quiet windows close an alert; drift months later opens one with an id and a since of its own."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start()
    for i, values in enumerate([ODD, QUIET, QUIET, QUIET, QUIET, ODD, QUIET]):
        await platform.send(monitor, 60 * i, values)
    march, june = platform.alerts[0].alert_id, platform.alerts[-1].alert_id
    assert march != june
    assert [(a.state, a.previous, a.alert_id, a.since) for a in platform.alerts] == [
        ("drift", "ok", march, 0),
        ("recovered", "drift", march, 0),
        ("ok", "recovered", march, 0),
        ("drift", "ok", june, 300),
    ]
    assert [(r.state, r.alert_id) for r in platform.reports] == [
        ("drift", march), ("recovered", march), ("recovered", march), ("ok", None), ("ok", None),
        ("drift", june),
    ]  # fmt: skip


async def test_an_alert_is_closed_by_its_answer() -> None:
    """The first window that another version serves closes the old one's alert, under its id, with its since."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start()
    await platform.send(monitor, 0, ODD)
    await platform.send(monitor, 60, ODD)
    monitor.changed(platform.install("2", effective_from=60, previous="1"))
    await platform.send(monitor, 120, ODD, version="2")
    opened, answered = platform.alerts
    assert (answered.state, answered.previous, answered.version) == ("ok", "drift", "1")
    assert (answered.alert_id, answered.since) == (opened.alert_id, opened.since)
    assert answered.window_end == 120
    assert answered.reason == "drift -> ok: version 2 serves"
    assert platform.reports[-1].alert_id is None


async def test_restarts_change_no_alert() -> None:
    """A monitor that is restarted after each window opens and closes what one that is not does."""
    told = []
    for restarted in (False, True):
        platform = Platform()
        platform.install("1", 0)
        monitor = platform.start()
        for i, values in enumerate([ODD, QUIET, QUIET, ODD, QUIET, QUIET, QUIET, QUIET, ODD, QUIET]):
            await platform.send(monitor, 60 * i, values)
            if restarted:
                monitor = platform.start()
        told.append((platform.reports, platform.alerts))
    assert told[0] == told[1]


def test_alerts_of_overlapping_windows_have_ids_of_their_own() -> None:
    """Where windows overlap the moment a version took over, two alerts may begin then; their ids differ."""
    grid = Grid(0, 60, 20, 0)
    owner = Owner("m", grid, replace(RULE, recovered_windows=1), [0])
    owner.changed(Platform().install("1", 70))
    log = [(70, ODD, 10), (80, QUIET, 400), (100, ODD, 4000), (120, QUIET, 10)]
    counter = Panes(grid)
    for offset, (start, values, n) in enumerate(log):
        record = Record(0, offset, made([start + i % 10 for i in range(n)], values))
        for pane in counter.absorb([record], {("m", "1"): PROFILE}, {})[0]:
            owner.replace(pane)
    ids = []
    owner.watermark.flush(120)
    while (window := owner.due()) is not None:
        decided = owner.decide(window, {"1": PROFILE})
        owner.commit(decided)
        ids += [alert.alert_id for alert in decided.alerts if (alert.state, alert.since) == ("drift", 70)]
    assert len(ids) == len(set(ids)) == 2


async def test_records_whose_profile_nobody_can_read_are_refused_with_the_reason() -> None:
    """They hold nobody up: the chunk's other records count, and the status names the version."""
    platform = Platform()
    platform.install("1", 0)
    platform.unusable = {"2"}
    monitor = platform.start()
    records = [Record(0, i, made([i], QUIET, version)) for i, version in enumerate("121")]
    refused = await monitor.absorb(records, {0: 3})
    assert [(record.offset, reason) for record, reason in refused] == [
        (1, "m version 2: another schema version")
    ]
    assert [(pane.version, pane.rows) for pane in platform.panes] == [("1", 2)]
    assert monitor.profiles_are_there()
    assert monitor.status("m")["missing_profiles"] == [
        {"model": "m", "version": "2", "since": 7, "reason": "another schema version", "unusable": True}
    ]


async def test_a_window_whose_profile_cannot_be_read_any_more_is_held_and_seen() -> None:
    """Rows were counted, then the profile broke: nothing is said of their window, and readiness tells."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start()
    await platform.send(monitor, 0, QUIET)
    platform.unusable = {"1"}
    monitor = platform.start()
    monitor.owner("m").watermark.flush(60)
    await monitor.decide()
    assert platform.reports == []
    assert not monitor.profiles_are_there()
    platform.unusable = set()
    await monitor.decide()
    assert [report.window_end for report in platform.reports] == [60]
    assert monitor.profiles_are_there()


async def test_what_windows_said_is_known_after_a_restart_too() -> None:
    """Who served the window that ended at a boundary, and the alert open after it; before the first, nothing."""
    for restarted in (False, True):
        platform = Platform()
        platform.install("1", 0)
        monitor = platform.start()
        for start, values in ((0, QUIET), (60, ODD), (120, ODD)):
            await platform.send(monitor, start, values)
        if restarted:
            monitor = platform.start()
        owner = monitor.owner("m")
        opened = platform.alerts[0].alert_id
        assert [owner.said_as_of(end) for end in (0, 60, 120, 150)] == [
            (None, None), ("1", None), ("1", opened), ("1", opened),
        ]  # fmt: skip
        assert all(report.concept for report in platform.reports)
