"""Several workers on a real broker: whatever happens to them and to it, final counts are those of one pass over the log."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from contracts.codec import partition_of
from contracts.events import AlertChanged, PredictionsMade, WindowTested
from monitor_on_kafka import PARTITIONS, WINDOW, Worker, World, check, read_all, send, start
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.kafka import make_consumer
from servicekit.topic_log import read_whole

pytestmark = pytest.mark.kafka
MODEL = "shared"


async def until(worker: Worker, wanted: Any, what: str) -> dict[str, Any]:
    """A status that is as wanted, within a minute and a half."""
    deadline, status = time.monotonic() + 90, {}
    while not (status and wanted(status)):
        assert time.monotonic() < deadline, f"{what}: still {status}"
        status = await worker.status()
        await asyncio.sleep(0.05)
    return status


async def decided(workers: list[Worker], through: int) -> Worker:
    """The worker that decides, once it has decided so far."""
    deadline = time.monotonic() + 120
    seen: list[dict[str, Any]] = []
    while True:
        seen = [await worker.status() for worker in workers]
        for worker, status in zip(workers, seen, strict=True):
            if status.get("decides") and (status.get("decided_through") or 0) >= through:
                return worker
        assert time.monotonic() < deadline, f"not decided through {through}: {seen}"
        await asyncio.sleep(0.05)


async def parted(workers: list[Worker], idle: int = 0) -> list[list[int]]:
    """The partitions of each, when they share them: none is two's, and so many have none."""
    deadline = time.monotonic() + 180
    while True:
        seen = [await worker.status() for worker in workers]
        parts = [status.get("partitions") or [] for status in seen]
        whole = sorted(p for part in parts for p in part) == list(range(PARTITIONS))
        if all(seen) and whole and parts.count([]) == idle:
            return parts
        assert time.monotonic() < deadline, f"not shared: {seen}"
        await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_whatever_happens_final_counts_are_those_of_one_pass(tmp_path: Path) -> None:
    """Two workers join and leave, are killed -9 and stopped for longer than the broker waits; the broker restarts; rows
    come late, batches come twice, and all is read again from the start."""
    world = World(11)
    late: Counter[int] = Counter()
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        producer, first = await start(broker, world, MODEL, tmp_path)
        second = Worker(broker, MODEL, tmp_path)
        workers = [first, second]
        sent: list[PredictionsMade] = []

        async def window(number: int, n: int = 40) -> None:
            for i in range(n):
                sent.append(world.batch(MODEL, number, 5, shift=0.0))
                await send(producer, sent[-1])
                if i % 10 == 9:
                    again = sent[int(world.random.integers(max(0, len(sent) - 60), len(sent)))]
                    await send(producer, again)  # a batch comes twice
            if (
                number >= 2
            ):  # rows come late by their partition's own clock, which every partition shows by now
                old = world.batch(MODEL, number - 2, 3, shift=0.0)
                world.batches.remove(old)
                late[partition_of(old.batch_id, PARTITIONS)] += 3
                await send(producer, old)

        try:
            await window(0)
            await window(1)
            await decided(workers, WINDOW)
            await second.start()  # a worker joins
            await parted(workers)
            await window(2)
            await window(3)
            await decided(workers, 3 * WINDOW)
            assert first.process is not None
            await window(4, 20)
            await first.end(signal.SIGKILL)  # mid-window
            await window(4, 20)
            await window(5)
            assert await decided(workers, 5 * WINDOW) is second  # it has taken over
            await first.start()
            await parted(workers)
            await window(6)
            assert second.process is not None
            second.process.send_signal(signal.SIGSTOP)  # taken for dead after ten seconds, it is not
            await window(7)
            assert await decided(workers[:1], 6 * WINDOW) is first
            await until(first, lambda s: len(s["partitions"]) == PARTITIONS, "the first worker is not alone")
            second.process.send_signal(signal.SIGCONT)
            await window(8)
            await parted(workers)  # what it held back then counts for nothing; it begins anew
            broker.stop()
            broker.start()
            await window(9)
            await decided(workers, 9 * WINDOW)
            assert await second.end(signal.SIGTERM) == 0  # a worker leaves
            await decided([first], 9 * WINDOW)
            assert (await first.get("/api/v1.0/flush", {"until": 10 * WINDOW}))[
                "decided_through"
            ] == 10 * WINDOW
            await check_log(broker, world, late)
            before = len(await read_all(broker, "drift-reports", WindowTested, MODEL))
            assert await first.end(signal.SIGTERM) == 0
            await forget_offsets(broker)  # all is read again from the start
            await first.start()
            await until(first, lambda s: s["decided_through"] == 10 * WINDOW, "it does not come back")
            for _ in range(30):
                await send(producer, world.batch(MODEL, 10, 5, shift=0.0))
            assert (await first.get("/api/v1.0/flush", {"until": 11 * WINDOW}))[
                "decided_through"
            ] == 11 * WINDOW
            assert len(await read_all(broker, "drift-reports", WindowTested, MODEL)) == before + 1
            await check_log(broker, world, late)
            assert await first.end(signal.SIGTERM) == 0
        finally:
            await producer.stop()
            for worker in workers:
                if worker.process and worker.process.returncode is None:
                    await worker.end(signal.SIGKILL)


@pytest.mark.timeout(600)
async def test_a_worker_too_many_stands_by(tmp_path: Path) -> None:
    """Four workers on three partitions: one has none and is healthy, and takes over when another is killed."""
    world = World(13)
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        producer, first = await start(broker, world, MODEL, tmp_path)
        workers = [first, *(Worker(broker, MODEL, tmp_path) for _ in range(PARTITIONS))]

        async def window(number: int) -> None:
            for _ in range(40):
                await send(producer, world.batch(MODEL, number, 5, shift=0.0))

        try:
            for worker in workers[1:]:
                await worker.start()
            parts = await parted(workers, idle=1)
            idle = workers[parts.index([])]
            await window(0)
            await window(1)
            await decided(workers, WINDOW)
            assert (await idle.get("/health/ready"))["status"] == "ready"
            assert all(worker.process and worker.process.returncode is None for worker in workers)

            killed = next(worker for worker in workers if worker is not idle)
            await killed.end(signal.SIGKILL)
            workers.remove(killed)
            await parted(workers)
            await window(2)
            await decided(workers, 2 * WINDOW)
            await check_log(broker, world, Counter())
            for worker in workers:
                assert await worker.end(signal.SIGTERM) == 0
        finally:
            await producer.stop()
            for worker in workers:
                if worker.process and worker.process.returncode is None:
                    await worker.end(signal.SIGKILL)


async def check_log(broker: EmbeddedKafka, world: World, late: Counter[int]) -> None:
    """One report a window, twice at most where two have decided it; together all distinct rows, and scipy's figures."""
    reports: dict[int, WindowTested] = {}
    for report in await read_all(broker, "drift-reports", WindowTested, MODEL):
        assert reports.setdefault(report.window_start, report) == report
    assert sorted(reports) == [WINDOW * i for i in range(len(reports))]
    assert sum(report.late_rows for report in reports.values()) == sum(late.values())
    for report in reports.values():
        check(world, report, late=True)
    assert await read_all(broker, "drift-alerts", AlertChanged, MODEL) == []
    assert [
        record
        async for batch in read_whole(Settings(kafka=broker.bootstrap), "predictions.dlq")
        for record in batch
    ] == []


async def forget_offsets(broker: EmbeddedKafka) -> None:
    """As if the group had read nothing."""
    consumer = make_consumer(Settings(kafka=broker.bootstrap), group_id="drift-monitor")
    await consumer.start()
    try:
        partitions = [TopicPartition("predictions", partition) for partition in range(PARTITIONS)]
        consumer.assign(partitions)
        deadline = time.monotonic() + 60
        while True:
            try:
                await consumer.commit(dict.fromkeys(partitions, 0))
                return
            except KafkaError:  # the broker still believes that the group has members
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
    finally:
        await consumer.stop()
