"""The consumer in Node reads drift-alerts with an ordinary client and the published contract, on a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata
from contracts.codec import decode, encode
from contracts.events import AlertChanged
from contracts.flow import load_topics
from contracts.generate import example
from monitor_on_kafka import PARTITIONS, WINDOW, World, read_all
from monitor_on_kafka import send as send_batch
from monitor_on_kafka import start as start_monitor
from secured_kafka import CERTIFIED, STRANGER, USER, Secured, grant, secured_kafka, until_seen
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topics import ensure_topics
from told import alert, feature

TOPIC = "drift-alerts"
SCRIPT = Path(__file__).parents[2] / "consumers" / "node" / "drift-alerts.mjs"
PATIENCE_SECONDS = 120.0
NODE = (20, 19, 4)

EXAMPLE = decode(AlertChanged, json.dumps(example(load_topics()[TOPIC])).encode())
VIRTUAL = alert(
    "drift", 3,
    features={
        "temp": feature(0.5, drifted=True),
        "origin": msgspec.structs.replace(feature(0.25, drifted=True, categorical=True), p_adjusted=0.0),
        "wind": msgspec.structs.replace(feature(0.125, drifted=True), by="missing", p_adjusted=0.001),
        "dew": feature(0.01, drifted=False),
    },
)  # fmt: skip
RECOVERED = alert("recovered", 6)
REAL = alert("drift", 8, (), kind="real", reason="ok -> drift: the error rose\nfrom 0.1 to 0.2")
QUALITY = alert("drift", 9, (), kind="quality", alert_id="0123456789", reason="ok -> drift: accuracy 0.7")
LINES = [
    "2013-02-08 12:00Z  DRIFT (was ok)  flights 1  virtual since 2013-02-01 12:00Z: temp (p 3e-9, D 0.410) [alert a1]",
    "1970-01-01 03:00Z  DRIFT (was ok)  m 1  virtual since 1970-01-01 02:00Z: origin (p <1e-300, V 0.250), "
    "temp (p 1e-19, D 0.500), wind (p 0.001, missing 0.125) [alert a]",
    "1970-01-01 06:00Z  RECOVERED (was drift)  m 1  virtual since 1970-01-01 02:00Z: no feature drifted [alert a]",
    "1970-01-01 08:00Z  DRIFT (was ok)  m 1  real since 1970-01-01 02:00Z: the error rose from 0.1 to 0.2 [alert a]",
    "1970-01-01 09:00Z  DRIFT (was ok)  m 1  quality since 1970-01-01 02:00Z: accuracy 0.7 [alert 01234567]",
]

WAYS = [
    ("SSL", ""),
    ("SASL_SSL", "SCRAM-SHA-512"),
    ("SASL_SSL", "PLAIN"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
]


def what_is_missing() -> str | None:
    """What the consumer lacks to run on this machine, and what to do; None where it has all."""
    node = shutil.which("node")
    if node is None:
        return "the consumer in Node needs Node 20.19.4 or newer with npm: install it, then `make consumers`"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(map(int, said.removeprefix("v").split(".")[:3])) < NODE:
        return f"the consumer in Node needs Node 20.19.4 or newer, and this one is {said}"
    if not (SCRIPT.parent / "node_modules" / ".package-lock.json").exists():
        return "the consumer's packages are not installed: `make consumers`"
    return None


def require_node() -> None:
    """Skip the test where the consumer cannot run; in CI that is a failure."""
    reason = what_is_missing()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


class Node:
    """The consumer as a process; what it says goes to files, so that it never waits for us."""

    def __init__(self, folder: Path, kafka: str, *options: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ATALAIA_", "NODE_"))}
        self.folder.mkdir(exist_ok=True)
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                ["node", str(SCRIPT), *options],
                env=environment | {"ATALAIA_KAFKA": kafka} | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def printed(self) -> list[str]:
        """Its lines so far."""
        return (self.folder / "out").read_text(encoding="utf-8").splitlines()

    @property
    def told(self) -> list[str]:
        """What it said on stderr so far."""
        return (self.folder / "err").read_text(encoding="utf-8").splitlines()

    async def until(self, condition: Callable[[Node], bool]) -> None:
        """Return when the condition holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(self):
            assert self.process.poll() is None, self.told
            assert time.monotonic() < deadline, (self.printed, self.told)
            await asyncio.sleep(0.05)

    async def until_told(self, words: str, times: int = 1) -> None:
        """Return when so many lines of stderr have these words."""
        await self.until(lambda node: sum(words in line for line in node.told) >= times)

    async def ended(self, how: signal.Signals | None = None) -> int:
        """Its exit status, after a signal or by itself."""
        if how is not None:
            self.process.send_signal(how)
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)


Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(kafka, *options)``: the consumer, which ends with the test."""
    require_node()
    started: list[Node] = []

    def begin(kafka: str, *options: str, env: dict[str, str] | None = None) -> Node:
        started.append(Node(tmp_path / f"node{len(started)}", kafka, *options, env=env))
        return started[-1]

    yield begin
    for node in started:
        node.process.kill()
        node.process.wait()


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """One broker for the module, where its tests will run."""
    require_node()
    with EmbeddedKafka() as kafka:
        yield kafka


async def without_topic(bootstrap: str) -> None:
    """drift-alerts is gone, and with it what groups have committed."""
    await ensure_topics(Settings(kafka=bootstrap, partitions=PARTITIONS))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        await admin.delete_topics([TOPIC])
        while TOPIC in await admin.list_topics():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def fresh_topic(bootstrap: str) -> None:
    """drift-alerts with nothing in it."""
    await without_topic(bootstrap)
    await ensure_topics(Settings(kafka=bootstrap, partitions=PARTITIONS))


async def send(bootstrap: str, *records: AlertChanged | bytes | tuple[bytes | None, Any]) -> None:
    """Alerts as the monitor publishes them; bytes as they are; a value with headers of its own."""
    producer: AIOKafkaProducer = await make_producer(Settings(kafka=bootstrap), "test")
    try:
        for record in records:
            if isinstance(record, AlertChanged):
                await publish(producer, TOPIC, record, source="drift-monitor", key=record.model)
            else:
                value, headers = record if isinstance(record, tuple) else (record, [])
                await producer.send_and_wait(TOPIC, value, key=b"m", headers=headers)
    finally:
        await producer.stop()


async def until_committed(bootstrap: str, group: str, offset: int) -> None:
    """Return when the group has committed the offset: what is printed and not yet committed would be printed again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while (at := await admin.list_consumer_group_offsets(group)) != {
            TopicPartition(TOPIC, 0): OffsetAndMetadata(offset, "")
        }:
            assert time.monotonic() < deadline, at
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


@pytest.mark.parametrize("lack", ["node", "packages"])
def test_what_is_missing_is_said_and_fails_in_ci(
    lack: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without Node or its packages the tests are skipped with what to do, and with CI=true they fail with it."""
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v20.19.4\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path if lack == "packages" else tmp_path / "nothing"))
    monkeypatch.setitem(globals(), "SCRIPT", tmp_path / SCRIPT.name)
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="`make consumers`"):
        require_node()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="`make consumers`"):
        require_node()


@pytest.mark.kafka
async def test_alerts_are_printed_and_what_does_not_validate_is_reported(
    broker: EmbeddedKafka, start: Start
) -> None:
    """A line an alert, whatever its kind; a bad record is one line with its place and fault, and stops nothing."""
    kafka = broker.bootstrap
    await fresh_topic(kafka)
    value, headers = encode(EXAMPLE, source="drift-monitor")
    content = json.loads(value)
    wrong_state = json.dumps(content | {"state": "fine"}).encode()
    newer = json.dumps(content | {"severity": {"level": 3}}).encode(), [*headers, ("ce_dataschema", b"x")]
    another = value, [(n, b"io.atalaia.alert-changed.v2" if n == "ce_type" else v) for n, v in headers]
    deep = json.loads(value)
    deep["features"]["temp"]["p_adjusted"] = None
    await send(
        kafka, EXAMPLE, wrong_state, VIRTUAL, b"{not json", b"\xff", RECOVERED, (None, headers), newer, another, value,
        json.dumps(deep).encode(), REAL, QUALITY,
    )  # fmt: skip
    node = start(kafka, "--once", "--from-beginning")
    assert await node.ended() == 0
    assert node.printed == [*LINES[:3], LINES[0], LINES[0], *LINES[3:]]
    faults = [line for line in node.told if line.startswith("unreadable: ")]
    begins = [f"unreadable: {TOPIC} partition 0 offset {offset}: " for offset in (1, 3, 4, 6, 8, 10)]
    assert [line.startswith(begin) for line, begin in zip(faults, begins, strict=True)] == [True] * 6
    assert faults[0].endswith(
        "state must be equal to one of the allowed values: drift, ok, recovered, warning"
    )
    assert "the value is not JSON: " in faults[1]
    assert "the value is not JSON: " in faults[2]
    assert faults[3].endswith("the record has no value")
    assert faults[4].endswith("ce_type is io.atalaia.alert-changed.v2, expected io.atalaia.alert-changed.v1")
    assert faults[5].endswith("features.temp.p_adjusted must be number")
    assert node.told[-1] == "7 printed, 6 unreadable"


@pytest.mark.kafka
async def test_json_lines_are_cloud_events_and_lose_nothing(broker: EmbeddedKafka, start: Start) -> None:
    """With --json each line is a CloudEvent in structured mode, whose data is the event that was published."""
    kafka = broker.bootstrap
    await fresh_topic(kafka)
    await send(kafka, EXAMPLE, VIRTUAL, REAL)
    node = start(kafka, "--once", "--from-beginning", "--json")
    assert await node.ended() == 0
    lines = [json.loads(line) for line in node.printed]
    assert [msgspec.convert(line["data"], AlertChanged) for line in lines] == [EXAMPLE, VIRTUAL, REAL]
    for line in lines:
        assert (line["specversion"], line["type"]) == ("1.0", "io.atalaia.alert-changed.v1")
        assert (line["source"], line["datacontenttype"]) == ("/atalaia/drift-monitor", "application/json")
        assert {"id", "time"} <= line.keys()


@pytest.mark.kafka
async def test_an_alert_of_the_real_monitor_comes_through(
    broker: EmbeddedKafka, start: Start, tmp_path: Path
) -> None:
    """Rows change, the drift-monitor says so, and the line is there: what drifted, with the p-value and effect it has."""
    await fresh_topic(broker.bootstrap)
    node = start(broker.bootstrap, "--from-beginning")
    world = World(1)
    producer, worker = await start_monitor(broker, world, "watched", tmp_path)
    try:
        for window in range(4):
            for _ in range(30):
                await send_batch(producer, world.batch("watched", window, 4, shift=float(window >= 2)))
        await node.until(lambda node: bool(node.printed))
        (raised,) = await read_all(broker, TOPIC, AlertChanged, "watched")
    finally:
        await worker.end(signal.SIGTERM)
        await producer.stop()
    assert await node.ended(signal.SIGTERM) == 0
    assert (raised.state, raised.since, "x" in raised.features) == ("drift", 2 * WINDOW, True)
    (line,) = node.printed
    assert line.startswith(
        "1970-01-01 00:00:03Z  DRIFT (was ok)  watched 1  virtual since 1970-01-01 00:00:02Z: "
    )
    assert line.endswith(f" [alert {raised.alert_id[:8]}]")
    for name, found in raised.features.items():
        effect = f"{'D' if found.effect_name == 'D' else 'V'} {found.effect:.3f}"
        assert f"{name} (p {found.p_adjusted:.2g}, {effect})" in line


@pytest.mark.kafka
async def test_a_group_goes_on_where_it_stopped(broker: EmbeddedKafka, start: Start) -> None:
    """What was committed is not printed again, what came between is, and a second member takes over from the first."""
    kafka = broker.bootstrap
    await fresh_topic(kafka)
    await send(kafka, EXAMPLE, b"{}")
    first = start(kafka, "--group", "on-call")
    await first.until_told("partition 0 from offset 2")  # by default the next alert, and from then on all
    assert await first.ended(signal.SIGINT) == 0
    assert (first.printed, first.told[-1]) == ([], "0 printed, 0 unreadable")
    await send(kafka, VIRTUAL)
    second = start(kafka, "--group", "on-call")
    await until_committed(kafka, "on-call", 3)
    third = start(kafka, "--group", "on-call")
    await third.until_told("reading drift-alerts")  # which of the two has the partition now is Kafka's to say
    await send(kafka, RECOVERED)
    await third.until(lambda node: LINES[2] in [*node.printed, *second.printed])
    assert await second.ended(signal.SIGTERM) == 0
    await send(kafka, REAL)
    await third.until(lambda node: node.printed[-1:] == [LINES[3]])
    assert await third.ended(signal.SIGTERM) == 0
    # both may print what comes while the group is balanced anew: at least once, not exactly once
    assert {*second.printed, *third.printed} == {*LINES[1:4]}
    assert LINES[1] not in third.printed


@pytest.mark.kafka
async def test_an_offset_that_is_gone_is_said(broker: EmbeddedKafka, start: Start) -> None:
    """A group whose next record was deleted reads from the first one that is left, and says so."""
    kafka = broker.bootstrap
    await fresh_topic(kafka)
    await send(kafka, EXAMPLE)
    before = start(kafka, "--group", "late", "--from-beginning", "--once")
    assert await before.ended() == 0
    await send(kafka, VIRTUAL, RECOVERED)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(TOPIC, 0): RecordsToDelete(2)})
    finally:
        await admin.close()
    after = start(kafka, "--group", "late", "--once")
    assert await after.ended() == 0
    assert after.printed == [LINES[2]]
    assert "drift-alerts no longer has the offset of group late; reading from its first record." in after.told


@pytest.mark.kafka
async def test_a_broker_that_is_away_is_waited_for(broker: EmbeddedKafka, start: Start) -> None:
    """No topic, no broker, killed and back: each is one line, a committed alert is not printed again, and a signal ends all waiting."""
    kafka = broker.bootstrap
    away = f"No Kafka broker answers at {kafka}; waiting for one."
    await without_topic(kafka)
    reading = start(kafka, "--group", "reading")
    await reading.until_told(
        f"There is no topic {TOPIC} at {kafka}. Atalaia's services make it; waiting for it."
    )
    await ensure_topics(Settings(kafka=kafka, partitions=PARTITIONS))
    await send(kafka, EXAMPLE, VIRTUAL)
    await until_committed(kafka, "reading", 2)
    broker.kill()
    early, idle = start(kafka), start(kafka)
    for node in (reading, early, idle):
        await node.until_told(away)
    assert await idle.ended(signal.SIGTERM) == 0
    broker.start()
    await early.until_told("partition 0 from offset 2")
    await send(kafka, RECOVERED)
    for node, lines in ((reading, LINES[:3]), (early, LINES[2:3])):
        await node.until(lambda node, lines=lines: len(node.printed) >= len(lines))
        assert await node.ended(signal.SIGTERM) == 0
        assert (node.printed, node.told[-1]) == (lines, f"{len(lines)} printed, 0 unreadable")
        assert node.told.count(away) == 1


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker that lets a user and a certificate read the one alert there is, a group for each way in."""
    require_node()
    with secured_kafka(tmp_path_factory.mktemp("secured")) as broker:
        kafka = broker.broker.bootstrap
        asyncio.run(fresh_topic(kafka))
        asyncio.run(send(kafka, VIRTUAL))
        for principal, protocol in ((USER, "SASL_SSL"), (CERTIFIED, "SSL")):
            asyncio.run(grant(broker, principal, read=[TOPIC], groups=["-".join(way) for way in WAYS]))
            asyncio.run(until_seen(Settings(**broker.given(protocol)), TOPIC))
        yield broker


@pytest.mark.kafka
@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
async def test_it_is_let_in_by_the_services_settings(
    secured: Secured, start: Start, protocol: str, mechanism: str
) -> None:
    """TLS, a login or a certificate, by the variables that the services have."""
    env = secured.env(protocol, mechanism)
    group = f"{protocol}-{mechanism}"
    node = start(env.pop("ATALAIA_KAFKA"), "--group", group, "--from-beginning", "--once", env=env)
    assert await node.ended() == 0, node.told
    assert node.printed == LINES[1:2]


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"PASSWORD_FILE": "wrong"}, "do not trust each other: SASL authentication failed; trying again."),
        ({"CA_FILE": "other.pem"}, "do not trust each other: unable to verify the first certificate; trying again."),
        ({"USERNAME": STRANGER}, "Kafka: Group authorization failed; trying again."),
    ],
)  # fmt: skip
async def test_what_a_broker_has_against_it_is_said(
    secured: Secured, start: Start, tmp_path: Path, other: dict[str, str], words: str
) -> None:
    """And tried again, for a password may come."""
    (tmp_path / "wrong").write_text("Tr0ub4dor&3")
    (tmp_path / "other.pem").write_bytes(trustme.CA().cert_pem.bytes())
    env = secured.env("SASL_SSL")
    for name, value in other.items():
        env[f"ATALAIA_KAFKA_{name}"] = value if name == "USERNAME" else str(tmp_path / value)
    node = start(env.pop("ATALAIA_KAFKA"), "--group", "on-call", env=env)
    await node.until_told(words)
    assert await node.ended(signal.SIGTERM) == 0


def test_what_cannot_be_used_is_refused(start: Start, tmp_path: Path) -> None:
    """An address, an option or a contract that is none is refused with status 2 and what is wrong."""
    for options, words in (
        (("--kafka", "nowhere"), "nowhere is not HOST:PORT."),
        (("--bogus",), "Unknown option '--bogus'"),
        (("--contracts", str(tmp_path)), f"There is no asyncapi.yaml in {tmp_path}"),
    ):
        node = start("127.0.0.1:1", *options)
        assert node.process.wait(PATIENCE_SECONDS) == 2
        assert words in node.told[0]
    for env, words in (
        ({"SECURITY_PROTOCOL": "TLS"}, "ATALAIA_KAFKA_SECURITY_PROTOCOL=TLS is none of PLAINTEXT, SSL,"),
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "needs ATALAIA_KAFKA_USERNAME and ATALAIA_KAFKA_PASSWORD_FILE."),
        ({"SECURITY_PROTOCOL": "SSL", "CA_FILE": "/nowhere"}, "ATALAIA_KAFKA_CA_FILE cannot be read: ENOENT"),
        (
            {"SECURITY_PROTOCOL": "SSL", "CA_FILE": __file__},
            "ATALAIA_KAFKA_CA_FILE has no certificates in PEM",
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "CERTIFICATE_FILE": __file__},
            "CERTIFICATE_FILE and its key cannot be used",
        ),
        ({"SECURITY_PROTOCOL": "SSL", "KEY_FILE": __file__}, "KEY_FILE needs ATALAIA_KAFKA_CERTIFICATE_FILE"),
        ({"USERNAME": "me"}, "=PLAINTEXT does not use ATALAIA_KAFKA_USERNAME, but it is given."),
    ):
        node = start("127.0.0.1:1", env={f"ATALAIA_KAFKA_{name}": value for name, value in env.items()})
        assert node.process.wait(PATIENCE_SECONDS) == 2
        assert words in node.told[0]
