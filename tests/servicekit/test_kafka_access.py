"""A cluster with TLS, logins and permissions lets us in by the settings; what it has against us is said in one line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from contracts.events import AlertChanged
from contracts.flow import load_topics
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from secured_kafka import CERTIFIED, STRANGER, USER, Secured, grant, secured_kafka, until_seen
from servicekit.broker import free_port
from servicekit.config import Settings, read_settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, publish, wait_for_kafka
from servicekit.kafka_access import client_options, faust_credentials, permitted
from servicekit.topic_log import read_events
from servicekit.topics import ensure_topics
from told import alert

TOPIC = "drift-alerts"
WAYS = [
    ("SSL", ""),
    ("SASL_SSL", "SCRAM-SHA-512"),
    ("SASL_SSL", "SCRAM-SHA-256"),
    ("SASL_SSL", "PLAIN"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker that lets two users and one certificate do all that the services do with these topics."""
    with secured_kafka(tmp_path_factory.mktemp("secured")) as broker:
        names = [name for topic in load_topics().values() for name in (topic.name, topic.dlq)]
        for principal in (USER, CERTIFIED):
            asyncio.run(grant(broker, principal, read=names, write=names, create=names))
        asyncio.run(ensure_topics(Settings(kafka=broker.broker.bootstrap)))
        for protocol in ("SSL", "SASL_SSL"):
            asyncio.run(until_seen(Settings(**broker.given(protocol)), TOPIC))
        yield broker


@pytest.mark.kafka
@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
async def test_all_clients_are_let_in(secured: Secured, protocol: str, mechanism: str) -> None:
    """Topics are looked for, an event is written and read again, whatever the way in."""
    settings = Settings(**secured.given(protocol, mechanism))
    await wait_for_kafka(settings)
    await ensure_topics(settings)
    before = len(await read_events(settings, TOPIC, AlertChanged))
    producer = await make_producer(settings, "test")
    try:
        await publish(producer, TOPIC, alert("drift", 3), source="drift-monitor", key="m")
    finally:
        await producer.stop()
    assert len(await read_events(settings, TOPIC, AlertChanged)) == before + 1


@pytest.mark.kafka
@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
def test_faust_is_given_the_same(secured: Secured, protocol: str, mechanism: str) -> None:
    """What Faust makes of its credentials is what our own clients get, the same context and not one that is alike."""
    settings = Settings(**secured.given(protocol, mechanism))
    own = client_options(settings)
    del own["bootstrap_servers"]
    faust = credentials_to_aiokafka_auth(faust_credentials(settings))
    assert {name: value for name, value in faust.items() if value} == own
    assert ("ssl_context" in own) == protocol.endswith("SSL")


def test_without_a_word_nothing_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is a broker on this machine, as Kafka comes; an empty variable says nothing."""
    monkeypatch.setenv("ATALAIA_KAFKA_CA_FILE", "")
    assert client_options(Settings()) == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "PLAINTEXT",
    }
    assert faust_credentials(Settings()) is None


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("way", "to", "other", "words"),
    [
        ("SASL_SSL", "", {"kafka_password_file": "wrong"}, "does not let atalaia in (SCRAM-SHA-512). Is ATALAIA_KAFKA_USERNAME"),
        ("SASL_SSL", "", {"kafka_username": "nobody"}, "does not let nobody in"),
        ("SASL_SSL", "", {"kafka_sasl_mechanism": "PLAIN", "kafka_username": "nobody"}, "does not let nobody in (PLAIN)"),
        ("SASL_PLAINTEXT", "", {"kafka_sasl_mechanism": "PLAIN"}, "knows no PLAIN. Set ATALAIA_KAFKA_SASL_MECHANISM"),
        ("SASL_SSL", "", {"kafka": "localhost"}, "cannot vouch for: Hostname mismatch, certificate is not valid for 'localhost'"),
        ("SASL_SSL", "", {"kafka_ca_file": "other.pem"}, "other.pem cannot vouch for: unable to get local issuer"),
        ("SASL_SSL", "", {"kafka_ca_file": None}, "a certificate that the system's authorities cannot vouch for"),
        ("SSL", "", {"kafka_certificate_file": None, "kafka_key_file": None}, "Does it ask for an ATALAIA_KAFKA_CERTIFICATE_FILE?"),
        ("SSL", "", {"kafka_certificate_file": "client.crt", "kafka_key_file": "client.key"}, "Does it take our ATALAIA_KAFKA_CERT"),
        ("SSL", "SASL_SSL", {}, "ends the connection. Is it a Kafka broker, and ATALAIA_KAFKA_SECURITY_PROTOCOL=SSL right?"),
        ("SSL", "PLAINTEXT", {}, "ATALAIA_KAFKA_SECURITY_PROTOCOL=SSL right?"),
        ("SASL_PLAINTEXT", "PLAINTEXT", {}, "asks for no login. Is ATALAIA_KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT right?"),
        ("PLAINTEXT", "SSL", {}, "ends the connection. Is it a Kafka broker, and ATALAIA_KAFKA_SECURITY_PROTOCOL=PLAINTEXT right?"),
        ("PLAINTEXT", "SASL_PLAINTEXT", {}, "ends the connection. Is it a Kafka broker, and ATALAIA_KAFKA_SECURITY_PROTOCOL=PLAINTEXT right?"),
    ],
)  # fmt: skip
async def test_what_a_broker_has_against_us_is_said(
    secured: Secured, tmp_path: Path, way: str, to: str, other: dict[str, Any], words: str
) -> None:
    """A wrong password, a certificate of another authority, another protocol: which broker, what, which setting."""
    (tmp_path / "wrong").write_text("Tr0ub4dor&3")
    other_authority = trustme.CA()
    client = other_authority.issue_cert("atalaia.test", common_name="atalaia")
    (tmp_path / "other.pem").write_bytes(other_authority.cert_pem.bytes())
    (tmp_path / "client.crt").write_bytes(client.cert_chain_pems[0].bytes())
    (tmp_path / "client.key").write_bytes(client.private_key_pem.bytes())
    given = {} if way == "PLAINTEXT" else secured.given(way)
    if to:
        given["kafka"] = f"127.0.0.1:{secured.broker.port if to == 'PLAINTEXT' else secured.ports[to]}"
    for name, value in other.items():
        given[name] = tmp_path / value if (tmp_path / str(value)).is_file() else value
    if given["kafka"] == "localhost":
        given["kafka"] = f"localhost:{secured.ports[way]}"
    settings = Settings(**given)
    with pytest.raises(UserError) as waited:
        await wait_for_kafka(settings, 0.1)
    assert str(waited.value).startswith(f"What listens at {settings.kafka} ")
    assert words in str(waited.value)
    with pytest.raises(UserError, match="No Kafka broker answers"):
        await make_producer(settings, "test")


@pytest.mark.kafka
async def test_what_is_not_permitted_is_said(secured: Secured) -> None:
    """A login that was granted nothing makes no topics, writes and reads none, and hears why."""
    settings = Settings(**secured.given("SASL_SSL", user=STRANGER))
    await wait_for_kafka(settings)
    words = r"Kafka does not permit this login what it needs \((Topic|Cluster)AuthorizationFailedError: .*docs/kafka.md"
    with pytest.raises(UserError, match=words), permitted():
        await ensure_topics(settings)
    with pytest.raises(UserError, match=words), permitted():
        await make_producer(settings, "test")
    with pytest.raises(UserError, match=words), permitted():
        await read_events(settings, TOPIC, AlertChanged)


@pytest.mark.kafka
def test_a_service_that_may_not_join_its_group_ends(secured: Secured, tmp_path: Path) -> None:
    """Faust would wait for its partitions for ever: the service says what is not permitted, and ends with 2."""
    env = {**os.environ, **secured.env("SASL_SSL"), "PYTHONPATH": os.pathsep.join(sys.path)}
    env |= {"ATALAIA_MLFLOW": "http://127.0.0.1:9", "ATALAIA_DATA_DIR": str(tmp_path)}

    def ended(module: str) -> subprocess.CompletedProcess[str]:
        port = {f"ATALAIA_{module.upper()}_PORT": str(free_port())}
        return subprocess.run(
            [sys.executable, "-m", module],
            env=env | port,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    with ThreadPoolExecutor() as running:
        for done in running.map(ended, ("drift_monitor", "feedback")):
            assert done.returncode == 2, done.stderr[-3000:]
            assert done.stderr.splitlines()[-1].startswith(
                "Kafka does not permit this login what it needs (GroupAuthorizationFailedError: "
            )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kafka_security_protocol": "TLS"}, "ATALAIA_KAFKA_SECURITY_PROTOCOL cannot be used"),
        ({"kafka_security_protocol": "SASL_SSL"}, "needs ATALAIA_KAFKA_USERNAME and ATALAIA_KAFKA_PASSWORD_FILE"),
        ({"kafka_username": "me"}, "=PLAINTEXT does not use ATALAIA_KAFKA_USERNAME, but it is given"),
        ({"kafka_sasl_mechanism": "PLAIN"}, "=PLAINTEXT does not use ATALAIA_KAFKA_SASL_MECHANISM"),
        ({"kafka_ca_file": "ca.pem"}, "=PLAINTEXT does not use ATALAIA_KAFKA_CA_FILE"),
        ({"kafka_security_protocol": "SSL", "kafka_key_file": "k"}, "KEY_FILE needs ATALAIA_KAFKA_CERTIFICATE_FILE"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], words: str) -> None:
    """What would leave a password or a certificate unused, as if it protected, is no setting."""
    with pytest.raises(UserError, match=words):
        read_settings(**given)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("kafka_ca_file", None, "ATALAIA_KAFKA_CA_FILE=.*/given cannot be read: No such file or directory"),
        ("kafka_ca_file", "no certificate", "ATALAIA_KAFKA_CA_FILE=.*/given has no certificates in PEM"),
        ("kafka_certificate_file", None, "ATALAIA_KAFKA_CERTIFICATE_FILE=.*/given cannot be read"),
        ("kafka_certificate_file", "no certificate", "ATALAIA_KAFKA_CERTIFICATE_FILE=.*/given and its key cannot be used"),
        ("kafka_password_file", None, "ATALAIA_KAFKA_PASSWORD_FILE=.*/given cannot be read"),
    ],
)  # fmt: skip
async def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    """Before any broker is asked."""
    if text is not None:
        (tmp_path / "given").write_text(text)
    protocol = "SASL_SSL" if name == "kafka_password_file" else "SSL"
    login = {"kafka_username": "me"} if protocol == "SASL_SSL" else {}
    settings = Settings(kafka_security_protocol=protocol, **login, **{name: tmp_path / "given"})
    with pytest.raises(UserError, match=words):
        await wait_for_kafka(settings, 0.1)
