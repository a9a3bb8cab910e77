"""The joiner's view of Kafka: end offsets, replays, and what is published."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed, ProducerFenced
from contracts.events import OutcomesJoined, QualityReported
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer, to_dlq
from servicekit.topic_log import read_whole

from feedback.domain.closing import Offsets
from feedback.joiner import Record
from feedback.produces.outcomes import publish_outcomes
from feedback.produces.quality_reports import publish_report

log = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_SECONDS = 1.0


async def until_done(call: Callable[[], Awaitable[T]]) -> T:
    """What ``call`` returns, once the broker is there; what is sent again bears the same ``ce_id``."""
    while True:
        try:
            return await call()
        except (KafkaError, OSError) as error:
            if isinstance(error, (ProducerFenced, ProducerClosed, MessageSizeTooLargeError)):
                raise
            log.warning("Kafka: %r; trying again", error)
            await asyncio.sleep(RETRY_SECONDS)


class KafkaLog:
    """Real Kafka behind ``joiner.Log``."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self._settings, self._producer = settings, producer
        self._asker: AIOKafkaConsumer = make_consumer(settings, client_id="feedback-ends")

    async def start(self) -> None:
        """Connect."""
        await self._asker.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._asker.stop()

    async def publish_outcomes(self, partition: int, events: Sequence[OutcomesJoined]) -> None:
        await until_done(lambda: publish_outcomes(self._producer, partition, events))

    async def publish_report(self, report: QualityReported) -> None:
        await until_done(lambda: publish_report(self._producer, report))

    async def unreadable(self, topic: str, record: Record, reason: str) -> None:
        await until_done(lambda: to_dlq(self._producer, topic, record, reason))

    async def ends(self, *topics: str) -> Offsets:
        """The end offset of each partition, as the broker says now."""

        async def ask() -> Any:
            return await self._asker.end_offsets(
                [at for topic in topics for at in await self._partitions(topic)]
            )

        found = await until_done(ask)
        return {(at.topic, at.partition): int(offset) for at, offset in found.items()}

    def replay(self, topic: str) -> AsyncIterator[Sequence[Any]]:
        """All records of a topic, from its beginning to the end it has now."""
        return read_whole(self._settings, topic)

    async def check(self, partitions: int) -> None:
        """Raise where the topics that are joined were made with another partition count."""
        for topic in ("predictions", "ground-truth", "outcomes"):
            found = len(await self._partitions(topic))
            if found != partitions:
                raise UserError(
                    f"Topic {topic} has {found} partitions, not {partitions}. Set ATALAIA_PARTITIONS={found}."
                )

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number) for number in sorted(await self._producer.partitions_for(topic))
        ]
