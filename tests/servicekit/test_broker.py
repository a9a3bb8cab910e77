"""The embedded broker is real Kafka, and its failures are one clear line."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from contracts.codec import decode
from contracts.events import GroundTruthReceived, ModelChanged
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import (
    make_consumer,
    make_producer,
    publish,
    stop_consumer,
    to_dlq,
    wait_for_kafka,
)
from servicekit.topics import ensure_topics, load_topics

EVENT = ModelChanged(
    model="m",
    version="1",
    previous_version=None,
    action="installed",
    artifact_uri="models:/m/1",
    sha256="00",
    effective_from=0,
    reason="first",
)
LABELS = GroundTruthReceived(upload_id="u", prediction_id=["0" * 32 + ".0"], truth=["yes"], label_time=[1])


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Poll a condition until it holds or the deadline passes; says which."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.kafka
async def test_events_go_through_a_real_broker_and_outlive_its_kill(tmp_path: Path) -> None:
    """Topics are as their files say, an event comes back whole, and kill -9 of the broker loses nothing."""
    broker = EmbeddedKafka(tmp_path / "kafka").start()
    try:
        settings = Settings(kafka=broker.bootstrap)
        await ensure_topics(Settings(kafka=broker.bootstrap, partitions=12))
        await ensure_topics(Settings(kafka=broker.bootstrap, partitions=12))
        producer = await make_producer(settings, "test")
        await publish(producer, "model-events", EVENT, source="trainer", key="m")
        await producer.stop()

        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        described = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()}
        for name, topic in load_topics().items():
            assert described[name] == (12 if topic.partitioned else 1)
            assert f"{name}.dlq" in described
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "panes")])
        config = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        assert config["cleanup.policy"] == "compact"
        assert config["message.timestamp.type"] == "LogAppendTime"
        await admin.close()

        broker.kill()
        broker.start()
        await wait_for_kafka(Settings(kafka=broker.bootstrap))
        consumer = make_consumer(settings, "model-events")
        await consumer.start()
        record = await consumer.getone()
        await consumer.stop()
        assert decode(ModelChanged, record.value, record.headers) == EVENT
        assert record.key == b"m"

        producer = await make_producer(settings, "test")
        await to_dlq(producer, "model-events", record, "because")
        await producer.stop()
        consumer = make_consumer(settings, "model-events.dlq")
        await consumer.start()
        parked = await consumer.getone()
        await consumer.stop()
        assert parked.value == record.value
        assert dict(parked.headers)["dlq_reason"] == b"because"
    finally:
        broker.stop()


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """One broker, with its topics, for the tests that leave it alone."""
    with EmbeddedKafka() as running:
        asyncio.run(ensure_topics(Settings(kafka=running.bootstrap, partitions=12)))
        yield running


@pytest.mark.kafka
async def test_headers_key_and_partition_go_along(broker: EmbeddedKafka) -> None:
    """A record has the CloudEvents headers, its key, the partition asked for, and the broker's own time."""
    settings = Settings(kafka=broker.bootstrap)
    producer = await make_producer(settings, "test")
    sent = await publish(
        producer, "ground-truth", LABELS, source="feedback", key="k", partition=7, ce_id="once"
    )
    await producer.stop()
    consumer = make_consumer(settings, "ground-truth")
    await consumer.start()
    record = await asyncio.wait_for(consumer.getone(), 20)
    await consumer.stop()
    assert (
        (record.partition, record.offset, record.key) == (7, sent.offset, b"k") == (sent.partition, 0, b"k")
    )
    headers = dict(record.headers)
    assert headers["ce_id"] == b"once"
    assert headers["ce_type"] == b"io.atalaia.ground-truth-received.v1"
    assert headers["content-type"] == b"application/json"
    assert decode(GroundTruthReceived, record.value, record.headers) == LABELS
    assert record.timestamp_type == 1  # LogAppendTime


@pytest.mark.kafka
async def test_a_record_too_large_for_the_dlq_is_named_there(broker: EmbeddedKafka) -> None:
    """A bad record of the largest size stops nobody: the dead letter says where it lies."""
    settings = Settings(kafka=broker.bootstrap)
    producer = await make_producer(settings, "test")
    largest = SimpleNamespace(key=None, value=b"x" * 1_048_500, headers={"a": b"b"}, partition=3, offset=9)
    await to_dlq(producer, "predictions", largest, "because " * 1000)
    await producer.stop()
    consumer = make_consumer(settings, "predictions.dlq")
    await consumer.start()
    parked = await asyncio.wait_for(consumer.getone(), 20)
    await consumer.stop()
    assert parked.value == b""
    assert dict(parked.headers)["dlq_origin"] == b"predictions/3/9"
    assert len(dict(parked.headers)["dlq_reason"]) == 500


@pytest.mark.kafka
async def test_a_consumer_can_be_stopped_at_any_moment(broker: EmbeddedKafka) -> None:
    """Right after its start, where aiokafka's own stop says that it was cancelled; a cancelled task stays cancelled."""
    consumer = make_consumer(Settings(kafka=broker.bootstrap))
    await consumer.start()
    await stop_consumer(consumer)

    async def cancelled() -> None:
        consumer = make_consumer(Settings(kafka=broker.bootstrap))
        await consumer.start()
        try:
            await asyncio.Event().wait()
        finally:
            await stop_consumer(consumer)

    task = asyncio.create_task(cancelled())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_another_partition_count_is_one_clear_line(broker: EmbeddedKafka) -> None:
    """The count decides which label meets its prediction, so another one is refused."""
    with pytest.raises(UserError, match=r"has 12 partitions, the settings say 6.*ATALAIA_PARTITIONS"):
        await ensure_topics(Settings(kafka=broker.bootstrap, partitions=6))


@pytest.mark.kafka
async def test_topics_may_be_ensured_at_once(broker: EmbeddedKafka) -> None:
    """Services that start together all find the topics."""
    await asyncio.gather(*(ensure_topics(Settings(kafka=broker.bootstrap, partitions=12)) for _ in range(4)))


@pytest.mark.kafka
def test_a_broker_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """It belongs to the process; a second on the same folder is one clear line; a restart keeps all."""
    broker = EmbeddedKafka(tmp_path / "kafka")
    starter = threading.Thread(target=broker.start)
    starter.start()
    starter.join()
    try:
        asyncio.run(wait_for_kafka(Settings(kafka=broker.bootstrap), 5))
        assert alive(broker.pid)
        with pytest.raises(UserError, match="Another Kafka broker uses the folder") as raised:
            EmbeddedKafka(tmp_path / "kafka").start()
        assert "\n" not in str(raised.value)
        asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap, partitions=3)))
        broker.stop()
        broker.start()
        asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap, partitions=3)))
    finally:
        broker.stop()


@pytest.mark.kafka
def test_the_broker_ends_when_its_parent_is_killed() -> None:
    """kill -9 of the program that started the broker leaves no broker and no temporary folder behind."""
    code = (
        "from servicekit.broker import EmbeddedKafka; import signal\n"
        "b = EmbeddedKafka().start(); print(b.pid, b.data_dir, flush=True); signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid, folder = parent.stdout.readline().decode().split()
    assert alive(int(pid))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_until(lambda: not alive(int(pid)))
    assert wait_until(lambda: not Path(folder).exists())


@pytest.mark.kafka
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_the_broker_ends_when_its_watchdog_is_killed(tmp_path: Path) -> None:
    """kill -9 of the process in between leaves no broker behind either."""
    broker = EmbeddedKafka(tmp_path / "kafka").start()
    pid = broker.pid
    os.kill(int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
    assert wait_until(lambda: not alive(pid))
    broker.stop()


def test_an_occupied_port_is_one_clear_line() -> None:
    """A port that something holds is named, with what to do."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(UserError, match=rf"Port {port} cannot be used for Kafka.*another port") as raised:
            EmbeddedKafka(port=port).start()
    assert "\n" not in str(raised.value)


async def test_a_broker_that_is_not_there_is_one_clear_line(caplog: pytest.LogCaptureFixture) -> None:
    """The address is named, and the setting that changes it, and the Kafka client logs nothing beside it."""
    bootstrap = f"127.0.0.1:{free_port()}"
    line = rf"^No Kafka broker answers at {bootstrap}.*ATALAIA_KAFKA=host:port\.$"
    with caplog.at_level(logging.DEBUG, "aiokafka"):
        with pytest.raises(UserError, match=line):
            await wait_for_kafka(Settings(kafka=bootstrap), timeout=0.5)
        with pytest.raises(UserError, match=line):
            await make_producer(Settings(kafka=bootstrap), "test")
        with pytest.raises(UserError, match=line):
            await ensure_topics(Settings(kafka=bootstrap, partitions=12))
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_something_else_on_the_port_is_one_clear_line() -> None:
    """A listener that is no broker and never answers is waited for no longer than was said."""
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    began = time.monotonic()
    with pytest.raises(UserError, match="No Kafka broker answers"):
        await wait_for_kafka(Settings(kafka=f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"), timeout=0.5)
    assert time.monotonic() - began < 5
    silent.close()


async def test_an_address_that_is_none_is_refused_at_once() -> None:
    """A port that is no number is the user's mistake, not a reason to wait."""
    with pytest.raises(UserError, match="ATALAIA_KAFKA=here:there cannot be used"):
        await wait_for_kafka(Settings(kafka="here:there"))


def test_no_port_is_given_twice() -> None:
    """A broker asks for two before it binds either: they are two, whatever the kernel gives."""
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)
