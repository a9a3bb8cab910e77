"""What a version predicts is asked of the registry, which may be slow or away: reports wait once, and say what they know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from contracts.codec import partition_of, prediction_id
from contracts.events import GroundTruthReceived, Label, PredictionsMade, QualityReported
from fake_kafka import FakeKafka, FakeStores, FakeWorker
from feedback.domain.store import MemoryStore
from feedback.domain.task import Task
from feedback.domain.windows import Windows
from feedback.observed import observe
from feedback.tasks import Fetch, Tasks
from prometheus_client import REGISTRY

PARTITIONS = 3


def number(
    kafka: FakeKafka, predicted: Label, batch: int, time: int, version: str = "1", scored: bool = False
) -> None:
    """One row, whose record shows what the version predicts only where it is scored."""
    event = PredictionsMade(
        batch_id=f"{batch:032x}",
        model="m",
        version=version,
        event_time=[time],
        features={},
        predictions=[predicted],
        probabilities={"no": [0.1], "yes": [0.9]} if scored else None,
    )
    kafka.append("predictions", event, partition_of(event.batch_id, PARTITIONS))


def truth(kafka: FakeKafka, word: Label, batch: int, time: int = 7) -> None:
    """Its label."""
    event = GroundTruthReceived(
        upload_id="u", prediction_id=[prediction_id(f"{batch:032x}", 0)], truth=[word], label_time=[time]
    )
    kafka.append("ground-truth", event, partition_of(f"{batch:032x}", PARTITIONS))


async def regression(model: str, version: str) -> Task:
    """A registry that knows one kind."""
    return Task("regression")


class Site:
    """Workers one after the other on one log."""

    def __init__(self) -> None:
        self.kafka = FakeKafka(PARTITIONS)
        self.workers: list[FakeWorker] = []

    async def start(self, fetch: Fetch) -> FakeWorker:
        """The next one."""
        for worker in self.workers:
            await worker.end()
        worker = FakeWorker(
            self.kafka, FakeStores(MemoryStore), windows=Windows(1_000, 1_000), fetch=fetch, observe=observe
        )
        self.workers.append(worker)
        return await worker.start()

    def reports(self) -> list[QualityReported]:
        """What quality-reports holds."""
        return self.kafka.events("quality-reports", QualityReported)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Workers that are stopped at the end."""
    made = Site()
    yield made
    for worker in made.workers:
        await worker.end()


@pytest.mark.parametrize("word", ["nan", "inf", 1e160, 1e-12])
async def test_no_label_ends_the_process(site: Site, word: Any) -> None:
    """Whatever a regression's truth says, boundaries are decided, also after a restart on the same log."""
    first = await site.start(regression)
    for batch, predicted in ((1, 1e150), (2, 1e150), (3, 2.0)):
        number(site.kafka, predicted, batch, 5)
    truth(site.kafka, word, 1)
    truth(site.kafka, 0.0, 2)
    await first.give_all()
    assert await first.flush(1_000) == 1_000
    second = await site.start(regression)
    number(site.kafka, 2.0, 4, 1_500)
    await second.give_all()
    assert await second.flush(2_000) == 2_000
    assert (await second.answers.status())["unusable_truths"] == (0 if word == 1e-12 else 1)


async def test_labels_that_cannot_be_measured_are_counted_in_the_metrics(site: Site) -> None:
    """Unusable truths and unknown classes are results of labels in Prometheus's counts."""

    def counted() -> list[float]:
        return [
            REGISTRY.get_sample_value("atalaia_labels_total", {"result": result}) or 0.0
            for result in ("unusable_truth", "unknown_class")
        ]

    async def fetch(model: str, version: str) -> Task:
        return Task("regression") if version == "1" else Task("classification", ("no", "yes"))

    before = counted()
    worker = await site.start(fetch)
    number(site.kafka, 1.0, 1, 5)
    number(site.kafka, "yes", 2, 5, "2", scored=True)
    truth(site.kafka, "nan", 1)
    truth(site.kafka, "nan", 2)
    await worker.give_all()
    await worker.flush(1_000)
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1]


async def test_a_registry_that_is_away_holds_up_nothing_but_metrics(site: Site) -> None:
    """While a version's profile is missing, its reports count and others' measure; status names it. Once the registry
    answers, the next boundary brings the metrics, of a regression with whole numbers."""
    back = asyncio.Event()

    async def fetch(model: str, version: str) -> Task:
        if not back.is_set():
            raise ConnectionError("nobody answers")
        return Task("regression") if version == "1" else Task("classification", ("no", "yes"))

    worker = await site.start(fetch)
    for batch, predicted in ((1, 1), (2, 2)):
        number(site.kafka, predicted, batch, 5)
    number(site.kafka, "yes", 3, 5, "2", scored=True)
    for batch, word in ((1, 3), (2, 2), (3, "yes")):
        truth(site.kafka, word, batch)
    await worker.give_all()
    await worker.flush(1_000)
    away, other = site.reports()
    assert (away.version, away.labelled, away.metrics, away.final) == ("1", 2, {}, False)
    assert (other.version, other.metrics["accuracy"], other.estimated) == ("2", 1.0, {})
    assert (await worker.answers.status())["waits_for_profiles"] == ["m version 1"]
    held = {"model": "m", "version": "1"}
    assert REGISTRY.get_sample_value("atalaia_profile_held", held) == 1

    back.set()
    async with asyncio.timeout(10):
        while worker.tasks.missing:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert REGISTRY.get_sample_value("atalaia_profile_held", held) == 0
    await worker.flush(2_000)
    known = [r for r in site.reports() if r.version == "1" and r.window_start == 0][-1]
    assert (known.as_of, known.metrics["mae"], known.confusion, known.final) == (2_000, 1.0, None, True)
    assert (await worker.answers.status())["waits_for_profiles"] == []


async def test_a_boundary_waits_for_the_registrys_first_answer(site: Site) -> None:
    """However slow the registry is within reason, the first report of a version bears its metrics."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def fetch(model: str, version: str) -> Task:
        asked.set()
        await answer.wait()
        return Task("regression")

    worker = await site.start(fetch)
    number(site.kafka, 1, 1, 1)
    truth(site.kafka, 3, 1)
    await worker.give_all()
    deciding = asyncio.create_task(worker.flush(1_000))
    await asyncio.wait_for(asked.wait(), 10)
    assert site.reports() == []
    answer.set()
    assert await asyncio.wait_for(deciding, 10) == 1_000
    assert site.reports()[0].metrics["mae"] == 2.0


async def test_a_registry_that_never_answers_is_waited_for_once() -> None:
    """After its patience a boundary goes on without, and the next ones wait no more."""

    async def fetch(model: str, version: str) -> Task:
        await asyncio.Event().wait()
        raise AssertionError

    tasks = Tasks(fetch, patience=0.01)
    tasks.see("m", "1")
    await asyncio.wait_for(tasks.settle(), 10)
    assert tasks.missing == {("m", "1")}
    with pytest.raises(StopIteration):
        tasks.settle().send(None)  # returns at once
    tasks.stop()
