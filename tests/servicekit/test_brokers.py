"""Embedded brokers as one cluster: what is acknowledged is on two of three, and each of them may be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from contracts.events import ModelChanged
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish, until_acknowledged, until_read
from servicekit.quorum import Quorum
from servicekit.topic_log import read_events
from servicekit.topics import ensure_topics

pytestmark = pytest.mark.timeout(600)
EVENT = ModelChanged(
    model="m", version="1", previous_version=None, action="installed", artifact_uri="models:/m/1", sha256="00",
    effective_from=0, reason="first",
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBrokers]:
    """Three brokers with the topics, in sync at the beginning of each test."""
    with EmbeddedBrokers(data_dir=tmp_path_factory.mktemp("brokers")) as running:
        asyncio.run(ensure_topics(Settings(kafka=running.bootstrap, partitions=1)))
        yield running
        for (
            broker
        ) in running.brokers:  # to end in order takes each its time, and nobody reads their data again
            broker.kill()


def test_one_node_is_as_a_lone_broker_was(tmp_path: Path) -> None:
    """It stands alone, votes alone, and keeps one replica of everything."""
    said = Quorum("c", (7001,)).properties(1, 7000, tmp_path).splitlines()
    assert "controller.quorum.bootstrap.servers=127.0.0.1:7001" in said
    factors = [line for line in said if "replication.factor" in line or "min.isr" in line or "insync" in line]
    assert len(factors) == 7
    assert all(line.endswith("=1") for line in factors)


@pytest.mark.kafka
async def test_every_topic_is_on_three_brokers_and_wants_two(cluster: EmbeddedBrokers) -> None:
    """Our topics have the cluster's default, and the group's own topic has it too."""
    await cluster.until_in_sync()
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        # asked for a group, the brokers make __consumer_offsets
        await until_read("offsets", lambda: admin.list_consumer_group_offsets("anybody"))
        wanted, replicas = {"predictions", "panes", "predictions.dlq", "__consumer_offsets"}, dict[str, Any]()
        async with asyncio.timeout(60):  # the broker that is asked hears of a new topic a moment later
            while not wanted <= replicas.keys():
                replicas = {
                    topic["topic"]: [sorted(partition["replicas"]) for partition in topic["partitions"]]
                    for topic in await admin.describe_topics()
                }
        for name, each in replicas.items():
            assert each == [[1, 2, 3]] * (8 if name == "__consumer_offsets" else 1), name
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "predictions")])
        config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        assert config["min.insync.replicas"] == "2"
    finally:
        await admin.close()


@pytest.mark.kafka
async def test_what_is_acknowledged_outlives_its_leader(cluster: EmbeddedBrokers) -> None:
    """kill -9 of the leader: topics can be ensured at once, the same producer goes on, and the broker comes back in sync."""
    await cluster.until_in_sync()
    settings = Settings(kafka=cluster.bootstrap)
    producer = await make_producer(settings, "test")

    async def send() -> None:
        await publish(producer, "model-events", EVENT, source="trainer", key="m")

    try:
        await until_acknowledged("model-events", send)
        leader = await cluster.leader("model-events", 0)
        leader.kill()
        assert len(await read_events(settings, "model-events", ModelChanged)) == 1
        # as a service does that starts just then
        await ensure_topics(Settings(kafka=cluster.bootstrap, partitions=1))
        await until_acknowledged("model-events", send)
        assert await cluster.leader("model-events", 0) is not leader
        assert not await cluster.in_sync()
        await asyncio.to_thread(leader.start)
        await cluster.until_in_sync()
    finally:
        await producer.stop()
    assert await read_events(settings, "model-events", ModelChanged) == [EVENT, EVENT]


@pytest.mark.kafka
async def test_with_two_brokers_gone_nothing_is_acknowledged(cluster: EmbeddedBrokers) -> None:
    """One of three alone says neither yes nor no: what was sent is acknowledged when a second is back."""
    await cluster.until_in_sync()
    settings = Settings(kafka=cluster.bootstrap)
    producer = await make_producer(settings, "test")
    try:
        for broker in cluster.brokers[1:]:
            broker.kill()
        sending = asyncio.create_task(
            until_acknowledged(
                "panes.dlq", lambda: publish(producer, "panes.dlq", EVENT, source="test", key="k")
            )
        )
        done, _ = await asyncio.wait({sending}, timeout=8)  # longer than a killed broker's session
        assert not done
        await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in cluster.brokers[1:]))
        await asyncio.wait_for(sending, 90)
        await cluster.until_in_sync()
    finally:
        await producer.stop()
