"""Kafka clients as all services use them, and one way to publish an event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RequestTimedOutError,
)
from aiokafka.structs import RecordMetadata
from contracts.codec import encode
from contracts.events import Event

from servicekit.client_log import hushed
from servicekit.config import Settings
from servicekit.kafka_access import client_options, hosts, no_broker, why_not

MAX_REQUEST_BYTES = 1_048_576
MAX_BATCH_BYTES = 524_288  # of records that wait for one partition; the broker takes a batch of 1 MiB
_MAX_REASON = 500
RETRY_SECONDS = 1.0
T = TypeVar("T")
log = logging.getLogger(__name__)


async def answers(settings: Settings, patience: float = 2.0) -> bool:
    """Whether a broker that takes part in a cluster answers, and lets us in; raises ``ValueError`` for what is no address."""
    client = AIOKafkaClient(**client_options(settings), request_timeout_ms=int(patience * 1000))
    try:
        with hushed():
            await asyncio.wait_for(client.bootstrap(), patience)
        # A broker that has not joined yet answers too, but names none, not even itself.
        return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError, ValueError):
        return False  # the last is of a login whose answer is not as it should be
    finally:
        await client.close()


async def wait_for_kafka(settings: Settings, timeout: float = 30.0) -> None:  # noqa: ASYNC109  it words the error
    """Return once a broker answers; raises :class:`UserError` with the reason when none has after ``timeout`` seconds."""
    hosts(settings)
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout
    while not await answers(settings, min(2.0, max(0.2, deadline - clock()))):
        if clock() >= deadline:
            raise await why_not(settings)
        await asyncio.sleep(min(0.2, max(0.0, deadline - clock())))


async def make_producer(
    settings: Settings, client_id: str, *, max_request_size: int = MAX_REQUEST_BYTES
) -> AIOKafkaProducer:
    """A started producer that is acknowledged by all replicas, idempotent and does not linger.

    ``max_request_size``: bytes of a request, and so of a record; a topic of larger ones has to take them too.
    Raises :class:`UserError` where no broker answers.
    """
    producer = AIOKafkaProducer(
        **client_options(settings),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=max_request_size,
        max_batch_size=MAX_BATCH_BYTES,
    )
    try:
        with hushed():
            await producer.start()
    except KafkaConnectionError:
        await producer.stop()
        raise no_broker(settings) from None
    except BaseException:
        await producer.stop()
        raise
    return producer


def make_consumer(
    settings: Settings, *topics: str, group_id: str | None = None, **kw: Any
) -> AIOKafkaConsumer:
    """A consumer that reads from the beginning where it has no committed offset; the caller starts it."""
    options: dict[str, Any] = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **kw}
    return AIOKafkaConsumer(*topics, group_id=group_id, **client_options(settings), **options)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer. aiokafka raises ``CancelledError`` where one without a group is stopped before it has run."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        if task is not None and task.cancelling() > before:  # it is we who are cancelled
            raise


async def publish(
    producer: AIOKafkaProducer,
    topic: str,
    event: Event,
    *,
    source: str,
    key: str | None = None,
    partition: int | None = None,
    ce_id: str | None = None,
) -> RecordMetadata:
    """Send one event and wait for the acknowledgement; the result names its partition and offset."""
    value, headers = encode(event, source=source, ce_id=ce_id)
    raw = key.encode() if key is not None else None
    sent: RecordMetadata = await producer.send_and_wait(
        topic, value, key=raw, partition=partition, headers=headers
    )
    return sent


def passes(error: KafkaError) -> bool:
    """Whether a broker that is away, or has just come, is what is wrong: the same will do later."""
    return bool(error.retriable) or isinstance(
        error, KafkaTimeoutError | RequestTimedOutError | KafkaConnectionError
    )


async def until_acknowledged(topic: str, send: Callable[[], Awaitable[Any]]) -> None:
    """Send until acknowledged. What is published so may come twice: it is cumulative or has a derived id."""
    await _until_done(f"{topic} could not be written, trying again", send)


async def until_read(topic: str, read: Callable[[], Awaitable[T]]) -> T:
    """What ``read`` returns, begun again until the broker lets it end."""
    return await _until_done(f"{topic} could not be read, beginning again", read)


async def _until_done(said: str, call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except KafkaError as error:
            if not passes(error):
                raise
            log.warning("%s: %s", said, error)
            await asyncio.sleep(RETRY_SECONDS)


def origin_of(topic: str, record: Any) -> str:
    """Where a record lies, as its dead letter's ``dlq_origin`` says: topic/partition/offset."""
    return f"{topic}/{getattr(record, 'partition', '?')}/{getattr(record, 'offset', '?')}"


async def to_dlq(producer: AIOKafkaProducer, topic: str, record: Any, reason: str) -> None:
    """Put a record that cannot be read on ``<topic>.dlq``, as it came, with reason and origin in headers.

    One that would be too large with these stays at its origin, and the DLQ gets the headers alone.
    The caller counts it.
    """
    given = getattr(record, "headers", None) or ()
    headers = [(str(name), value) for name, value in (given.items() if isinstance(given, Mapping) else given)]
    origin = origin_of(topic, record)
    headers += [("dlq_reason", reason[:_MAX_REASON].encode()), ("dlq_origin", origin.encode())]
    key, value = getattr(record, "key", None), getattr(record, "value", None)
    if key is None and value is None:
        value = b""  # aiokafka sends no record without both
    try:
        await producer.send_and_wait(f"{topic}.dlq", value, key=key, headers=headers)
    except MessageSizeTooLargeError:
        headers = [*headers[-2:], ("dlq_value", b"too large; see dlq_origin")]
        await producer.send_and_wait(f"{topic}.dlq", b"", headers=headers)
