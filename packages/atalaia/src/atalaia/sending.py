"""What a person decides, put on a topic that the services have made; which topics there are."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient
from contracts.events import Event
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import MAX_REQUEST_BYTES, make_producer, publish
from servicekit.kafka_access import client_options, unless_hidden


async def topics_of(settings: Settings) -> set[str]:
    """The topics there are. Asked first, because a consumer waits most of a minute for one that is not there."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def send(
    settings: Settings,
    topic: str,
    event: Event,
    *,
    key: str,
    ce_id: str,
    reader: str,
    max_bytes: int = MAX_REQUEST_BYTES,
) -> None:
    """Publish it; raises :class:`UserError` where ``reader``, the service that reads it, has not made the topic."""
    if topic not in await topics_of(settings):
        raise UserError(
            f"the broker at {settings.kafka} has no topic {topic}: its {reader} is older{unless_hidden(settings)}. "
            "Restart it first."
        )
    producer = await make_producer(settings, "atalaia", max_request_size=max_bytes)
    try:
        await publish(producer, topic, event, source="atalaia", key=key, ce_id=ce_id)
    finally:
        await producer.stop()
