"""Three brokers, the services as processes on them, and each broker killed under load, one after the other."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from contracts.codec import decode, prediction_id
from contracts.events import ModelChanged, OutcomesJoined, PredictionsMade, WindowTested
from platform_under_load import START, TESTS, WINDOW_MS, Clients, Service, until
from servicekit.broker import EmbeddedKafka
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topic_log import read_events, read_whole
from servicekit.topics import ensure_topics
from summaries.profile import FieldSpec, Profile

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]
INSTALLED = ModelChanged(
    model="m", version="1", previous_version=None, action="installed", artifact_uri="", sha256="",
    effective_from=0, reason="",
)  # fmt: skip


@asynccontextmanager
async def platform(kafka: str, folder: Path) -> AsyncIterator[dict[str, Service]]:
    """The services, each ready."""
    await ensure_topics(Settings(kafka=kafka, partitions=12))
    producer = await make_producer(Settings(kafka=kafka), "test")
    await publish(producer, "model-events", INSTALLED, source="test", key="m")
    await producer.stop()
    values = [float(i) for i in range(100)]
    profile = Profile.build({"a": values}, [FieldSpec("a", "float32")], values, None, "y", None, "regression")
    (folder / "m-1.json").write_text(json.dumps(profile.to_dict()))
    monitor = [str(TESTS / "drift_monitor" / "worker.py"), str(folder)]
    services = {
        name: Service(name, command, folder, ATALAIA_KAFKA=kafka)
        for name, command in {
            "predictor": [str(TESTS / "predictor" / "worker.py")],
            "drift_monitor.1": monitor,
            "drift_monitor.2": monitor,
            "feedback": ["-m", "feedback"],
        }.items()
    }
    try:
        await asyncio.gather(*(service.start() for service in services.values()))
        yield services
        assert [await service.end() for service in services.values()] == [0] * len(services)
    finally:
        for service in services.values():
            await service.end(signal.SIGKILL)


async def on_topic(settings: Settings) -> tuple[dict[str, float], dict[int, set[str]], int]:
    """Ids with the value that each row was scored for, ids by window, and how many records came again."""
    values: dict[str, float] = {}
    windows: dict[int, set[str]] = {}
    batches: Counter[str] = Counter()
    async for records in read_whole(settings, "predictions"):
        for record in records:
            event = decode(PredictionsMade, record.value, record.headers)
            batches[event.batch_id] += 1
            for i, (at, value) in enumerate(zip(event.event_time, event.features["a"], strict=True)):
                name = prediction_id(event.batch_id, i)
                assert values.setdefault(name, value) == value == event.predictions[i]
                windows.setdefault((at - START) // WINDOW_MS, set()).add(name)
    return values, windows, batches.total() - len(batches)


async def test_each_broker_is_killed_under_load_and_nothing_is_lost(tmp_path: Path) -> None:
    """No request fails; each answered row is on the topic, in one window's counts, and joined to its label."""
    with EmbeddedBrokers(data_dir=tmp_path / "kafka") as cluster:
        async with platform(cluster.bootstrap, tmp_path) as services:
            clients = Clients(services["predictor"], services["feedback"])
            clients.start()
            await clients.more(500)
            killed: list[EmbeddedKafka] = []
            for partition in range(3):
                leader = await cluster.leader("predictions", partition)
                if leader in killed:  # leaders move back to where they were only in time
                    leader = next(broker for broker in cluster.brokers if broker not in killed)
                killed.append(leader)
                leader.kill()
                await clients.more(500)  # answered while it is away
                assert await cluster.leader("predictions", partition) is not leader
                await asyncio.to_thread(leader.start)
                await cluster.until_in_sync(120)
                await clients.more(500)
            await settled(services, clients)
        await check_topics(Settings(kafka=cluster.bootstrap), clients)


async def test_without_a_quorum_for_a_minute_nothing_is_lost(tmp_path: Path) -> None:
    """Two of three are away for longer than any request waits: the predictor answers from its spool, all else goes on after."""
    with EmbeddedBrokers(data_dir=tmp_path / "kafka") as cluster:
        async with platform(cluster.bootstrap, tmp_path) as services:
            clients = Clients(services["predictor"], services["feedback"])
            clients.start()
            await clients.more(500)
            for broker in cluster.brokers[:2]:
                broker.kill()
            await clients.go_on(60)
            await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in cluster.brokers[:2]))
            await cluster.until_in_sync(120)
            await clients.more(500)
            await settled(services, clients)
        await check_topics(Settings(kafka=cluster.bootstrap), clients)


async def settled(services: dict[str, Service], clients: Clients) -> None:
    """End the clients, and return once all they sent is joined and decided."""
    await clients.stop()
    print(f"{clients.statuses} answers, the slowest {clients.slowest:.2f} s, {len(clients.labelled)} labels")
    assert clients.statuses.keys() == {200}

    async def empty() -> bool:
        return "atalaia_spool_rows 0.0" in (await services["predictor"].http.get("/metrics")).text

    await until(empty, "the spool is not empty", 120)
    count = len(clients.labelled)
    expected = {"labelled_distinct": count, "joined": count, "held": 0, "unknown": 0, "pending": 0}

    async def joined() -> bool:
        status = await services["feedback"].status()
        return {name: status.get(name) for name in expected} == expected

    await until(joined, f"not joined as expected: {expected}", 120)
    answer = await services["drift_monitor.1"].http.post("/api/v1.0/flush", json={"until": clients.over})
    assert answer.status_code == 200, answer.text
    for service in services.values():
        service.lives()


async def check_topics(settings: Settings, clients: Clients) -> None:
    """Predictions, reports and outcomes are of what the clients were answered, no more and no less."""
    values, windows, again = await on_topic(settings)
    print(f"{len(values)} rows on the topic, {again} records came again")
    assert values == clients.predicted
    reports = await read_events(settings, "drift-reports", WindowTested)
    last = {(r.window_start - START) // WINDOW_MS: r for r in reports if r.window_start >= START}
    counted = {window: report.rows for window, report in last.items() if report.rows}
    assert counted == {window: len(ids) for window, ids in windows.items()}
    assert sum(report.late_rows for report in last.values()) == 0
    outcomes = await read_events(settings, "outcomes", OutcomesJoined)
    truths = [pair for o in outcomes for pair in zip(o.prediction_id, o.truth, strict=True)]
    assert Counter(truths) == Counter(clients.predicted.items())
