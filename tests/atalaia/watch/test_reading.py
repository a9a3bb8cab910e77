"""Reading the topics as any consumer would: what cannot be read, what is away, what was made anew."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import told
from aiokafka.admin import AIOKafkaAdminClient
from atalaia.watch.reading import READER, TOPICS, Reading
from contracts.codec import encode
from contracts.flow import load_topics
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, publish
from servicekit.topics import ensure_topics

DEADLINE_SECONDS = 120.0


@dataclass
class Record:
    """A record as a consumer gives it."""

    topic: str
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int = 5


def record(topic: str, event: Any) -> Record:
    return Record(topic, *encode(event, source="test"))


def test_what_cannot_be_read_is_counted_and_let_pass() -> None:
    """Garbage, another type and a tombstone change nothing; the first two are counted by topic."""
    reading = Reading(Settings(kafka="kafka.example:9092"))
    reading.take(Record("drift-reports", b"{", []))
    reading.take(Record("drift-reports", *encode(told.installed(), source="test")))
    reading.take(Record("model-events", None, []))
    assert reading.memories.models == {}
    reading.take(record("drift-reports", told.window(1)))
    assert reading.watching.unreadable == {"drift-reports": 2}
    assert (reading.records, reading.watching.last, list(reading.memories.models)) == (4, 5, ["m"])
    assert reading.memories.models["m"].reported == 5


def test_nothing_is_shown_before_all_was_read_once() -> None:
    """While the past is being read it is not shown as the present; what a broker that goes away told stays."""
    reading = Reading(Settings(kafka="kafka.example:9092"))
    reading._is("reading")
    reading.take(record("drift-reports", told.window(1)))
    assert reading.shown.models == {}
    reading._is("following")
    assert list(reading.shown.models) == ["m"]
    reading._is("away")
    assert list(reading.shown.models) == ["m"]


async def test_what_is_no_address_is_one_clear_line() -> None:
    """A broker that nobody could reach by that name ends the reading, and says how it is written."""
    with pytest.raises(UserError, match=r"ATALAIA_KAFKA=kafka:port cannot be used.*host:port"):
        await Reading(Settings(kafka="kafka:port")).follow()


def test_every_topic_that_is_read_is_one_of_the_flow() -> None:
    """All topics are known, and each names the model; their files, and so README and AsyncAPI, name this reader of them."""
    for name in TOPICS:
        assert "model" in load_topics()[name].kind.__struct_fields__
    assert {name for name, topic in load_topics().items() if READER in topic.readers} == set(TOPICS)


def test_the_page_of_docs_names_every_topic() -> None:
    """docs/watch.md lists exactly the topics that are read."""
    page = (Path(__file__).parents[3] / "docs" / "watch.md").read_text(encoding="utf-8")
    listed = page.partition("## What it reads")[2].partition("It joins no group")[0]
    assert set(re.findall(r"`([a-z-]+)`", listed)) == set(TOPICS)


async def until(reading: Reading, condition: Callable[[], bool]) -> None:
    """Return once the reading has come so far."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  whatever may make it true
            await asyncio.sleep(0.05)


@pytest.mark.kafka
async def test_a_broker_may_come_late_go_away_and_lose_its_topics(tmp_path: Path) -> None:
    """Without a broker, without topics, with records, with the broker away and back, with its topics made anew."""
    port = free_port()
    settings = Settings(kafka=f"127.0.0.1:{port}", partitions=1)
    reading = Reading(settings)
    following = asyncio.create_task(reading.follow())
    try:
        await until(reading, lambda: reading.watching.state == "away")
        assert f"No Kafka broker answers at 127.0.0.1:{port}" in reading.watching.words
        async with broker(tmp_path / "kafka", port):
            await until(reading, lambda: reading.watching.state == "empty")
            await ensure_topics(settings)
            await tell(settings, ("model-events", told.installed()), ("drift-reports", told.window(1)))
            await garbage(settings, "drift-alerts")
            await until(reading, lambda: reading.records == 3 and reading.complete)
            assert reading.watching.unreadable == {"drift-alerts": 1}
            assert len(reading.memories.models["m"].windows) == 1
        await until(reading, lambda: reading.watching.state == "away")
        assert len(reading.memories.models["m"].windows) == 1, "what was read stays"

        async with broker(tmp_path / "kafka", port):
            await tell(settings, ("drift-reports", told.window(2)))
            await until(reading, lambda: len(reading.memories.models["m"].windows) == 2)
            await until(reading, lambda: reading.watching.state == "following")
            assert reading.records == 4, "nothing was read twice"
            await printed_and_served(settings)

            await forget(settings)
            await until(reading, lambda: reading.watching.state == "empty")
            assert reading.memories.models == {}, "what was read is of another world"
            await ensure_topics(settings)
            await tell(settings, ("model-events", told.change("7", 0, "installed", None, model="n")))
            await until(reading, lambda: list(reading.memories.models) == ["n"] and reading.complete)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@contextlib.asynccontextmanager
async def broker(folder: Path, port: int) -> AsyncIterator[None]:
    """Real Kafka on this port, started and stopped beside the running loop."""
    kafka = await asyncio.to_thread(EmbeddedKafka(folder, port).start)
    try:
        yield
    finally:
        await asyncio.to_thread(kafka.stop)


async def printed_and_served(settings: Settings) -> None:
    """The command prints what there is and ends; as a page it serves until it is interrupted, and ends well."""
    env = os.environ | {"ATALAIA_KAFKA": settings.kafka, "ATALAIA_WATCH_PORT": str(free_port())}
    command = (sys.executable, "-m", "atalaia.cli", "watch")
    pipes: dict[str, Any] = {
        "stdout": asyncio.subprocess.PIPE,
        "stderr": asyncio.subprocess.STDOUT,
        "env": env,
    }
    once = await asyncio.create_subprocess_exec(*command, "--once", **pipes)
    out, _ = await asyncio.wait_for(once.communicate(), DEADLINE_SECONDS)
    assert once.returncode == 0, out.decode()
    assert "STEADY" in out.decode()
    other = await asyncio.create_subprocess_exec(*command, "--once", "--model", "x", **pipes)
    out, _ = await asyncio.wait_for(other.communicate(), DEADLINE_SECONDS)
    assert (other.returncode, out.decode()) == (2, "atalaia: the topics name no model x; they name m.\n")

    # a shell starts what runs in its background deaf to Ctrl-C, and children inherit that
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    page = await asyncio.create_subprocess_exec(*command, "--web", **pipes, preexec_fn=hears)
    address = f"http://127.0.0.1:{env['ATALAIA_WATCH_PORT']}"
    try:
        assert page.stdout is not None
        assert address in (await asyncio.wait_for(page.stdout.readline(), DEADLINE_SECONDS)).decode()
        async with httpx.AsyncClient(base_url=address) as client, asyncio.timeout(DEADLINE_SECONDS):
            while (await client.get("/api/v1.0/view")).json()["view"] is None:  # noqa: ASYNC110  it has to be asked
                await asyncio.sleep(0.1)
    finally:
        page.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(page.communicate(), DEADLINE_SECONDS)
    assert (page.returncode, out) == (0, b"")


async def forget(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.delete_topics(list(TOPICS))
    finally:
        await admin.close()


async def tell(settings: Settings, *events: tuple[str, Any]) -> None:
    producer = await make_producer(settings, "test")
    try:
        for topic, event in events:
            await publish(producer, topic, event, source="test", key=event.model)
    finally:
        await producer.stop()


async def garbage(settings: Settings, topic: str) -> None:
    producer = await make_producer(settings, "test")
    try:
        await producer.send_and_wait(topic, b"no event")
    finally:
        await producer.stop()
