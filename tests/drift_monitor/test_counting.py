"""Panes and windows: what is counted, and that it is counted once."""

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.events import ModelChanged, PaneCounted, PredictionsMade, WindowTested
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Decided, Owner
from drift_monitor.domain.panes import Counter, PaneKey, Position, Record, newer
from drift_monitor.domain.watermark import NEVER
from drift_monitor.domain.windows import Grid, Window
from hypothesis import given, settings
from hypothesis import strategies as st
from summaries.profile import FieldSpec, Profile

RULE = Rule(alpha=0.01, correction="bh", min_effect=0.1, min_rows=5, alert_windows=1)
GRID = Grid(origin=0, size=60, step=20, grace=0)
SCHEMA = [FieldSpec("x", "float32"), FieldSpec("c", "string")]
PROFILE = Profile.build(
    {"x": [1.0, 2.0, 3.0, 4.0], "c": ["a", "b", "a", "b"]},
    SCHEMA,
    [0, 1, 0, 1],
    None,
    "y",
    [0, 1],
    "classification",
)
PROFILES = {("m", v): PROFILE for v in "12"}


IDS = map(str, itertools.count())


def made(times: list[int], xs: list[Any] | None = None, version: str = "1") -> PredictionsMade:
    """A batch of its own."""
    xs = xs if xs is not None else [float(t % 5) for t in times]
    return PredictionsMade(
        batch_id=next(IDS),
        model="m",
        version=version,
        event_time=times,
        predictions=[t % 2 for t in times],
        features={"x": xs, "c": ["a" if t % 3 else "new" for t in times]},
    )


def counter_of(grid: Grid, partitions: int = 2) -> Counter:
    """A counter that holds partitions from their beginning."""
    counter = Counter(grid)
    for partition in range(partitions):
        counter.take(partition, 0, Position(), [])
    return counter


def owner(partitions: int = 1, grid: Grid = GRID) -> Owner:
    """An owner that knows version 1 to serve."""
    mine = Owner("m", grid, RULE, range(partitions))
    mine.changed(installed("1", 0))
    return mine


def installed(version: str, effective_from: int, previous: str | None = None) -> ModelChanged:
    """A version takes over."""
    return ModelChanged(
        model="m",
        version=version,
        previous_version=previous,
        action="installed",
        artifact_uri="",
        sha256="",
        effective_from=effective_from,
        reason="",
    )


def state(panes: list[PaneCounted]) -> dict[Any, Any]:
    """What holds of each pane, without what depends on the chunks."""
    held: dict[Any, PaneCounted] = {}
    for pane in panes:
        if newer(pane, held.get(PaneKey.of(pane))):
            held[PaneKey.of(pane)] = pane
    return {k: (p.rows, p.late, p.counts, p.unseen) for k, p in held.items()}


Log = list[tuple[int, list[int], str]]
LOG = st.lists(
    st.tuples(
        st.integers(0, 1), st.lists(st.integers(0, 200), min_size=1, max_size=5), st.sampled_from("12")
    ),
    max_size=25,
)


def records(log: Log) -> list[Record]:
    """Records with an offset in their partition."""
    offsets = [0, 0]
    found = []
    for partition, times, version in log:
        found.append(Record(partition, offsets[partition], made(times, version=version)))
        offsets[partition] += 1
    return found


@settings(max_examples=500, deadline=None)
@given(LOG, st.data())
def test_chunks_crashes_and_changes_of_hand_change_no_count(log: Log, data: st.DataObject) -> None:
    """Any chunks, any crash between writes, any replay by another holder: panes equal those of one pass, late ones too."""
    log_records = records(log)
    once, _ = counter_of(GRID).absorb(log_records, PROFILES)
    counter, written = counter_of(GRID), list[PaneCounted]()
    positions = {partition: counter.position(partition) for partition in (0, 1)}
    position = acknowledged = epoch = 0
    while position < len(log_records):
        size = data.draw(st.integers(1, 6))
        panes, _ = counter.absorb(log_records[position : position + size], PROFILES)
        position += size
        if data.draw(st.booleans()):  # killed after some writes; another goes on where it last acknowledged
            written += panes[: data.draw(st.integers(0, len(panes)))]
            counter, position, epoch = Counter(GRID), acknowledged, epoch + 1
            for partition in (0, 1):
                counter.take(partition, epoch, positions[partition], written)
        else:
            written += panes
            positions = {partition: counter.position(partition) for partition in (0, 1)}
            acknowledged = data.draw(st.sampled_from([acknowledged, position]))
    assert state(written) == state(once)


@settings(max_examples=300, deadline=None)
@given(LOG, st.data())
def test_a_worker_taken_for_dead_changes_nothing(log: Log, data: st.DataObject) -> None:
    """It goes on counting and writing under its old epoch, in between what its successor writes."""
    log_records = records(log)
    once, _ = counter_of(GRID).absorb(log_records, PROFILES)
    old, new, written = counter_of(GRID), Counter(GRID), list[PaneCounted]()
    middle = data.draw(st.integers(0, len(log_records)))
    written += old.absorb(log_records[:middle], PROFILES)[0]
    for partition in (0, 1):
        new.take(partition, 1, old.position(partition), written)
    at = {"old": middle, "new": middle}
    while at["new"] < len(log_records):
        who = data.draw(st.sampled_from(["old", "new"])) if at["old"] < len(log_records) else "new"
        size = data.draw(st.integers(1, 4))
        chunk = log_records[at[who] : at[who] + size]
        at[who] += size
        written += (old if who == "old" else new).absorb(chunk, PROFILES)[0]
    assert state(written) == state(once)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_hopping_windows_are_sums_of_panes(times: list[int]) -> None:
    """A window's counts are those of its rows, counted directly."""
    times = sorted(times)
    panes, _ = counter_of(GRID).absorb([Record(0, 0, made(times))], PROFILES)
    mine = owner()
    for pane in panes:
        mine.replace(pane)
    for start in range(-40, 300, 20):
        window = Window(start, start + 60)
        inside = [t for t in times if window.start <= t < window.end]
        assert mine.rows(window).get("1", 0) == len(inside)
        for name, cells in PROFILE.index_batch(
            {"x": [float(t % 5) for t in inside]}, [t % 2 for t in inside]
        ).items():
            if name == "x":
                size = PROFILE.monitored()["x"].size
                assert (
                    mine._sum(window, "1", PROFILE.detector())["x"] == np.bincount(cells, minlength=size)
                ).all()


@settings(max_examples=200, deadline=None)
@given(LOG, st.data())
def test_a_batch_that_is_sent_again_is_counted_once(log: Log, data: st.DataObject) -> None:
    """Soon or late, over changes of hand too: what is counted is one pass over the distinct batches."""
    originals = records(log)
    once, _ = counter_of(GRID).absorb(originals, PROFILES)
    sent: list[Record] = []
    offsets = [0, 0]
    for i, record in enumerate(originals):
        again = data.draw(st.lists(st.sampled_from(originals[: i + 1]), max_size=2))
        for partition, _, event in (record, *again):
            sent.append(Record(partition, offsets[partition], event))
            offsets[partition] += 1
    counter, written = counter_of(GRID), list[PaneCounted]()
    known: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for epoch, record in enumerate(sent):
        written += counter.absorb([record], PROFILES)[0]
        known[record.partition][record.event.batch_id] = record.offset
        if data.draw(st.booleans()):
            positions = {partition: counter.position(partition) for partition in (0, 1)}
            counter = Counter(GRID)
            for partition in (0, 1):
                counter.take(partition, epoch, positions[partition], written, known[partition])
    assert {k: v[:2] for k, v in state(written).items()} == {k: v[:2] for k, v in state(once).items()}


def test_a_batch_is_remembered_for_so_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand of its partition, however many are under way at once."""
    monkeypatch.setattr("drift_monitor.domain.panes.REMEMBERED", 3)
    first = made([1])
    for between, rows in ((2, 3), (3, 5)):
        log = [first, *(made([1]) for _ in range(between)), first]
        counter = counter_of(GRID)
        for offset, event in enumerate(log):
            panes, _ = counter.absorb([Record(0, offset, event)], PROFILES)
        counter.absorb([Record(0, i + len(log), made([1])) for i in range(20)], PROFILES)
        assert len(counter._held[0].batches) <= 6
        assert panes == [] if rows == 3 else panes[0].rows == rows


def test_late_rows_are_told_and_not_counted() -> None:
    """A row whose window is over by its partition's clock is told by the newest window, not its own."""
    grid = Grid(0, 60, 60, 10)
    counter = counter_of(grid)
    panes, _ = counter.absorb([Record(0, i, made([t])) for i, t in enumerate([5, 69, 6, 70, 7])], PROFILES)
    assert [(p.pane_start, p.rows, p.late) for p in panes] == [(60, 0, 1), (0, 2, 0), (60, 2, 0)]
    mine = owner(grid=grid)
    for pane in panes:
        mine.replace(pane)
    assert [(r.rows, r.late_rows) for r in decide_all(mine, 130)] == [(2, 0), (2, 1)]


def test_a_row_that_wakes_a_partition_that_was_moved_on_is_late() -> None:
    """An idle partition that wakes up with old rows changes no window that was over without it."""
    counter = counter_of(Grid(0, 60, 60, 0))
    assert counter.advance("m", 60, {0: 1, 1: 0}) == {1}  # partition 0 is not counted that far
    panes, _ = counter.absorb([Record(1, 0, made([5])), Record(0, 0, made([5]))], PROFILES)
    assert [(p.partition, p.pane_start, p.rows, p.late) for p in panes] == [(0, 0, 1, 0), (1, 60, 0, 1)]


def test_a_row_that_wakes_an_idle_partition_too_late_is_late_live_and_counted_in_a_replay() -> None:
    """Nothing on its own partition says that its window was over: only that it was moved on does."""
    grid = Grid(0, 60, 60, 0)
    log = [Record(0, 0, made([5])), Record(0, 1, made([70])), Record(1, 0, made([6]))]
    said = []
    for chunks in ([log[:2], log[2:]], [log]):
        counter, mine = counter_of(grid), owner(partitions=2, grid=grid)
        reports: list[WindowTested] = []
        for chunk in chunks:
            for pane in counter.absorb(chunk, PROFILES)[0]:
                mine.replace(pane)
            counter.advance("m", 70, {})
            reports += decide_all(mine, 70)
        reports += decide_all(mine, 120)
        said.append([(r.rows, r.late_rows) for r in reports])
    assert said == [[(1, 0), (1, 1)], [(2, 0), (1, 0)]]


def test_a_record_the_profile_does_not_fit_is_refused_alone() -> None:
    """One bad record of a chunk is named with its reason; the others count."""
    bad = made([1], xs=["four"])
    panes, refused = counter_of(GRID).absorb(
        [Record(0, 0, made([1])), Record(0, 1, bad), Record(0, 2, made([2]))], PROFILES
    )
    assert [(record.offset, "x:" in reason) for record, reason in refused] == [(1, True)]
    assert [(p.rows, p.last_offset) for p in panes] == [(2, 2)]


def test_only_a_higher_offset_replaces_a_pane() -> None:
    """Receiving a pane twice, or an old one late, changes nothing."""
    counter, mine = counter_of(GRID), owner()
    old, _ = counter.absorb([Record(0, 0, made([1]))], PROFILES)
    new, _ = counter.absorb([Record(0, 1, made([1, 2]))], PROFILES)
    for pane in [*new, *old, *new]:
        mine.replace(pane)
    assert mine.rows(Window(0, 60)) == {"1": 3}


def see(counter: Counter, mine: Owner) -> None:
    """The owner hears where the counter's partitions stand."""
    for partition in counter.held:
        for clock in counter.position(partition).clocks.values():
            mine.watermark.see(partition, clock)


def decide_windows(mine: Owner, until: int) -> list[Decided]:
    """All decisions up to a watermark."""
    mine.watermark.flush(until)
    decisions = []
    while (window := mine.due()) is not None:
        decisions.append(mine.decide(window, {"1": PROFILE, "2": PROFILE}))
        mine.commit(decisions[-1])
    return decisions


def decide_all(mine: Owner, until: int) -> list[WindowTested]:
    """All reports up to a watermark."""
    return [report for decided in decide_windows(mine, until) for report in decided.reports]


def test_every_window_has_a_report_of_the_serving_version() -> None:
    """Windows without a row are reported too, and say that the data are insufficient."""
    mine = owner(grid=Grid(0, 60, 60, 0))
    for pane in counter_of(Grid(0, 60, 60, 0)).absorb(
        [Record(0, 0, made([5])), Record(0, 1, made([250]))], PROFILES
    )[0]:
        mine.replace(pane)
    reports = decide_all(mine, 300)
    assert [(r.window_start, r.rows, r.status) for r in reports] == [
        (start, rows, "insufficient data") for start, rows in [(0, 1), (60, 0), (120, 0), (180, 0), (240, 1)]
    ]
    assert mine.decided_through == 300


def test_a_promotion_starts_at_ok_and_the_old_version_reports_but_alerts_no_more() -> None:
    """The window a new version takes over in is its own; the old one's rows are reported, without a state."""
    grid = Grid(0, 60, 60, 0)
    counter, mine = counter_of(grid), owner(grid=grid)
    drifted = [9.0] * 50
    log = [
        made(list(range(50)), drifted),
        made(list(range(60, 110)), drifted),
        made(list(range(110, 160)), drifted, version="2"),
    ]
    for pane in counter.absorb([Record(0, i, batch) for i, batch in enumerate(log)], PROFILES)[0]:
        mine.replace(pane)
    mine.changed(installed("2", 110, previous="1"))
    decisions = decide_windows(mine, 180)
    reports = [report for decided in decisions for report in decided.reports]
    assert [(r.window_start, r.version, r.rows, r.state) for r in reports] == [
        (0, "1", 50, "drift"),
        (60, "1", 50, "ok"),
        (60, "2", 10, "drift"),
        (120, "2", 40, "drift"),
    ]
    assert reports[1].alert_id is None
    assert reports[2].alert_id not in (None, reports[0].alert_id)
    assert [(alert.version, alert.state, alert.since) for d in decisions for alert in d.alerts] == [
        ("1", "drift", 0), ("1", "ok", 0), ("2", "drift", 110),
    ]  # fmt: skip
    assert [report.serving for report in reports] == [True, False, True, True]


def test_restored_from_its_reports_an_owner_goes_on_as_before() -> None:
    """Reports and panes are all the state there is."""
    grid = Grid(0, 60, 60, 0)
    counter, mine, restored = counter_of(grid), owner(grid=grid), owner(grid=grid)
    panes, _ = counter.absorb(
        [Record(0, i, made(list(range(s, s + 50)), [9.0] * 50)) for i, s in enumerate([0, 60])], PROFILES
    )
    for pane in panes:
        mine.replace(pane)
    reports = decide_all(mine, 60)
    for pane in panes:
        restored.replace(pane)
    restored.restore([*reports, *reports])
    assert restored.decided_through == 60
    assert restored.alert() == mine.alert()
    assert restored.since == mine.since == mine.alert()[1].since
    assert decide_all(restored, 120) == decide_all(mine, 120)


def test_of_reports_without_the_field_serving_the_last_of_a_window_holds() -> None:
    """In records older than the field all say that their version served; the serving one's was the last."""
    grid = Grid(0, 60, 60, 0)
    counter, mine, restored = counter_of(grid), owner(grid=grid), owner(grid=grid)
    log = [made(list(range(50)), [9.0] * 50, version="2"), made(list(range(60, 110)), [9.0] * 50)]
    for pane in counter.absorb([Record(0, i, batch) for i, batch in enumerate(log)], PROFILES)[0]:
        mine.replace(pane)
    reports = [msgspec.structs.replace(report, serving=True) for report in decide_all(mine, 120)]
    assert [(r.window_end, r.version, r.state) for r in reports] == [
        (60, "2", "ok"), (60, "1", "ok"), (120, "1", "drift"),
    ]  # fmt: skip
    restored.restore(reports)
    assert restored.decided_through == 120
    assert restored.alert() == mine.alert()


def test_without_model_events_the_highest_version_serves() -> None:
    """A model served elsewhere has no events; its highest version seen is the one that serves."""
    mine = Owner("m", Grid(0, 60, 60, 0), RULE, [0])
    log = [made([1], version="2"), made([61], version="10")]
    profiles = {("m", "2"): PROFILE, ("m", "10"): PROFILE}
    for pane in counter_of(mine.grid).absorb([Record(0, i, b) for i, b in enumerate(log)], profiles)[0]:
        mine.replace(pane)
    assert [(r.window_start, r.version) for r in decide_all(mine, 120)] == [(0, "2"), (60, "10")]
    assert mine.watermark.get() > NEVER


def told(reports: list[WindowTested]) -> list[tuple[Any, ...]]:
    """What windows are reported, and what of."""
    return [(r.window_start, r.version, r.serving, r.rows, r.late_rows) for r in reports]


def test_a_row_of_another_decade_makes_no_hundreds_of_thousands_of_windows() -> None:
    """After a thousand windows without a row the next one reported is the first that has rows."""
    hour = 3_600_000
    grid = Grid(0, hour, hour, 0)
    mine, start = owner(grid=grid), 400_000 * hour
    log = [made([5 * hour]), made([start]), made([start + 2 * hour])]
    panes, _ = counter_of(grid).absorb([Record(0, i, batch) for i, batch in enumerate(log)], PROFILES)
    for pane in panes:
        mine.replace(pane)
    mine.watermark.flush(start + 2 * hour)
    first = mine.due()
    assert first is not None
    mine.commit(mine.decide(first, {}))
    assert mine.passed_over() == 0
    reports = []
    passed = []
    while (window := mine.due()) is not None:
        passed.append(mine.passed_over())
        decided = mine.decide(window, {})
        mine.commit(decided)
        reports += decided.reports
    assert [r.window_start // hour for r in reports] == [*range(6, 1006), 400_000, 400_001]
    assert [n for n in passed if n] == [400_000 - 1006]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1500), min_size=1, max_size=3), min_size=1, max_size=12),
    st.sampled_from([Grid(0, 60, 20, 0), Grid(0, 60, 20, 50), Grid(0, 60, 60, 10)]),
)
def test_which_windows_are_reported_depends_on_the_log_alone(times: list[list[int]], grid: Grid) -> None:
    """Decided after each record, restarted after each, or all at once: the same windows, the same rows."""
    log = [Record(0, i, made(some)) for i, some in enumerate(times)]
    said: list[list[tuple[Any, ...]]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drift_monitor.domain.owner.MAX_EMPTY", 4)
        for together, restarted in ((True, False), (False, False), (False, True)):
            counter, mine = counter_of(grid), owner(grid=grid)
            reports: list[WindowTested] = []
            panes: list[PaneCounted] = []
            for chunk in [log] if together else [[record] for record in log]:
                new, _ = counter.absorb(chunk, PROFILES)
                panes += new
                for pane in new:
                    mine.replace(pane)
                position = counter.position(0)
                reports += decide_all(mine, position.clocks["m"])
                if restarted:
                    counter, mine = Counter(grid), owner(grid=grid)
                    counter.take(0, 1, position, panes)
                    mine.restore(reports)
                    for pane in panes:
                        mine.replace(pane)
            said.append(told(reports))
    assert said[0] == said[1] == said[2]
    ends = [start for start, *_ in said[0]]
    assert ends == sorted(ends)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1500)), min_size=1, max_size=12),
    st.data(),
    st.sampled_from([Grid(0, 60, 20, 0), Grid(0, 60, 20, 50), Grid(0, 60, 60, 10)]),
)
def test_the_order_in_which_a_finished_log_is_read_changes_no_report(
    log: list[tuple[int, int]], data: st.DataObject, grid: Grid
) -> None:
    """Whichever partition is read first, the same windows are reported, the same rows in them."""
    parts: list[list[int]] = [[t for p, t in log if p == partition] for partition in (0, 1)]
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drift_monitor.domain.owner.MAX_EMPTY", 4)
        for order in ([p for p, _ in log], data.draw(st.permutations([p for p, _ in log]))):
            counter, mine, read = counter_of(grid), owner(partitions=2, grid=grid), [0, 0]
            reports: list[WindowTested] = []
            asked: dict[str, tuple[int, dict[int, int]]] = {}
            for step in (None, *order):
                if step is not None:
                    record = Record(step, read[step], made([parts[step][read[step]]]))
                    for pane in counter.absorb([record], PROFILES)[0]:
                        mine.replace(pane)
                    read[step] += 1
                while True:
                    for model, ended in asked.items():
                        counter.advance(model, *ended)
                    see(counter, mine)
                    if mine.wants_end_offsets():
                        ends = {partition: len(parts[partition]) for partition in (0, 1)}
                        asked = {"m": (mine.watermark.newest, ends)}
                        mine.watermark.asked(mine.watermark.newest)
                        continue
                    if (window := mine.due()) is None:
                        break
                    found = mine.decide(window, {"1": PROFILE})
                    mine.commit(found)
                    reports += found.reports
            said.append(told(reports))
    assert said[0] == said[1]


def test_a_row_of_windows_that_are_passed_over_is_counted_while_they_are_open() -> None:
    """A partition that lags holds the jump: its row between is reported in its window."""
    grid = Grid(0, 60, 60, 0)
    counter, mine = counter_of(grid), owner(partitions=2, grid=grid)

    def take(partition: int, offset: int, times: list[int]) -> None:
        for pane in counter.absorb([Record(partition, offset, made(times))], PROFILES)[0]:
            mine.replace(pane)
        see(counter, mine)

    take(0, 0, [5, 200_000])
    take(1, 0, [70_000])
    starts = []
    for partition, later in ((1, 70_010), (1, 150_000), (1, 250_000), (0, 260_000)):
        take(partition, later, [later])
        while (window := mine.due()) is not None:
            decided = mine.decide(window, {})
            mine.commit(decided)
            starts += [(r.window_start // 60, r.rows) for r in decided.reports if r.rows]
    assert starts == [(0, 1), (1166, 2), (2500, 1), (3333, 1)]
