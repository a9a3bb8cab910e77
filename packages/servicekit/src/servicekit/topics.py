"""The topics of ``contracts``, and their creation on a broker."""

from __future__ import annotations

import asyncio
import time

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)
from contracts.flow import Topic, load_topics

from servicekit.client_log import hushed
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import passes
from servicekit.kafka_access import client_options, hosts, why_not

__all__ = ["GROUPS", "Topic", "ensure_topics", "load_topics", "topics_of"]


GROUPS = ("drift-monitor", "feedback")  # of consumers: the services whose workers share partitions
BROKERS_DEFAULT = -1  # replication is the cluster's to decide: its default.replication.factor
_PATIENCE_SECONDS = 60.0
_RETRY_SECONDS = 0.5


def topics_of(service: str) -> list[str]:
    """The topics that a service consumes, by its name.

    >>> topics_of("predictor")
    ['model-events', 'challengers']
    """
    return [topic.name for topic in load_topics().values() if service in topic.consumers]


def wanted_topics(partitions: int) -> list[NewTopic]:
    """Each topic with the configuration of its YAML file, and a ``<topic>.dlq`` that keeps for ever."""
    wanted = []
    for topic in load_topics().values():
        # Retention must not see event time, or a replay of last year's rows would be deleted on arrival.
        config = {"message.timestamp.type": "LogAppendTime", **topic.config}
        count = partitions if topic.partitioned else 1
        wanted.append(NewTopic(topic.name, count, 1, topic_configs=config))
        wanted.append(NewTopic(topic.dlq, 1, 1, topic_configs={"retention.ms": "-1"}))
    for each in wanted:  # aiokafka's constructor does not know KIP-464's -1; the broker does
        each.replication_factor = BROKERS_DEFAULT
    return wanted


async def ensure_topics(settings: Settings) -> None:
    """Create the topics that are missing; raises :class:`UserError` where one has another partition count.

    The count decides which prediction meets its label, so it never changes by itself. A cluster of which a broker has
    just gone, or of which not enough are there yet to replicate a topic, is given a minute.
    """
    hosts(settings)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await _ensure(settings, wanted_topics(settings.partitions))
        except KafkaConnectionError:
            raise await why_not(settings) from None
        except KafkaError as error:
            few = isinstance(error, InvalidReplicationFactorError)
            if not few and not passes(error):
                raise
            if time.monotonic() > deadline:
                what = "are not enough to replicate the topics" if few else "do not let topics be made"
                raise UserError(f"The Kafka brokers at {settings.kafka} {what}: {error}") from None
        await asyncio.sleep(_RETRY_SECONDS)


async def _ensure(settings: Settings, wanted: list[NewTopic]) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        with hushed():
            await admin.start()
        existing = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        if missing:
            answer = await admin.create_topics(missing)
            for name, code, *rest in answer.topic_errors:
                error = for_code(code)
                # Two services may start at once: the other's topic is as good as ours.
                if code and error is not TopicAlreadyExistsError:
                    raise error(f"topic {name}: {rest[0] if rest else ''}")
        stated = {t.name: t.num_partitions for t in wanted if t.name in existing}
        for described in await admin.describe_topics(list(stated)) if stated else []:
            if described["error_code"]:  # this broker has not heard of it yet, or it has just been deleted
                raise for_code(described["error_code"])(f"topic {described['topic']}")
            name, count = described["topic"], len(described["partitions"])
            if count != stated[name]:
                raise UserError(
                    f"Topic {name} has {count} partitions, the settings say {stated[name]}. "
                    f"Set ATALAIA_PARTITIONS to what the topics were made with, or use another broker."
                )
    finally:
        await admin.close()
