"""Workers on a log: whoever is killed, whenever, what they say in the end is what one pass over the log says."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from contracts.codec import partition_of, prediction_id
from contracts.events import (
    GroundTruthReceived,
    LabelsReported,
    ModelChanged,
    OutcomesJoined,
    PredictionsMade,
    QualityReported,
)
from fake_kafka import FakeKafka, FakeStores, FakeWorker, Killed
from feedback.consumes.http import Elsewhere, Unready
from feedback.domain.store import MemoryStore, StoreLost
from feedback.domain.windows import Windows
from feedback.joining import Fenced
from hypothesis import given, settings
from hypothesis import strategies as st
from servicekit.errors import UserError

PARTITIONS = 3
WINDOWS = Windows(1_000, 1_000)


def made(number: int, *times: int, version: str = "1", model: str = "m") -> PredictionsMade:
    """A batch that is sure of "yes"."""
    return PredictionsMade(
        batch_id=f"{number:032x}",
        model=model,
        version=version,
        event_time=list(times),
        features={"x": [float(number)] * len(times)},
        predictions=["yes"] * len(times),
        probabilities={"no": [0.25] * len(times), "yes": [0.75] * len(times)},
    )


def labels(*rows: tuple[int, int, Any, int]) -> GroundTruthReceived:
    """An upload: (batch, row, truth, label time)."""
    return GroundTruthReceived(
        upload_id="u",
        prediction_id=[prediction_id(f"{n:032x}", row) for n, row, *_ in rows],
        truth=[truth for _, _, truth, _ in rows],
        label_time=[time for *_, time in rows],
    )


def where(number: int) -> int:
    """The partition of a batch."""
    return partition_of(f"{number:032x}", PARTITIONS)


def predict(kafka: FakeKafka, event: PredictionsMade) -> None:
    """Put a batch on the log."""
    kafka.append("predictions", event, where(int(event.batch_id, 16)))


def label(kafka: FakeKafka, *rows: tuple[int, int, Any, int]) -> None:
    """Put labels on the log, each where it belongs."""
    for row in rows:
        kafka.append("ground-truth", labels(row), where(row[0]))


def worker(kafka: FakeKafka, stores: FakeStores | None = None, **more: Any) -> FakeWorker:
    """A worker, with a disk of its own unless it is given one."""
    return FakeWorker(kafka, stores or FakeStores(MemoryStore), windows=more.pop("windows", WINDOWS), **more)


def outcomes(kafka: FakeKafka) -> list[tuple[str, int, Any, Any, int]]:
    """Every joined row: id, revision, truth, the one before it, label time."""
    return [
        row
        for o in kafka.events("outcomes", OutcomesJoined)
        for row in zip(o.prediction_id, o.revision, o.truth, o.corrected_from, o.label_time, strict=True)
    ]


def reports(kafka: FakeKafka) -> list[QualityReported]:
    """What quality-reports holds."""
    return kafka.events("quality-reports", QualityReported)


def last(kafka: FakeKafka) -> dict[tuple[int, str], QualityReported]:
    """The last report of each window and version."""
    return {(r.window_start, r.version): r for r in reports(kafka)}


@pytest.fixture
async def running() -> AsyncIterator[list[FakeWorker]]:
    """Workers that are stopped at the end."""
    workers: list[FakeWorker] = []
    yield workers
    for each in workers:
        await each.end()


def script(rng: random.Random) -> list[tuple[str, Any]]:
    """Batches and uploads in some order: late, early, twice, corrected, misplaced, of rows that never were."""
    said: list[tuple[str, Any]] = []
    for n in range(rng.randint(3, 10)):
        times = [rng.randint(0, 4_000) for _ in range(rng.randint(1, 3))]
        said.append(("made", made(n, *times, version=rng.choice("12"))))
        for row in range(len(times) + rng.choice([0, 0, 1])):
            for _ in range(rng.randint(0, 3)):
                at = rng.randint(0, 6_000) if rng.random() < 0.9 else 20_000
                said.append(("label", (n, row, rng.choice(["yes", "no"]), at)))
    said.append(("label", (99, 0, "yes", 100)))
    rng.shuffle(said)
    return said


async def play(said: list[tuple[str, Any]], rng: random.Random | None) -> FakeKafka:
    """Put a script on the log and let workers join it; with ``rng`` they are killed and replaced again and again."""
    kafka, stores = FakeKafka(PARTITIONS), FakeStores(MemoryStore)
    current = await worker(kafka, stores).start()
    at, kills = 0, 0
    while True:
        step = rng.randint(1, 6) if rng else 4
        for what, content in said[at : at + step]:
            if what == "made":
                predict(kafka, content)
            else:
                # Every third label lies in a partition that is not its own.
                number = content[0]
                kafka.append(
                    "ground-truth", labels(content), where(number) if number % 3 else (where(number) + 1) % 3
                )
        at += step
        if rng and kills < 12 and rng.random() < 0.5:
            kafka.fuse, kafka.lost = rng.randint(1, 12), rng.random() < 0.5
        try:
            await current.give_all(chunk=rng.randint(1, 5) if rng else 100)
            if rng is None or rng.random() < 0.3:
                await current.joining.advance()
            if at >= len(said):
                kafka.fuse = None
                if current.is_dead:
                    raise Killed
                await current.flush(30_000)
                await current.give_all()
                await current.end()
                return kafka
        except Killed:
            kills += 1
            kafka.fuse = None
            await current.end()
            if rng and rng.random() < 0.4:
                stores = FakeStores(MemoryStore)  # another machine
            current = worker(kafka, stores)
            # Kafka gives again what was not acknowledged, and may give more.
            await current.start()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_whoever_is_killed_the_outcome_is_that_of_one_pass(seed: int) -> None:
    """Outcomes, counts and last reports equal those of a worker that nobody killed, and no outcome comes twice."""
    import asyncio

    async def both() -> None:
        said = script(random.Random(seed))
        calm, rough = await play(said, None), await play(said, random.Random(seed))
        found, wanted = outcomes(rough), outcomes(calm)
        assert len({(i, revision) for i, revision, *_ in found}) == len(found)
        misplaced = {
            prediction_id(f"{n:032x}", r) for w, c in said if w == "label" for n, r, *_ in [c] if n % 3 == 0
        }
        # Of labels that lay elsewhere the order among themselves may be another.
        assert sorted((i, k) for i, k, *_ in found if i not in misplaced) == sorted(
            (i, k) for i, k, *_ in wanted if i not in misplaced
        )
        final = {i: row for i, *row in sorted(found)}
        assert {i: row[1] for i, row in final.items() if i not in misplaced} == {
            i: row[1] for i, row in {i: row for i, *row in sorted(wanted)}.items() if i not in misplaced
        }
        after, before = ({key: r for key, r in last(kafka).items() if r.predicted} for kafka in (rough, calm))
        assert after.keys() == before.keys()
        for key, report in after.items():
            assert (report.predicted, report.labelled) == (before[key].predicted, before[key].labelled)
            mine = [r for i, r in final.items() if r]  # every label is in some window
            assert mine or not report.labelled
        if not misplaced:
            for key, report in after.items():
                assert (report.metrics, report.confusion) == (before[key].metrics, before[key].confusion)
        ids = Counter((r.window_start, r.version, r.as_of) for r in reports(rough))
        assert max(ids.values(), default=1) == 1

    asyncio.run(both())


async def test_a_restart_on_the_same_log_publishes_nothing_twice(running: list[FakeWorker]) -> None:
    """A worker that comes back, on the same disk or another, finds the counts and says nothing that was said."""
    kafka, stores = FakeKafka(PARTITIONS), FakeStores(MemoryStore)
    for n in range(20):
        predict(kafka, made(n, 100 * n, 100 * n + 1))
        label(kafka, (n, 0, "yes", 100 * n + 500), (n, 0, "yes", 100 * n + 600))
    label(kafka, (3, 0, "no", 2_500), (77, 0, "no", 2_500))
    first = await worker(kafka, stores).start()
    running.append(first)
    await first.give_all()
    await first.flush(5_000)
    status = await first.answers.status()
    assert (status["joined"], status["pending"], status["duplicates"], status["corrections"]) == (
        20,
        20,
        20,
        1,
    )
    assert status["labelled_distinct"] == status["joined"] + status["held"] + status["unknown"] == 21
    sizes = {t: len(kafka.records(t)) for t in ("outcomes", "quality-reports", "label-reports")}
    for disk in (stores, FakeStores(MemoryStore)):
        await running[-1].end()
        again = await worker(kafka, disk).start()
        running.append(again)
        await again.give_all()
        assert await again.flush(5_000) == 5_000
        assert {t: len(kafka.records(t)) for t in sizes} == sizes
        told = await again.answers.status()
        assert {k: told[k] for k in status if isinstance(status[k], int)} == {
            k: v for k, v in status.items() if isinstance(v, int)
        }
        state = await again.answers.state(prediction_id(f"{3:032x}", 0))
        assert (state["state"], state["truth"], state["revision"]) == ("joined", "no", 1)


async def test_workers_share_partitions_and_know_each_other(running: list[FakeWorker]) -> None:
    """A worker answers for its own partitions, names who holds another, and a claim voids the claim before it."""
    kafka = FakeKafka(PARTITIONS)
    for n in range(12):
        predict(kafka, made(n, 100 * n))
    one = await worker(kafka, name="one").start([0, 1])
    running.append(one)
    two = await worker(kafka, name="two").start([2])
    running.append(two)
    one.progress.read(kafka.records("join-progress")[-2])  # two's claim
    for record in kafka.records("join-progress"):
        one.progress.read(record)
    for n in range(12):
        text = prediction_id(f"{n:032x}", 0)
        mine, other = (one, two) if where(n) < 2 else (two, one)
        await mine.give(kafka.topics["predictions"][where(n)][-1])
        assert (await mine.answers.state(text))["state"] in ("pending", "unknown")
        with pytest.raises(Elsewhere) as found:
            await other.answers.state(text)
        assert found.value.url == f"http://{mine.joining.worker}"
    with pytest.raises(Elsewhere):
        await two.answers.flush(None, 1.0)


async def test_one_that_was_taken_for_dead_changes_nothing(running: list[FakeWorker]) -> None:
    """What a worker joins after another has claimed its partitions is void, and it learns that it is."""
    kafka = FakeKafka(PARTITIONS)
    old = await worker(kafka, name="old").start()
    running.append(old)
    for n in range(6):
        predict(kafka, made(n, 100 * n))
    await old.give_all()
    new = await worker(kafka, name="new").start()
    running.append(new)
    label(kafka, *((n, 0, "yes", 700) for n in range(6)))
    await new.give_all()
    told = new.progress.state.counts()
    for record in kafka.records("join-progress"):  # wakes up, and reads
        old.progress.read(record)
    with pytest.raises(Fenced):
        await old.give_all()
    for record in kafka.records("join-progress"):
        new.progress.read(record)
    assert new.progress.state.counts() == told
    assert await new.flush(1_000) == 1_000
    assert last(kafka)[0, "1"].labelled == 6
    with pytest.raises(Unready):
        await old.answers.state(prediction_id(f"{1:032x}", 0))


async def test_the_serving_version_comes_from_model_events(running: list[FakeWorker]) -> None:
    """A boundary always reports its own window for the version that serves then, though it has no rows."""
    kafka = FakeKafka(PARTITIONS)
    event = ModelChanged(
        model="m",
        version="2",
        previous_version="1",
        action="promoted",
        artifact_uri="",
        sha256="",
        effective_from=1_500,
        reason="",
    )
    kafka.append("model-events", event)
    predict(kafka, made(1, 100, 1_100, 2_100))
    running.append(await worker(kafka).start())
    await running[0].give_all()
    assert await running[0].flush(3_000) == 3_000
    own = [(r.window_start, r.version) for r in reports(kafka) if r.as_of == r.window_end]
    assert (0, "1") in own
    assert (1_000, "2") in own
    assert (2_000, "2") in own
    assert reports(kafka)[-1].version == "2"


async def test_a_record_that_cannot_be_read_is_buried_once_and_ends_nothing(
    running: list[FakeWorker],
) -> None:
    """Records that are none go to the dead letters; what comes after them is joined, and a restart buries none again."""
    kafka, stores = FakeKafka(PARTITIONS), FakeStores(MemoryStore)
    for junk in (b"no JSON", b'{"batch_id": "\xff"}', None, b"{}"):
        kafka.append("predictions", junk)
        kafka.append("ground-truth", junk)
    ahead = made(1, 5_000_000_000_000)  # its clock is ahead of the broker's by a century
    kafka.append("predictions", ahead, where(1))
    predict(kafka, made(2, 10))
    label(kafka, (2, 0, "yes", 20))
    for _ in range(2):
        running.append(await worker(kafka, stores).start())
        await running[-1].give_all()
        assert len(kafka.records("predictions.dlq")) == 5
        assert len(kafka.records("ground-truth.dlq")) == 4
        assert (await running[-1].answers.status())["joined"] == 1
        await running[-1].end()


async def test_misplaced_labels_are_joined_and_counted(running: list[FakeWorker]) -> None:
    """Labels in a partition that is not theirs are sent to theirs, counted, and taken once though sent twice."""
    kafka = FakeKafka(PARTITIONS)
    seen: list[int] = []
    predict(kafka, made(1, 10, 20))
    wrong = (where(1) + 1) % PARTITIONS
    kafka.append("ground-truth", labels((1, 0, "yes", 30), (1, 1, "no", 30)), wrong)
    running.append(
        await worker(
            kafka, observe=lambda what, value: seen.append(value) if what == "rerouted" else None
        ).start()
    )
    await running[0].give_all()
    assert seen == [2]
    assert (await running[0].answers.status())["joined"] == 2
    routed = kafka.topics["ground-truth"][where(1)][-1]
    label(kafka, (1, 0, "no", 40))
    kafka.append("ground-truth", routed.value, where(1), headers=routed.headers)  # again, after a crash
    await running[0].give_all()
    state = await running[0].answers.state(prediction_id(f"{1:032x}", 0))
    assert (state["truth"], state["revision"]) == ("no", 1)


async def test_a_batch_in_a_wrong_partition_is_a_dead_letter(running: list[FakeWorker]) -> None:
    """Its labels would never meet it: that is said at once, with the partition that it belongs in."""
    kafka = FakeKafka(PARTITIONS)
    kafka.append("predictions", made(1, 10), (where(1) + 1) % PARTITIONS)
    predict(kafka, made(2, 20))
    running.append(await worker(kafka).start())
    await running[0].give_all()
    assert len(kafka.records("predictions.dlq")) == 1
    assert (await running[0].answers.status())["predicted"] == 1


async def test_a_disk_that_cannot_be_read_is_built_anew(running: list[FakeWorker]) -> None:
    """It is thrown away where it fails, and whoever takes the partition over has the same state from the log."""

    class Failing(MemoryStore):
        broken = False

        def get_many(self, table: Any, keys: Any) -> Any:
            if self.broken and table == "rows":
                raise StoreLost("a block")
            return super().get_many(table, keys)

    kafka, stores = FakeKafka(PARTITIONS), FakeStores(Failing)
    predict(kafka, made(1, 10, 20))
    label(kafka, (1, 0, "yes", 30))
    running.append(await worker(kafka, stores).start())
    await running[0].give_all()
    label(kafka, (1, 1, "no", 40))
    failing: Any = stores.stores[where(1)]
    failing.broken = True
    with pytest.raises(StoreLost):
        await running[0].give_all()
    assert where(1) not in stores.stores
    await running[0].end()
    running.append(await worker(kafka, stores).start())
    await running[1].give_all()
    assert (await running[1].answers.status())["joined"] == 2
    assert sorted((i, k) for i, k, *_ in outcomes(kafka)) == [
        (prediction_id(f"{1:032x}", 0), 0),
        (prediction_id(f"{1:032x}", 1), 0),
    ]


async def test_what_the_group_acknowledged_but_nobody_joined_is_read(running: list[FakeWorker]) -> None:
    """Where Kafka goes on behind what was told, the records between are joined first."""
    kafka = FakeKafka(PARTITIONS)
    for n in range(9):
        predict(kafka, made(n, 100 * n))
    running.append(await worker(kafka).start())
    for records in kafka.topics["predictions"]:
        if records:
            await running[0].give(records[-1])
    assert (await running[0].answers.status())["predicted"] == 9


async def test_another_grid_of_windows_is_one_clear_line(running: list[FakeWorker]) -> None:
    """Reports on the topic that were made with other windows end the program, and it says which setting."""
    kafka = FakeKafka(PARTITIONS)
    predict(kafka, made(1, 100))
    running.append(await worker(kafka).start())
    await running[0].give_all()
    assert await running[0].flush(2_000) == 2_000
    running.append(await worker(kafka, windows=Windows(700, 700)).start())
    assert running[-1]._deciding is not None
    with pytest.raises(UserError, match="ATALAIA_WINDOW_MS=700"):
        await running[-1]._deciding


async def test_what_is_published_is_told_while_a_backlog_is_joined(running: list[FakeWorker]) -> None:
    """Who takes over in the middle of a backlog reads the outcomes of the last chunk again, not of all."""
    kafka = FakeKafka(PARTITIONS)
    for n in range(20):
        predict(kafka, made(n, 100 * n))
        label(kafka, (n, 0, "yes", 100 * n + 50))
    running.append(await worker(kafka).start())
    for topic in ("predictions", "ground-truth"):
        for records in kafka.topics[topic]:
            await running[0].give(*records[:3])
    joined = running[0].progress.state.joined
    assert sum(kafka.ends("outcomes").values()) > 0
    assert {p: standing.outcomes for p, standing in joined.items()} == kafka.ends("outcomes")


async def test_label_windows_are_revised_when_labels_are_uploaded_late(running: list[FakeWorker]) -> None:
    """What became known in a window of label time and was uploaded after its report makes another revision."""
    kafka = FakeKafka(PARTITIONS)
    predict(kafka, made(1, 100, 200, 300))
    label(kafka, (1, 0, "yes", 900))
    running.append(await worker(kafka).start())
    await running[0].give_all()
    await running[0].flush(1_000)
    label(kafka, (1, 1, "no", 950))
    predict(kafka, made(2, 1_500))
    await running[0].give_all()
    await running[0].flush(2_000)
    said = [
        (r.window_start, r.as_of, r.revision, r.labelled)
        for r in kafka.events("label-reports", LabelsReported)
        if r.window_start == 0
    ]
    assert said == [(0, 1_000, 0, 1), (0, 2_000, 1, 2)]
