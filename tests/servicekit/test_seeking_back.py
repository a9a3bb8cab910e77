"""Where a record consumer goes on reading after a rebalance: aiokafka itself, in groups of a real broker."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.kafka import make_consumer, make_producer
from servicekit.record_consumer import make_app
from servicekit.topics import ensure_topics

PARTITIONS = [TopicPartition("predictions", 0), TopicPartition("predictions", 1)]
RECORDS = 3  # in each
Reading = Callable[[AIOKafkaConsumer], Any]


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """Those of a broker with two partitions of three records each."""

    async def fill(settings: Settings) -> None:
        await ensure_topics(settings.model_copy(update={"partitions": len(PARTITIONS)}))
        producer = await make_producer(settings, "test")
        for at in PARTITIONS:
            for _ in range(RECORDS):
                await producer.send_and_wait(at.topic, b"record", partition=at.partition)
        await producer.stop()

    with EmbeddedKafka() as broker:
        found = Settings(kafka=broker.bootstrap)
        asyncio.run(fill(found))
        yield found


@pytest.fixture
async def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reading]:
    """Makes Faust's consumer of a client that runs on the test's own thread, at the end of a rebalance."""
    threshold = gc.get_threshold()

    async def call(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return await function(*args, **named)

    def of(client: AIOKafkaConsumer) -> Any:
        consumer: Any = make_app(Settings(kafka="localhost:1", data_dir=tmp_path), "group").consumer
        monkeypatch.setattr(consumer._thread, "_consumer", client)
        monkeypatch.setattr(consumer._thread, "call_thread", call)
        consumer._active_partitions = {TP(*at) for at in client.assignment()}
        consumer.resume_flow()
        return consumer

    yield of
    gc.set_threshold(*threshold)


@asynccontextmanager
async def member(settings: Settings, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    """One of a group, when it has partitions."""
    client = make_consumer(settings, "predictions", group_id=group, heartbeat_interval_ms=100)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def first_offsets(consumer: Any, client: AIOKafkaConsumer) -> dict[int, int]:
    """The offset at which each of the client's partitions goes on."""
    found: dict[int, int] = {}
    async with asyncio.timeout(60):
        while len(found) < len(client.assignment()):
            records, _ = await consumer._wait_next_records(1.0)
            for at, some in records.items():
                found.setdefault(at.partition, some[0].offset)
    return found


async def test_without_partitions_nothing_is_sought(reading: Reading) -> None:
    """A worker more than there are partitions reads nothing, and goes on."""
    client = AIOKafkaConsumer(group_id="idle")
    assert await reading(client)._wait_next_records(1.0) == ({}, set())


@pytest.mark.kafka
@pytest.mark.parametrize(("acknowledged", "first"), [(None, 0), (0, 0), (2, 2)])
async def test_what_is_not_acknowledged_is_read_again(
    settings: Settings, reading: Reading, acknowledged: int | None, first: int
) -> None:
    """Also by a group that has acknowledged nothing yet."""
    async with member(settings, f"acknowledged {acknowledged}") as client:
        if acknowledged is not None:
            await client.commit(dict.fromkeys(PARTITIONS, acknowledged))
        async with asyncio.timeout(60):
            while [await client.position(at) for at in PARTITIONS] != [RECORDS, RECORDS]:
                await client.getmany(timeout_ms=200)  # handed on too early, and gone
        assert await first_offsets(reading(client), client) == {0: first, 1: first}


@pytest.mark.kafka
async def test_a_partition_taken_away_meanwhile_is_another_rebalance(
    settings: Settings, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seek fails for it; nothing is read before one has succeeded for what is left."""
    async with member(settings, "shared") as client:
        await client.commit(dict.fromkeys(PARTITIONS, 1))
        committed, looked, taken = client.committed, asyncio.Event(), asyncio.Event()

        async def slowly(at: TopicPartition) -> int | None:
            offset: int | None = await committed(at)
            looked.set()
            await taken.wait()
            return offset

        monkeypatch.setattr(client, "committed", slowly)
        consumer = reading(client)
        seeking = asyncio.create_task(consumer._wait_next_records(1.0))
        async with asyncio.timeout(60):
            await looked.wait()
            async with member(settings, "shared"):
                while len(client.assignment()) != 1:  # noqa: ASYNC110  aiokafka has no event for it
                    await asyncio.sleep(0.05)
                taken.set()
                records, _ = await seeking
                assert records == {}
                (left,) = client.assignment()
                consumer._active_partitions = {TP(*left)}
                assert await first_offsets(consumer, client) == {left.partition: 1}
