"""How a Kafka cluster is reached and lets us in: TLS, and a name with a password or a certificate.

The settings are those of Kafka's own clients (https://kafka.apache.org/documentation/#security), certificates and keys in PEM.
Files are read once in a process, so what is renewed counts from the next start of a service.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import errors
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.protocol.metadata import MetadataRequest

from servicekit.client_log import hushed
from servicekit.config import Settings
from servicekit.errors import UserError

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT  # Faust takes long to come, and most have no need of it

_PATIENCE_MS = 2_000
_DENIALS = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)


def client_options(settings: Settings) -> dict[str, Any]:
    """What every client of aiokafka is given; raises :class:`UserError` for a file that cannot be used."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_is_encrypted:
        options["ssl_context"] = _context(
            settings.kafka_ca_file, settings.kafka_certificate_file, settings.kafka_key_file
        )
    if settings.kafka_password_file:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": _password(settings.kafka_password_file),
        }
    return options


def faust_credentials(settings: Settings) -> CredentialsT | None:
    """The same for Faust; ``None`` where the cluster asks for nothing."""
    from faust.auth import SASLCredentials, SSLCredentials

    options = client_options(settings)
    context = options.get("ssl_context")
    if settings.kafka_has_login:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None


def no_broker(settings: Settings) -> UserError:
    """What to say when nothing answers."""
    return UserError(
        f"No Kafka broker answers at {settings.kafka}. Start one there, or set ATALAIA_KAFKA=host:port."
    )


def hosts(settings: Settings) -> list[tuple[str, int]]:
    """The bootstrap servers; raises :class:`UserError` for what is no address."""
    try:
        return [(host, port) for host, port, _ in collect_hosts(settings.kafka)]
    except ValueError as error:
        raise UserError(
            f"ATALAIA_KAFKA={settings.kafka} cannot be used: {error}. Write it as host:port."
        ) from None


async def why_not(settings: Settings) -> UserError:
    """What to say when no broker of ``settings.kafka`` is of use: what the last of them that answers at all has against us."""
    found = no_broker(settings)
    options = client_options(settings)
    del options["bootstrap_servers"]
    for host, port in hosts(settings):
        try:
            with hushed():
                connection = await create_conn(host, port, request_timeout_ms=_PATIENCE_MS, **options)
                try:
                    # a broker that asks for a login tells its versions without one, and nothing else
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
        except (OSError, errors.KafkaError, ValueError) as error:
            if said := _reason(settings, error):
                found = UserError(f"What listens at {host}:{port} {said}")
    return found


def not_permitted(error: BaseException) -> UserError | None:
    """What to say where Kafka lets us in and does not let us do what we must; ``None`` for another error."""
    if not isinstance(error, _DENIALS):
        return None
    return UserError(
        f"Kafka does not permit this login what it needs ({type(error).__name__}: {error}). "
        "docs/kafka.md says what each service reads and writes."
    )


def unless_hidden(settings: Settings) -> str:
    """What to add where a topic is not there: Kafka shows none that a login may not see."""
    return "" if settings.kafka_security_protocol == "PLAINTEXT" else ", or this login may not see topics"


@contextmanager
def permitted() -> Iterator[None]:
    """Within, what Kafka does not permit is a :class:`UserError`."""
    try:
        yield
    except errors.KafkaError as error:
        if said := not_permitted(error):
            raise said from None
        raise


def _reason(settings: Settings, error: Exception) -> str:
    """What a broker has against us, and what to do; empty where it just is not there."""
    protocol = f"ATALAIA_KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol}"
    certificate = ""
    if settings.kafka_is_encrypted:
        does = "take our" if settings.kafka_certificate_file else "ask for an"
        certificate = f" Does it {does} ATALAIA_KAFKA_CERTIFICATE_FILE?"
    match error:
        case ssl.SSLCertVerificationError():
            own = settings.kafka_ca_file
            authority = f"ATALAIA_KAFKA_CA_FILE={own}" if own else "the system's authorities"
            return f"has a certificate that {authority} cannot vouch for: {error.verify_message.rstrip('.')}."
        case ssl.SSLError():
            return f"cannot agree with us on TLS ({error.reason}). Is {protocol} right?{certificate}"
        case errors.UnsupportedSaslMechanismError():
            return f"knows no {settings.kafka_sasl_mechanism}. Set ATALAIA_KAFKA_SASL_MECHANISM to one of its mechanisms."
        case (
            errors.SaslAuthenticationFailed()
            | errors.AuthenticationFailedError()
            | errors.AuthenticationMethodNotSupported()
        ):
            return (
                f"does not let {settings.kafka_username} in ({settings.kafka_sasl_mechanism}). "
                "Is ATALAIA_KAFKA_USERNAME right, and the password in the file of ATALAIA_KAFKA_PASSWORD_FILE?"
            )
        case errors.IllegalSaslStateError():
            return f"asks for no login. Is {protocol} right?"
        case errors.KafkaConnectionError() | ConnectionResetError():  # it took the connection and let it go
            return f"ends the connection. Is it a Kafka broker, and {protocol} right?{certificate}"
        case ValueError():
            return f"answers what cannot be understood: {error}"
    return ""


@cache
def _context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    named = {
        "ATALAIA_KAFKA_CA_FILE": ca,
        "ATALAIA_KAFKA_CERTIFICATE_FILE": certificate,
        "ATALAIA_KAFKA_KEY_FILE": key,
    }
    for name, path in named.items():
        if path:
            _read(name, path)
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise UserError(f"ATALAIA_KAFKA_CA_FILE={ca} has no certificates in PEM: {error}") from None
    if certificate:
        try:
            context.load_cert_chain(certificate, key, password="")
        except ssl.SSLError as error:
            raise UserError(
                f"ATALAIA_KAFKA_CERTIFICATE_FILE={certificate} and its key cannot be used: {error}. "
                "They are PEM, the key without a password, and belong together."
            ) from None
    return context


@cache
def _password(path: Path) -> str:
    return _read("ATALAIA_KAFKA_PASSWORD_FILE", path).rstrip("\r\n")


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{name}={path} cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from None
