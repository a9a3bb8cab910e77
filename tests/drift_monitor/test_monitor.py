"""The monitor with edges of its own: what is published, over restarts too."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from contracts.codec import encode
from contracts.events import (
    AlertChanged,
    ModelChanged,
    PaneCounted,
    PredictionsMade,
    ProgressMade,
    WindowTested,
)
from drift_monitor.consumes import predictions
from drift_monitor.counting import Counting, Fenced, Missing, UnusableProfile
from drift_monitor.counting import Edges as CountingEdges
from drift_monitor.deciding import Deciding
from drift_monitor.deciding import Edges as DecidingEdges
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Owner
from drift_monitor.domain.panes import Counter as Panes
from drift_monitor.domain.panes import Position, Record
from drift_monitor.domain.progress import Ended, Progress
from drift_monitor.domain.windows import Grid, Window
from drift_monitor.produces.panes import key_of
from prometheus_client import REGISTRY
from servicekit import metrics
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
        batch_id=f"{version}/{times[0]}",
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
        self.panes: dict[tuple[bytes, int], PaneCounted] = {}
        self.progress: list[ProgressMade] = []
        self.alerts: list[AlertChanged] = []
        self.reports: list[WindowTested] = []
        self.offset = 0
        self.unusable: set[str] = set()
        self.struck: list[tuple[int, int]] = []
        self.state = Progress()

    async def get(self, model: str, version: str) -> Profile:
        """Profiles."""
        if version in self.unusable:
            raise UnusableProfile("another schema version")
        return PROFILE

    def missing(self) -> list[Missing]:
        """Profiles that are not there."""
        return [Missing("m", version, 7, "another schema version", True) for version in self.unusable]

    async def read_past(self, offset: int) -> None:
        """Progress is read as it is written."""
        assert offset < len(self.progress)

    async def publish_progress(self, event: ProgressMade) -> int:
        """A topic of one partition."""
        self.progress.append(event)
        self.state.take(len(self.progress) - 1, event)
        return len(self.progress) - 1

    async def publish_panes(self, panes: Sequence[PaneCounted]) -> Mapping[int, int]:
        """Compacted as it is written."""
        self.panes.update({(key_of(pane), pane.partition): pane for pane in panes})
        return {pane.partition: len(self.panes) for pane in panes}

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

    def start(self, keep_windows: int = 200) -> Monitor:
        """A monitor that begins where the last one ended."""
        return Monitor(self, keep_windows)

    async def send(
        self, monitor: Monitor, start: int, values: list[Any], version: str = "1", n: int = 40
    ) -> None:
        """``n`` rows from ``start`` on, one a millisecond; then the windows that are over are decided."""
        record = Record(0, self.offset, made(list(range(start, start + n)), values, version))
        self.offset += 1
        await absorb(monitor.counting, [record], {0: self.offset})
        await monitor.decide()


async def absorb(
    counting: Counting,
    records: Sequence[Record],
    positions: Mapping[int, int],
    refused: list[tuple[int, int, str]] | None = None,
) -> frozenset[int]:
    """Count a chunk of records that can all be read."""

    async def refuse(given: Sequence[tuple[int, int, str]]) -> None:
        if refused is not None:
            refused.extend(given)

    return await counting.absorb(records, positions, [], refuse)


class Monitor:
    """A worker that counts the one partition and decides."""

    def __init__(self, platform: Platform, keep_windows: int) -> None:
        self.platform = platform

        async def read_panes(_: Iterable[int]) -> tuple[list[PaneCounted], Mapping[int, int]]:
            return list(platform.panes.values()), {0: len(platform.panes)}

        async def publish_alert(alert: AlertChanged) -> None:
            platform.alerts.append(alert)

        async def publish_report(report: WindowTested) -> None:
            platform.reports.append(report)

        async def publish_ended(model: str, ended: Ended) -> None:
            event = ProgressMade(
                what="ended", worker="", offsets={"0": ended.ends[0]}, clocks={model: ended.at}
            )
            await platform.publish_progress(event)

        async def end_offsets() -> Mapping[int, int]:
            return {0: platform.offset}

        async def forget_progress(partition: int, epoch: int) -> None:
            platform.struck.append((partition, epoch))

        async def nothing(*_: Any) -> None:
            return

        async def read_batches(_: Mapping[int, int]) -> Mapping[int, Mapping[str, int]]:
            return {}

        async def forget_panes(panes: Sequence[tuple[bytes, int]]) -> None:
            for key in panes:
                del platform.panes[key]

        self.counting = Counting(
            GRID,
            "w",
            CountingEdges(
                platform,
                platform,
                platform.publish_panes,
                platform.publish_progress,
                forget_progress,
                read_panes,
                read_batches,
            ),
        )
        self.counting.assign([0])
        self.deciding = Deciding(
            GRID,
            RULE,
            [0],
            DecidingEdges(
                platform,
                publish_alert,
                publish_report,
                publish_ended,
                end_offsets,
                nothing,
                forget_panes,
                lambda: True,
            ),
            keep_windows,
        )
        self.deciding.restore(platform.reports)
        for change in platform.changes:
            self.deciding.changed(change)

    def changed(self, change: ModelChanged) -> None:
        """Another version serves."""
        self.deciding.changed(change)

    def owner(self, model: str) -> Owner:
        """Who decides a model."""
        return self.deciding.owner(model)

    async def decide(self) -> None:
        """Read what was written, and decide what is over."""
        for (key, _), pane in self.platform.panes.items():
            self.deciding.pane(key, pane)
        self.deciding.panes_read(0, len(self.platform.panes))
        await self.counting.advance()
        self.deciding.heard(self.platform.state)
        await self.deciding.decide()


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


@pytest.mark.parametrize("compacted", [None, False, True])
async def test_a_version_that_is_rolled_back_to_is_judged_again_and_its_alert_is_a_new_one(
    compacted: bool | None,
) -> None:
    """1 serves, then 2, then 1: each window is its version's, also after a restart that finds the last change alone."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start()
    for start in (0, 60):
        await platform.send(monitor, start, ODD)
    monitor.deciding.changed(platform.install("2", 60, previous="1"))
    for start in (120, 180):
        await platform.send(monitor, start, QUIET, version="2")
    monitor.deciding.changed(platform.install("1", 190, previous="2"))
    if compacted is not None:
        platform.changes = platform.changes[-1:] if compacted else platform.changes
        monitor = platform.start()
    for start in (240, 300, 360):
        await platform.send(monitor, start, ODD)
    last = {report.window_end: report.version for report in platform.reports if report.serving}
    assert last == {60: "1", 120: "2", 180: "2", 240: "1", 300: "1", 360: "1"}
    opened = [alert for alert in platform.alerts if (alert.previous, alert.state) == ("ok", "drift")]
    assert [(alert.version, alert.since) for alert in opened] == [("1", 0), ("1", 240)]
    assert len({alert.alert_id for alert in opened}) == 2


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
    counter.take(0, 0, Position(), [])
    for offset, (start, values, n) in enumerate(log):
        record = Record(0, offset, made([start + i % 10 for i in range(n)], values))
        for pane in counter.absorb([record], {("m", "1"): PROFILE})[0]:
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
    refused: list[tuple[int, int, str]] = []
    counted = await absorb(monitor.counting, records, {0: 3}, refused)
    assert counted == {0}
    assert refused == [(0, 1, "m version 2: another schema version")]
    assert [(pane.version, pane.rows) for pane in platform.panes.values()] == [("1", 2)]
    assert monitor.deciding.profiles_are_there()


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
    assert not monitor.deciding.profiles_are_there()
    platform.unusable = set()
    await monitor.decide()
    assert [report.window_end for report in platform.reports] == [60]
    assert monitor.deciding.profiles_are_there()


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
            None, ("1", None, 40), ("1", opened, 40), ("1", opened, 0),
        ]  # fmt: skip
        assert all(report.concept for report in platform.reports)


async def test_who_takes_over_and_decides_nothing_is_seen_to_stand_still() -> None:
    """How far the one before decided is shown before anything is, so that the watermark is seen to leave it behind."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start()
    await platform.send(monitor, 0, QUIET)
    await platform.send(monitor, 60, QUIET)
    decided = monitor.owner("m").decided_through
    assert decided
    metrics.DECIDED_THROUGH.clear()  # as by a new process
    metrics.WATERMARK.clear()
    hung = platform.start()
    shown = REGISTRY.get_sample_value("atalaia_decided_through_seconds", {"service": "drift-monitor"})
    assert shown == decided / 1000
    hung.deciding.panes_read(0, len(platform.panes))
    hung.deciding.heard(platform.state)
    at = REGISTRY.get_sample_value("atalaia_watermark_seconds", {"service": "drift-monitor"})
    assert at == hung.owner("m").watermark.get() / 1000 > 0


async def test_a_partition_that_another_worker_claims_is_no_longer_counted() -> None:
    """Who learns it from the broker goes on with what is left; who does not is stopped before it acknowledges."""
    platform = Platform()
    platform.install("1", 0)
    old, new = platform.start(), platform.start()
    first = Record(0, 0, made([1, 2], QUIET))
    assert await absorb(old.counting, [first], {0: 1}) == {0}
    await new.counting.hold()
    assert new.counting.owns(0)
    assert not old.counting.owns(0)
    second = Record(0, 1, made([3, 4], QUIET))
    with pytest.raises(Fenced, match="partition 0"):
        await absorb(old.counting, [second], {0: 2})
    old.counting.assign([])
    assert await absorb(old.counting, [second], {0: 2}) == frozenset()
    assert await absorb(new.counting, [first, second], {0: 2}) == {0}
    await new.decide()
    assert new.owner("m").rows(Window(0, 60)) == {"1": 4}


async def test_panes_of_windows_decided_long_ago_are_struck_out() -> None:
    """So many are kept, besides those that the next windows look back to; a restart goes on with these."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start(keep_windows=3)
    for i in range(10):
        await platform.send(monitor, 60 * i, QUIET)
    kept = 3 + RULE.windows_back
    # nine are decided
    assert sorted(p.pane_start // 60 for p in platform.panes.values()) == [*range(9 - kept, 10)]
    monitor = platform.start(keep_windows=3)
    await platform.send(monitor, 600, QUIET)
    assert [report.rows for report in platform.reports] == [40] * 10


async def test_who_takes_over_strikes_out_where_the_last_one_stood_and_not_itself() -> None:
    """Of a partition one position is left on the log, its holder's."""
    platform = Platform()
    for _ in range(3):
        await platform.start().counting.hold()
    told = [event.epoch for event in platform.progress if event.what == "counted"]
    assert platform.struck == [(0, epoch) for epoch in told[:-1]]
    assert platform.state.epochs == {0: told[-1]}


async def test_a_chunk_of_an_older_assignment_is_neither_counted_nor_acknowledged() -> None:
    """A partition goes and comes back while a chunk waits for its profile: it is read again, and counted then."""
    platform = Platform()
    monitor = platform.start()
    await monitor.counting.hold()
    record, waiting = Record(0, 0, made([1, 2], QUIET)), asyncio.Event()

    async def get(model: str, version: str) -> Profile:
        await waiting.wait()
        return PROFILE

    platform.get = get  # type: ignore[method-assign]
    chunk = asyncio.create_task(absorb(monitor.counting, [record], {0: 1}))
    await asyncio.sleep(0)
    monitor.counting.assign([])
    monitor.counting.assign([0])
    waiting.set()
    assert await chunk == frozenset()
    assert await absorb(monitor.counting, [record], {0: 1}) == {0}
    assert [pane.rows for pane in platform.panes.values()] == [2]


async def test_an_idle_partition_is_not_moved_on_over_what_a_crash_left_behind_its_position() -> None:
    """Its pane is on the log and its position is not: the row counts once, in its window."""
    platform = Platform()
    platform.install("1", 0)
    monitor = platform.start()
    await monitor.counting.hold()
    record = Record(0, 0, made([1], QUIET))
    monitor.counting.counter.absorb([], {})
    for pane in monitor.counting.counter.absorb([record], {("m", "1"): PROFILE})[0]:
        await platform.publish_panes([pane])  # and killed
    ended = ProgressMade(what="ended", worker="", offsets={"0": 0}, clocks={"m": 500})
    await platform.publish_progress(ended)
    monitor = platform.start()
    await monitor.counting.hold()
    await monitor.counting.advance()
    platform.offset = 1
    await absorb(monitor.counting, [record], {0: 1})
    assert [(pane.rows, pane.late) for pane in platform.panes.values()] == [(1, 0)]


async def test_who_serves_does_not_depend_on_a_restart_after_panes_were_struck_out() -> None:
    """Without model-events the highest version seen serves, whether its panes are still there or not."""
    said = []
    for restarted in (False, True):
        platform = Platform()
        monitor = platform.start(keep_windows=2)
        for i in range(12):
            await platform.send(monitor, 60 * i, QUIET, version="2" if i == 1 else "1")
        if restarted:
            monitor = platform.start(keep_windows=2)
        await platform.send(monitor, 720, QUIET)
        said.append([(r.window_start, r.version, r.serving, r.rows) for r in platform.reports])
    assert said[0] == said[1]


async def test_a_model_whose_profile_is_not_there_holds_up_no_other() -> None:
    """Its windows wait; whoever decides goes on with the rest."""
    platform = Platform()
    monitor = platform.start()
    await platform.send(monitor, 0, QUIET)
    held, there = platform.get, asyncio.Event()

    async def get(model: str, version: str) -> Profile:
        await there.wait()
        return PROFILE

    monitor = platform.start()
    platform.get = get  # type: ignore[method-assign]
    monitor.owner("m").watermark.flush(60)
    await asyncio.wait_for(monitor.decide(), 5)
    assert platform.reports == []
    there.set()
    await monitor.decide()
    assert [report.window_end for report in platform.reports] == [60]
    platform.get = held  # type: ignore[method-assign]


async def test_a_time_far_ahead_is_a_dead_letter_and_ends_no_window() -> None:
    """More than five minutes after the record came; one row of the year 9000 would close all windows before it."""
    platform = Platform()
    monitor = platform.start()
    dead: list[tuple[str, int, str]] = []

    async def to_dlq(topic: str, message: Any, reason: str) -> None:
        dead.append((topic, message.offset, reason))

    times = [1_000, 301_000, 301_001, 221_845_392_000_000]
    messages = [
        SimpleNamespace(
            partition=0, offset=i, headers=None, timestamp=1.0,
            value=encode(made([at], QUIET), source="test")[0],
        )
        for i, at in enumerate(times)
    ]  # fmt: skip
    assert await predictions.absorb(monitor.counting, messages, to_dlq) == {0}
    assert [(topic, offset, "five minutes" in reason) for topic, offset, reason in dead] == [
        ("predictions", 2, True),
        ("predictions", 3, True),
    ]
    assert monitor.counting.counter.position(0) == Position(4, {"m": 301_000})


async def test_what_the_reader_has_passed_over_is_read_from_the_log() -> None:
    """Where a chunk begins behind what is counted, the records in between are counted before it, once."""
    platform = Platform()
    monitor = platform.start()
    asked: list[tuple[str, int, int, int]] = []

    async def to_dlq(topic: str, message: Any, reason: str) -> None:
        raise AssertionError(reason)

    def message(offset: int, timestamp: float) -> Any:
        event, headers = encode(made([1_000 + offset], QUIET), source="test")
        return SimpleNamespace(partition=0, offset=offset, headers=headers, timestamp=timestamp, value=event)

    async def read_range(topic: str, partition: int, first: int, end: int) -> AsyncIterator[list[Any]]:
        asked.append((topic, partition, first, end))
        yield [message(offset, 1_000.0) for offset in range(first, end)]  # the client's are milliseconds

    for offsets in ([0, 1], [4, 5], [6]):
        chunk = [message(offset, 1.0) for offset in offsets]
        await predictions.catch_up(monitor.counting, chunk, to_dlq, read_range)
        assert await predictions.absorb(monitor.counting, chunk, to_dlq) == {0}
    assert asked == [("predictions", 0, 2, 4)]
    assert monitor.counting.counter.position(0) == Position(7, {"m": 1_006})
    assert sum(monitor.counting.counter.rows.values()) == 7
