"""The topics of ``contracts``, and their creation on a broker."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code
from contracts.flow import Topic, load_topics

from servicekit.errors import UserError
from servicekit.kafka import hushed, no_broker

__all__ = ["Topic", "ensure_topics", "load_topics"]


BROKERS_DEFAULT = -1  # replication is the cluster's to decide: its default.replication.factor


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


async def ensure_topics(bootstrap: str, partitions: int) -> None:
    """Create the topics that are missing; raises :class:`UserError` where one has another partition count.

    The count decides which prediction meets its label, so it never changes by itself.
    """
    wanted = wanted_topics(partitions)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
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
            name, count = described["topic"], len(described["partitions"])
            if count != stated[name]:
                raise UserError(
                    f"Topic {name} has {count} partitions, the settings say {stated[name]}. "
                    f"Set ATALAIA_PARTITIONS to what the topics were made with, or use another broker."
                )
    except (KafkaConnectionError, ValueError):
        raise no_broker(bootstrap) from None
    finally:
        await admin.close()
