"""Long gaps without rows are passed over, and what is said around and in them hangs on nothing but the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from contracts.codec import partition_of, prediction_id
from contracts.events import Event, GroundTruthReceived, LabelsReported, PredictionsMade, QualityReported
from drift_monitor.domain import owner
from fake_kafka import NOW, FakeKafka, FakeProgress, FakeStores, FakeWorker, Killed
from feedback.answers import WorkerAnswers
from feedback.domain import windows
from feedback.domain.partition_join import PartitionJoin
from feedback.domain.seen import Seen
from feedback.domain.store import MemoryStore
from feedback.domain.task import Task
from feedback.domain.windows import MAX_EMPTY, Windows
from hypothesis import given, settings
from hypothesis import strategies as st
from servicekit.errors import UserError

PARTITIONS = 3
STEP = 1_000
HOURLY = Windows(STEP, STEP)
DAY = 86_400_000


def made(
    number: int, time: int, rows: int = 1, version: str = "1", model: str = "m", scored: bool = True
) -> PredictionsMade:
    """A batch of one moment."""
    return PredictionsMade(
        batch_id=f"{number:032x}",
        model=model,
        version=version,
        event_time=[time] * rows,
        features={},
        predictions=["yes"] * rows,
        probabilities={"no": [0.25] * rows, "yes": [0.75] * rows} if scored else None,
    )


def put(kafka: FakeKafka, event: PredictionsMade) -> None:
    """A batch, where it belongs."""
    kafka.append("predictions", event, partition_of(event.batch_id, PARTITIONS))


def label(kafka: FakeKafka, number: int, truth: str, time: int, row: int = 0) -> None:
    """The truth of a row, where it belongs."""
    batch = f"{number:032x}"
    event = GroundTruthReceived(
        upload_id="u", prediction_id=[prediction_id(batch, row)], truth=[truth], label_time=[time]
    )
    kafka.append("ground-truth", event, partition_of(batch, PARTITIONS))


async def known(model: str, version: str) -> Task:
    """A registry that answers."""
    return Task("classification", ("no", "yes"))


def worker(kafka: FakeKafka, stores: FakeStores | None = None, **more: Any) -> FakeWorker:
    """A worker, with a disk of its own unless it is given one."""
    more = {"windows": HOURLY, "fetch": known, **more}
    return FakeWorker(kafka, stores or FakeStores(MemoryStore), **more)


def said(kafka: FakeKafka) -> tuple[list[QualityReported], list[LabelsReported]]:
    """All reports."""
    return kafka.events("quality-reports", QualityReported), kafka.events("label-reports", LabelsReported)


def decided(kafka: FakeKafka) -> list[int]:
    """The boundaries that were decided, in windows, as reports show them."""
    return [r.as_of // STEP for r in said(kafka)[0] if r.as_of == r.window_end]


@pytest.fixture
async def running() -> AsyncIterator[list[FakeWorker]]:
    """Workers that are stopped at the end."""
    workers: list[FakeWorker] = []
    yield workers
    for each in workers:
        await each.end()


async def reached(worker: FakeWorker, boundary: int) -> None:
    """Wait until a boundary is decided."""
    async with asyncio.timeout(30):
        while (worker.progress.state.decided or 0) < boundary:  # noqa: ASYNC110  it is the worker's own state
            await asyncio.sleep(0.01)


# --- any log, any order of reading, any crash


def a_log(rng: random.Random) -> FakeKafka:
    """Rows in time, clusters of them with gaps between, and their labels: late, twice, corrected, too late."""
    kafka = FakeKafka(PARTITIONS)
    time, number, labels = rng.choice([0, 50_000]), 0, []
    for _ in range(rng.randint(1, 4)):
        for _ in range(rng.randint(1, 4)):
            rows = rng.randint(1, 2)
            put(kafka, made(number, time, rows, rng.choice("12"), rng.choice("mn")))
            for row in range(rows):
                for _ in range(rng.randint(0, 3)):
                    late = rng.choice([rng.randint(0, 900), rng.randint(0, 12_000)])
                    labels.append((number, rng.choice(["yes", "no"]), time + late, row))
            number += 1
            time += rng.choice([0, 100, 700, 2_500])
        labels.append((100 + number, "yes", time, 0))  # of a row that never was
        time += rng.choice([3_000, 8_000, 30_000, 60_000])
    rng.shuffle(labels)
    for each in labels:
        label(kafka, *each)
    return kafka


def copy(kafka: FakeKafka) -> FakeKafka:
    """The same log of what was sent."""
    other = FakeKafka(PARTITIONS)
    for topic in ("predictions", "ground-truth"):
        for record in kafka.records(topic):
            other.append(topic, record.value, record.partition, headers=record.headers)
    return other


async def play(kafka: FakeKafka, rng: random.Random | None, **more: Any) -> FakeKafka:
    """Read a log that is whole and decide; with ``rng`` in any order, by workers that are killed again and again."""
    stores, kills = FakeStores(MemoryStore), 0
    newest = max(max(e.event_time) for e in kafka.events("predictions", PredictionsMade))
    until = HOURLY.boundary_until(newest + 20 * STEP)
    current = await worker(kafka, stores, **more).start()
    while True:
        try:
            left = [
                (r.topic, r.partition, r) for t in ("predictions", "ground-truth") for r in kafka.records(t)
            ]
            if rng:
                order = [at[:2] for at in left]
                rng.shuffle(order)  # each partition keeps its own
                queues: dict[Any, list[Any]] = {}
                for *at, record in left:
                    queues.setdefault(tuple(at), []).append(record)
                left = [(*at, queues[at].pop(0)) for at in order]
            for *_, record in left:
                if rng and kafka.fuse is None and kills < 15 and rng.random() < 0.3:
                    kafka.fuse, kafka.lost = rng.randint(1, 25), rng.random() < 0.5
                await current.give(record)
                for _ in range(rng.randint(0, 60) if rng else 0):
                    await asyncio.sleep(0)
                if current.is_dead:
                    raise Killed
                if rng and rng.random() < 0.3:
                    await current.joining.advance()
            kafka.fuse = rng.randint(1, 60) if rng and kills < 15 else None
            flushing = asyncio.ensure_future(current.flush(until))
            while not flushing.done():
                if current.is_dead:
                    flushing.cancel()
                    raise Killed
                await asyncio.sleep(0)
            kafka.fuse = None
            assert await flushing == until
            await current.end()
            return kafka
        except Killed:
            kills += 1
            kafka.fuse = None
            await current.end()
            if rng and rng.random() < 0.3:
                stores = FakeStores(MemoryStore)  # another machine
            current = await worker(kafka, stores, **more).start()


@pytest.mark.parametrize("grid", [HOURLY, Windows(2 * STEP, STEP)])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_gaps_change_no_report_of_a_row(grid: Windows, seed: int) -> None:
    """However a log is read and whoever is killed, a gap that is passed over leaves the reports that it would have without:
    those of empty windows go, all others stay as they are, revision by revision; and every run says the same."""
    log = a_log(random.Random(seed))
    more: dict[str, Any] = {"windows": grid, "horizon": 6_000}

    async def runs() -> tuple[FakeKafka, FakeKafka, FakeKafka]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(windows, "MAX_EMPTY", 10**9)
            whole = await play(copy(log), None, **more)
            patch.setattr(windows, "MAX_EMPTY", 4)
            calm = await play(copy(log), None, **more)
            return whole, calm, await play(copy(log), random.Random(seed), **more)

    logs = asyncio.run(runs())
    counts = [FakeProgress(kafka).state.counts() for kafka in logs]
    assert counts[0] == counts[1] == counts[2]
    whole, calm, rough = map(said, logs)
    assert calm[1] == whole[1]
    assert [r for r in calm[0] if r.predicted] == [r for r in whole[0] if r.predicted]
    ends = {r.as_of for r in calm[0] if r.predicted} | {r.as_of for r in calm[1]}
    filled = {r.window_end for r in calm[0] if r.predicted}
    last = max(r.as_of for r in calm[0])
    for boundary in {r.as_of for r in calm[0]} - ends - {last}:  # the last was asked for
        assert min(boundary - end for end in filled if end < boundary) <= 4 * STEP
    assert rough == calm


# --- one gap, as it is lived


async def test_a_row_of_1970_costs_a_thousand_boundaries(running: list[FakeWorker]) -> None:
    """Before the rows of today come those windows that follow the one of event time 0, and no others."""
    kafka = FakeKafka(PARTITIONS)
    today = (NOW - DAY) // STEP
    for number, time in enumerate([0, today * STEP, today * STEP + 2_500]):
        put(kafka, made(number, time))
        label(kafka, number, "yes", time + 100)
    running.append(await worker(kafka).start())
    await running[0].give_all()
    assert await running[0].flush() == (today + 3) * STEP
    assert decided(kafka) == [*range(1, 1 + MAX_EMPTY + 1), *range(today + 1, today + 4)]
    last = {r.window_start: r for r in said(kafka)[0]}
    for time in (0, today * STEP, (today + 2) * STEP):
        assert (last[time].predicted, last[time].labelled) == (1, 1)
    assert [r.window_start for r in said(kafka)[1]] == [0, today * STEP, (today + 2) * STEP]


async def test_what_comes_late_in_a_gap_is_told_in_it(running: list[FakeWorker]) -> None:
    """While nothing newer than the gap's end is certain, a label that is uploaded late, one that became known in the gap
    and the last report each make a boundary; who takes over in between finds the same ones."""
    horizon, end = 3 * MAX_EMPTY, 5 * MAX_EMPTY
    told = []
    for restarted in (False, True):
        kafka, stores = FakeKafka(PARTITIONS), FakeStores(MemoryStore)
        more: dict[str, Any] = {"stores": stores, "horizon": horizon * STEP}
        put(kafka, made(1, 500, rows=4))
        put(kafka, made(2, end * STEP))
        running.append(await worker(kafka, **more).start())

        async def goes_on(
            restarted: bool = restarted, kafka: FakeKafka = kafka, more: dict[str, Any] = more
        ) -> FakeWorker:
            if restarted:
                await running[-1].end()
                running.append(await worker(kafka, **more).start())
            await running[-1].give_all()
            return running[-1]

        current = await goes_on()
        # Its last report is due, the row behind the gap is not.
        await reached(current, (1 + horizon) * STEP)
        expected = [*range(1, 1 + MAX_EMPTY + 1), 1 + horizon]
        assert decided(kafka) == expected
        assert said(kafka)[0][-2].final
        label(kafka, 1, "yes", 600)  # late for all that is decided
        current = await goes_on()
        await reached(current, (2 + horizon) * STEP)
        label(
            kafka, 1, "no", 600 + STEP * (horizon - 1), row=1
        )  # so is this, in another window of label time
        current = await goes_on()
        await reached(current, (3 + horizon) * STEP)
        put(kafka, made(3, (end + 1) * STEP))
        current = await goes_on()
        await reached(current, (end + 1) * STEP)
        assert decided(kafka) == [*expected, 2 + horizon, 3 + horizon, end + 1]
        reports, by_label = said(kafka)
        first = [(r.as_of // STEP, r.labelled) for r in reports if r.window_start == 0]
        assert first == [(1, 0), (1 + horizon, 0), (2 + horizon, 1), (3 + horizon, 2)]
        assert [(r.as_of // STEP, r.window_start // STEP) for r in by_label] == [
            (2 + horizon, 0),
            (3 + horizon, horizon - 1),
        ]
        told.append((reports, by_label))
    assert told[0] == told[1]


async def test_a_label_of_the_gap_is_told_as_of_its_own_time(running: list[FakeWorker]) -> None:
    """A truth that became known in the gap makes the boundary after it, and the window before the gap its revision."""
    kafka = FakeKafka(PARTITIONS)
    horizon, known_at, end = 3 * MAX_EMPTY, 2 * MAX_EMPTY, 5 * MAX_EMPTY
    put(kafka, made(1, 0))
    label(kafka, 1, "yes", known_at * STEP)
    for number in (2, 3):
        put(kafka, made(number, (end + number) * STEP))
    running.append(await worker(kafka, horizon=horizon * STEP).start())
    await running[0].give_all()
    await reached(running[0], (end + 3) * STEP)
    assert decided(kafka)[MAX_EMPTY + 1 :] == [known_at + 1, end + 3]
    first = [(r.as_of // STEP, r.labelled, r.final) for r in said(kafka)[0] if r.window_start == 0]
    assert first == [(1, 0, False), (known_at + 1, 1, True)]


async def test_a_flush_decides_the_boundary_that_it_asks_for(running: list[FakeWorker]) -> None:
    """In a gap too, where nothing is said as of it: what waited for it has expired then."""
    kafka = FakeKafka(PARTITIONS)
    put(kafka, made(1, 0))
    running.append(await worker(kafka, horizon=2 * MAX_EMPTY * STEP).start())
    await running[0].give_all()
    until = 3 * MAX_EMPTY * STEP
    assert await running[0].flush(until) == until
    await running[0].joining.advance()
    status = await running[0].answers.status()
    assert (status["decided_through"], status["expired"], status["pending"]) == (until, 1, 0)
    assert decided(kafka)[MAX_EMPTY + 1 :] == [2 * MAX_EMPTY + 1, 3 * MAX_EMPTY]


@pytest.mark.parametrize("until", ["given", "left out"])
async def test_a_flush_is_no_further_ahead_than_a_row_may_be(running: list[FakeWorker], until: str) -> None:
    """Five minutes, also where the newest row's window is asked for: what comes for it still would be late."""
    hour = 3_600_000
    day = NOW // hour * hour
    kafka = FakeKafka(PARTITIONS)
    put(kafka, made(1, day + 60_000))
    running.append(await worker(kafka, windows=Windows(hour, hour)).start())
    await running[0].give_all()
    now = day + hour - 300_001
    asked = WorkerAnswers(
        running[0].joining,
        running[0].deciding,
        running[0].progress.state,
        running[0].joining.windows,
        PARTITIONS,
        now=lambda: now,
    )
    wanted = day + hour if until == "given" else None
    with pytest.raises(ValueError, match="more than five minutes in the future"):
        await asked.flush(wanted, 10.0)
    assert running[0].progress.state.decided is None
    now += 1
    assert await asked.flush(wanted, 10.0) == day + hour


async def test_metrics_that_were_missing_come_in_a_gap(running: list[FakeWorker]) -> None:
    """Once the registry answers, the next boundary brings the metrics, though nothing else is new."""
    kafka, answers = FakeKafka(PARTITIONS), asyncio.Event()

    async def later(model: str, version: str) -> Task:
        if not answers.is_set():
            raise ConnectionError("nobody answers")
        return await known(model, version)

    put(kafka, made(1, 0, scored=False))
    label(kafka, 1, "yes", 10)
    put(kafka, made(2, 5 * MAX_EMPTY * STEP))
    running.append(await worker(kafka, fetch=later, horizon=2 * MAX_EMPTY * STEP).start())
    await running[0].give_all()
    await reached(running[0], (MAX_EMPTY + 1) * STEP)
    answers.set()
    await reached(running[0], (MAX_EMPTY + 2) * STEP)
    assert decided(kafka) == [*range(1, MAX_EMPTY + 3)]
    first = [(r.as_of // STEP, r.metrics.get("accuracy")) for r in said(kafka)[0] if r.window_start == 0]
    assert first == [(1, None), (MAX_EMPTY + 2, 1.0)]


async def test_a_changed_grid_is_found_behind_a_gap(running: list[FakeWorker]) -> None:
    """Who goes on behind a gap with the same windows may; with another step it is told so."""
    kafka = FakeKafka(PARTITIONS)
    for number, time in enumerate([0, 3 * MAX_EMPTY * STEP]):
        put(kafka, made(number, time))
    for _ in range(2):
        running.append(await worker(kafka).start())
        await running[-1].give_all()
        assert await running[-1].flush() == (3 * MAX_EMPTY + 1) * STEP
        await running[-1].end()
    running.append(await worker(kafka, windows=Windows(STEP, STEP // 2)).start())
    assert running[-1]._deciding is not None
    with pytest.raises(UserError, match="boundaries 1000 and 2000"):
        await running[-1]._deciding


# --- what it rests on


def test_the_monitor_passes_over_no_fewer() -> None:
    """The trainer waits for feedback's word on each window that the monitor reports."""
    assert MAX_EMPTY == owner.MAX_EMPTY


@pytest.mark.parametrize(
    ("boundaries", "filled", "fits"),
    [
        ([10, 20, 30], [(10, 10)], True),
        ([10, 20, 40], [(10, 10)], False),
        ([10, 10_010, 20_000], [(10, 10)], False),
        ([*range(10, 10_020, 10), 20_000], [(10, 10)], True),
        ([*range(10, 10_020, 10), 20_000], [(10, 10), (500, 500)], False),
        ([*range(10, 10_020, 10), 20_000], [(10, 10), (20_000, 20_000)], True),
        ([*range(10, 10_020, 10), 20_005], [(10, 10)], False),
        ([*range(10, 10_020, 10), 20_000, 20_020], [(10, 10), (20_000, 20_000)], False),
    ],
)
def test_a_gap_is_told_from_another_grid(
    boundaries: list[int], filled: list[tuple[int, int]], fits: bool
) -> None:
    """Boundaries are a step apart, but after so many windows without rows."""
    assert (Windows(10, 10).mismatch([], boundaries, filled) is None) == fits


rows = st.lists(st.tuples(st.sampled_from("mn"), st.sampled_from("12x"), st.integers(0, 30)), max_size=12)


@given(rows, st.integers(0, 6), st.sampled_from([Windows(30, 10), Windows(20, 20), Windows(25, 10)]))
def test_reports_tell_who_is_seen_as_panes_do(
    rows: list[tuple[str, str, int]], at: int, grid: Windows
) -> None:
    """Whoever takes windows with rows that are decided, and the panes that are not, sees what all panes show."""
    from_panes, from_reports, forgetful = Seen(grid), Seen(grid), Seen(grid)
    decided = grid.boundary_after(10 * at)
    for model, version, n in rows:
        pane = grid.pane_of(5 * n)
        for seen in (from_panes, forgetful):
            seen.row(model, version, pane)
        ends = [start + grid.size for start in grid.starts(pane)]
        for end in ends:
            if end <= decided:
                from_reports.row(model, version, end - grid.size)
        if ends[-1] > decided:
            from_reports.row(model, version, pane)
    forgetful.forget(decided)
    for k in range(1, 8):
        boundary = decided + k * grid.step
        assert from_panes.before(boundary) == from_reports.before(boundary) == forgetful.before(boundary)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_join_that_is_told_of_boundaries_now_and_then_counts_the_same(seed: int) -> None:
    """Whether each boundary is taken up or only the last one: the same counts, and the same states of all ids."""
    log, rng = a_log(random.Random(seed)), random.Random(seed)
    partition = rng.randrange(PARTITIONS)
    batches, truths = (
        [
            (r.offset, event)
            for r, event in zip(log.topics.get(topic, [[]] * 3)[partition], events, strict=True)
        ]
        for topic, events in (
            ("predictions", of_partition(log, "predictions", PredictionsMade, partition)),
            ("ground-truth", of_partition(log, "ground-truth", GroundTruthReceived, partition)),
        )
    )
    label_first, last = rng.random() < 0.5, rng.choice([5, 12, 60, 80, 200])
    each = range(-1, last + 1)
    told = []
    for steps in (each, [*sorted(rng.sample(each, 3)), last], [last]):
        join = PartitionJoin(MemoryStore(), 6_000)
        predict = [lambda join=join: join.predict([(o, e, 100) for o, e in batches])]
        for act in [lambda join=join: join.label(truths), *predict][:: 1 if label_first else -1]:
            act()
        for step in steps:
            join.expire(step * STEP)
            join.commit(join.positions)
        ids = {text for _, event in truths for text in event.prediction_id}
        told.append((join.counts.as_dict(), {text: join.state(text) for text in sorted(ids)}))
    assert told[0] == told[1] == told[2]


def of_partition(log: FakeKafka, topic: str, kind: type[Event], partition: int) -> list[Any]:
    """The events of one partition."""
    one = FakeKafka(PARTITIONS)
    for record in log.topics.get(topic, [[]] * PARTITIONS)[partition]:
        one.append(topic, record.value, headers=record.headers)
    return one.events(topic, kind)
