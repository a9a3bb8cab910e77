"""A record that cannot be read is told of once, though it is read again at each start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contracts.events import ModelChanged
from prometheus_client import REGISTRY
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.dead_letters import DeadLetters
from servicekit.followed import Followed
from servicekit.kafka import make_producer, origin_of, to_dlq
from servicekit.topic_log import read_whole
from servicekit.topics import ensure_topics

TOPIC = "model-events"


def counted() -> float:
    """How many records are told of as unreadable."""
    return REGISTRY.get_sample_value("atalaia_dlq_records_total", {"topic": TOPIC}) or 0.0


class Dlq:
    """A topic's DLQ in memory."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.reads = 0

    async def send(self, topic: str, record: Any, reason: str) -> None:
        """As ``to_dlq``; a value of more than ten bytes is too large."""
        value = record.value if len(record.value or b"") <= 10 else b""
        headers = [("dlq_reason", reason.encode()), ("dlq_origin", origin_of(topic, record).encode())]
        self.records.append(SimpleNamespace(value=value or b"", headers=headers))

    async def read(self, _: Settings, topic: str) -> AsyncIterator[list[Any]]:
        """As ``read_whole``."""
        assert topic == f"{TOPIC}.dlq"
        self.reads += 1
        yield list(self.records)


def record(offset: int, value: bytes | None = b"junk") -> Any:
    """One that cannot be read."""
    return SimpleNamespace(partition=0, offset=offset, value=value)


async def test_each_record_is_a_dead_letter_once_in_all_starts() -> None:
    """Also one without a value, and one that was too large to lie there; one that came between two starts is new."""
    dlq, new = Dlq(), 0
    there = [record(0), record(1, None), record(2, b"x" * 11)]
    for _ in range(3):
        dead_letters = DeadLetters(Settings(), dlq.send, dlq.read)
        for each in there:
            new += await dead_letters.put(TOPIC, each, "junk")
    assert (len(dlq.records), dlq.reads, new) == (3, 3, 3)
    there.append(record(3))
    for _ in range(2):
        dead_letters = DeadLetters(Settings(), dlq.send, dlq.read)
        for each in there:
            new += await dead_letters.put(TOPIC, each, "junk")
    assert (len(dlq.records), new) == (4, 4)


async def test_a_topic_that_was_made_anew_has_dead_letters_of_its_own() -> None:
    """Another value at an offset is another record."""
    dlq = Dlq()
    for value in (b"junk", b"other", b"junk"):
        await DeadLetters(Settings(), dlq.send, dlq.read).put(TOPIC, record(0, value), "junk")
    assert [each.value for each in dlq.records] == [b"junk", b"other"]


@pytest.mark.kafka
async def test_a_topic_that_is_followed_again_has_no_more_dead_letters(tmp_path: Path) -> None:
    """On a real broker: one of before, one that came while nobody read, one that comes while it is followed."""
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        settings = Settings(kafka=broker.bootstrap)
        await ensure_topics(settings)
        producer = await make_producer(settings, "test")
        try:
            for start in range(3):
                before = counted()
                await producer.send_and_wait(TOPIC, f"junk {start}".encode(), key=b"%d" % start)
                followed = Followed(
                    settings, TOPIC, ModelChanged, lambda _: None, lambda *what: to_dlq(producer, *what)
                )
                await followed.start()
                following = asyncio.create_task(followed.follow())
                await followed.read()
                assert counted() - before == 1
                if start == 2:
                    await producer.send_and_wait(TOPIC, b"live", key=b"live")
                    await followed.read()
                    assert counted() - before == 2
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                await followed.stop()
        finally:
            await producer.stop()
        dead = [each.value async for batch in read_whole(settings, f"{TOPIC}.dlq") for each in batch]
        assert dead == [b"junk 0", b"junk 1", b"junk 2", b"live"]
