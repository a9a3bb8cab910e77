"""A real broker that asks for TLS, a login or a certificate, and lets nobody do what was not granted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String
from cryptography.hazmat.primitives import serialization
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka_access import client_options
from servicekit.quorum import HOST, Quorum, new_cluster_id

PROTOCOLS = ("SSL", "SASL_SSL", "SASL_PLAINTEXT")
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
PASSWORD = "correct horse battery staple"
PATIENCE_SECONDS = 60.0
USER, STRANGER, CERTIFIED = "atalaia", "stranger", "CN=atalaia"

# https://kafka.apache.org/protocol.html#The_Messages_CreateAcls
_TOPIC, _GROUP = 2, 3
_READ, _WRITE, _CREATE = 3, 4, 5
_LITERAL, _ALLOW = 3, 3


@dataclass(frozen=True)
class SecuredQuorum(Quorum):
    """One node. Whoever comes by PLAINTEXT may do anything, as the node itself does; others what was granted to them."""

    ports: tuple[int, ...] = ()  # one a protocol
    folder: Path = Path()

    @property
    def format_options(self) -> list[str]:
        """Users with passwords by SCRAM are written when the data folder is made."""
        users = [
            f"{mechanism}=[name={name},password={PASSWORD}]"
            for mechanism in MECHANISMS[:2]
            for name in (USER, STRANGER)
        ]
        return [*super().format_options, *(word for user in users for word in ("--add-scram", f"{user}"))]

    def properties(self, node: int, port: int, folder: Path) -> str:
        """``server.properties``, with three listeners more."""
        more = "".join(
            f",{protocol}://{HOST}:{at}" for protocol, at in zip(PROTOCOLS, self.ports, strict=True)
        )
        login = "org.apache.kafka.common.security"
        lines = [
            f"{line}{more}" if line.startswith(("listeners=", "advertised.listeners=")) else line
            for line in super().properties(node, port, folder).splitlines()
        ]
        named = ("PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{each}:{each}" for each in PROTOCOLS))
        lines += [
            f"listener.security.protocol.map={','.join(named)}",
            "ssl.keystore.type=PEM", f"ssl.keystore.location={self.folder / 'server.pem'}",
            "ssl.truststore.type=PEM", f"ssl.truststore.location={self.folder / 'ca.pem'}",
            "listener.name.ssl.ssl.client.auth=required",
            "ssl.principal.mapping.rules=RULE:^.*(CN=[^,]*).*$/$1/",
            f"listener.name.sasl_ssl.sasl.enabled.mechanisms={','.join(MECHANISMS)}",
            f"listener.name.sasl_plaintext.sasl.enabled.mechanisms={','.join(MECHANISMS[:2])}",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
        ]  # fmt: skip
        for listener in ("sasl_ssl", "sasl_plaintext"):
            for mechanism in MECHANISMS[:2]:
                lines.append(
                    f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config="
                    f"{login}.scram.ScramLoginModule required;"
                )
            lines.append(
                f"listener.name.{listener}.plain.sasl.jaas.config="
                f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}" user_{STRANGER}="{PASSWORD}";'
            )
        return "\n".join([*lines, ""])


@dataclass(frozen=True)
class Secured:
    """The broker, and what one needs to be let in."""

    broker: EmbeddedKafka
    ports: dict[str, int]
    folder: Path

    def env(self, protocol: str, mechanism: str = MECHANISMS[0], user: str = USER) -> dict[str, str]:
        """The settings, as environment variables."""
        env = {"KAFKA": f"{HOST}:{self.ports[protocol]}", "KAFKA_SECURITY_PROTOCOL": protocol}
        if protocol.startswith("SASL"):
            env |= {
                "KAFKA_SASL_MECHANISM": mechanism,
                "KAFKA_USERNAME": user,
                "KAFKA_PASSWORD_FILE": str(self.folder / "password"),
            }
        if protocol.endswith("SSL"):
            env["KAFKA_CA_FILE"] = str(self.folder / "ca.pem")
        if protocol == "SSL":
            env |= {
                "KAFKA_CERTIFICATE_FILE": str(self.folder / "client.crt"),
                "KAFKA_KEY_FILE": str(self.folder / "client.key"),
            }
        return {f"ATALAIA_{name}": value for name, value in env.items()}

    def given(self, protocol: str, mechanism: str = MECHANISMS[0], user: str = USER) -> dict[str, Any]:
        """The settings, as arguments of ``Settings``."""
        env = self.env(protocol, mechanism, user)
        return {name.removeprefix("ATALAIA_").lower(): value for name, value in env.items()}


@contextmanager
def secured_kafka(folder: Path) -> Iterator[Secured]:
    """The broker, while it runs; certificates and the password lie in ``folder``."""
    authority = trustme.CA()
    server, client = authority.issue_cert(HOST), authority.issue_cert("atalaia.test", common_name="atalaia")
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "server.pem").write_bytes(_key(server) + server.cert_chain_pems[0].bytes())
    (folder / "client.key").write_bytes(_key(client))
    (folder / "client.crt").write_bytes(client.cert_chain_pems[0].bytes())
    (folder / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    ports = tuple(free_port() for _ in PROTOCOLS)
    quorum = SecuredQuorum(new_cluster_id(), (free_port(),), ports, folder)
    with EmbeddedKafka(quorum=quorum) as broker:
        yield Secured(broker, dict(zip(PROTOCOLS, ports, strict=True)), folder)


def _key(certificate: trustme.LeafCert) -> bytes:
    """Its key in PKCS 8, as Java wants it."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class _CreateAclsResponse(Response):
    API_KEY, API_VERSION = 30, 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))),
    )


class _CreateAclsStruct(RequestStruct):
    API_KEY, API_VERSION, RESPONSE_TYPE = 30, 1, _CreateAclsResponse
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8), ("resource_name", String("utf-8")), ("pattern_type", Int8),
                ("principal", String("utf-8")), ("host", String("utf-8")), ("operation", Int8), ("permission", Int8),
            ),
        ),
    )  # fmt: skip


class _CreateAcls(Request[_CreateAclsStruct]):
    API_KEY = 30

    def __init__(self, creations: list[tuple[Any, ...]]) -> None:
        self._creations = creations

    def build(self, request_struct_class: type[_CreateAclsStruct]) -> _CreateAclsStruct:
        return request_struct_class(self._creations)


async def grant(
    secured: Secured,
    principal: str,
    *,
    read: Iterable[str] = (),
    write: Iterable[str] = (),
    create: Iterable[str] = (),
    groups: Iterable[str] = (),
) -> None:
    """Let ``User:principal`` read, write and create topics of these names, and be in these groups."""
    wanted = [
        *((_TOPIC, name, _READ) for name in read),
        *((_TOPIC, name, _WRITE) for name in write),
        *((_TOPIC, name, _CREATE) for name in create),
        *((_GROUP, name, _READ) for name in groups),
    ]
    creations = [
        (kind, name, _LITERAL, f"User:{principal}", "*", operation, _ALLOW)
        for kind, name, operation in wanted
    ]
    admin = AIOKafkaAdminClient(bootstrap_servers=secured.broker.bootstrap)
    await admin.start()
    try:
        answer: Any = await admin._send_request(_CreateAcls(creations))
        assert {code for code, _ in answer.results} == {0}, answer
    finally:
        await admin.close()


async def until_seen(settings: Settings, topic: str) -> None:
    """Return when the topic is shown to a login: a broker learns of what was granted some seconds later."""

    async def seen(admin: AIOKafkaAdminClient) -> bool:
        return topic in await admin.list_topics()

    await _until(settings, seen, topic)


async def until_joined(settings: Settings, group: str) -> None:
    """Return when a login may be in a group: with it comes what was granted at once with it."""

    async def joined(admin: AIOKafkaAdminClient) -> bool:
        try:
            await admin.find_coordinator(group)
        except KafkaError:
            return False
        return True

    await _until(settings, joined, group)


async def _until(
    settings: Settings, granted: Callable[[AIOKafkaAdminClient], Awaitable[bool]], what: str
) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while not await granted(admin):
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
