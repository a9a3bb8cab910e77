"""How a Kafka cluster is reached and lets us in: TLS, and a name with a password or a certificate.

The settings are those of Kafka's own clients (https://kafka.apache.org/documentation/#security), certificates and keys in PEM.
They are read when a client is made, so what is renewed counts from the next start of a service.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import errors
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.protocol.metadata import MetadataRequest
from faust.types.auth import CredentialsT

from servicekit.config import Settings
from servicekit.errors import UserError

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
        options["ssl_context"] = _context(settings)
    if settings.kafka_has_login:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": _password(settings),
        }
    return options


def faust_credentials(settings: Settings) -> CredentialsT | None:
    """The same for Faust; ``None`` where the cluster asks for nothing."""
    from faust.auth import SASLCredentials, SSLCredentials

    context = _context(settings) if settings.kafka_is_encrypted else None
    if settings.kafka_has_login:
        return SASLCredentials(
            username=settings.kafka_username,
            password=_password(settings),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None


def no_broker(settings: Settings) -> UserError:
    """What to say when nothing answers."""
    return UserError(
        f"No Kafka broker answers at {settings.kafka}. Start one there, or set ATALAIA_KAFKA=host:port."
    )


async def why_not(settings: Settings) -> UserError:
    """What to say when no broker of ``settings.kafka`` is of use: what the last of them that answers at all has against us."""
    found = no_broker(settings)
    options = client_options(settings)
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
        try:
            connection = await create_conn(host, port, request_timeout_ms=_PATIENCE_MS, **options)
            try:
                # a broker that asks for a login tells its versions without one, and nothing else
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
        except (OSError, errors.KafkaError) as error:
            if said := _reason(settings, error):
                found = UserError(f"The Kafka broker at {host}:{port} {said}")
    return found


def not_permitted(error: BaseException) -> UserError | None:
    """What to say where Kafka lets us in and does not let us do what we must; ``None`` for another error."""
    if not isinstance(error, _DENIALS):
        return None
    return UserError(
        f"Kafka does not permit this login what it needs ({type(error).__name__}: {error}). "
        "docs/kafka.md says what each service reads and writes."
    )


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
    may_ask = settings.kafka_is_encrypted and not settings.kafka_certificate_file
    certificate = ", or does it ask for ATALAIA_KAFKA_CERTIFICATE_FILE" if may_ask else ""
    match error:
        case ssl.SSLCertVerificationError():
            by = (
                f"ATALAIA_KAFKA_CA_FILE={settings.kafka_ca_file}"
                if settings.kafka_ca_file
                else "the system's authorities"
            )
            return f"has a certificate that {by} cannot vouch for: {error.verify_message.rstrip('.')}."
        case ssl.SSLError():
            return f"cannot agree with us on TLS ({error.reason}). Is {protocol} right{certificate}?"
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
            return f"ends the connection. Is {protocol} right{certificate}?"
    return ""


def _context(settings: Settings) -> ssl.SSLContext:
    named = {
        "ATALAIA_KAFKA_CA_FILE": settings.kafka_ca_file,
        "ATALAIA_KAFKA_CERTIFICATE_FILE": settings.kafka_certificate_file,
        "ATALAIA_KAFKA_KEY_FILE": settings.kafka_key_file,
    }
    for name, path in named.items():
        if path:
            _readable(name, path)
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
    except ssl.SSLError as error:
        raise UserError(
            f"ATALAIA_KAFKA_CA_FILE={settings.kafka_ca_file} has no certificates in PEM: {error}"
        ) from None
    if settings.kafka_certificate_file:
        try:
            context.load_cert_chain(settings.kafka_certificate_file, settings.kafka_key_file, password="")
        except ssl.SSLError as error:
            raise UserError(
                f"ATALAIA_KAFKA_CERTIFICATE_FILE={settings.kafka_certificate_file} and its key cannot be used: {error}. "
                "They are PEM, the key without a password, and belong together."
            ) from None
    return context


def _password(settings: Settings) -> str:
    assert settings.kafka_password_file is not None  # settings are checked
    return _readable("ATALAIA_KAFKA_PASSWORD_FILE", settings.kafka_password_file).rstrip("\r\n")


def _readable(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{name}={path} cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from None
