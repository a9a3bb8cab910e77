"""Reading: all topics from their beginning, one record after the other, into what the trainer knows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from servicekit.dead_letters import DeadLetters

from trainer.consumes import (
    approvals,
    challengers,
    concept_reports,
    drift_alerts,
    drift_reports,
    model_events,
    outcomes,
    promotion_reviews,
    quality_reports,
    references,
    shadow_predictions,
    training_requests,
    training_runs,
)
from trainer.domain.knowledge import Knowledge
from trainer.shown import show_actions

log = logging.getLogger("trainer")
RETRY_SECONDS = 0.5
T = TypeVar("T")
PASSED_OVER = {
    shadow_predictions.TOPIC
}  # months of rows, of which only those of a shadow period matter: see follow()
# where it stands what was done
ACTED = {approvals.TOPIC, model_events.TOPIC, promotion_reviews.TOPIC, training_runs.TOPIC}
Take = Callable[[bytes | None, Iterable[tuple[str, bytes]], Knowledge], None]
TAKES: dict[str, Take] = {
    module.TOPIC: module.take
    for module in (
        approvals,
        challengers,
        concept_reports,
        drift_alerts,
        drift_reports,
        quality_reports,
        outcomes,
        model_events,
        promotion_reviews,
        references,
        shadow_predictions,
        training_requests,
        training_runs,
    )
}


class Reader:
    """Takes in what is said; ``news`` and ``said`` are set when something was, each for one who waits."""

    def __init__(self, knowledge: Knowledge, consumer: AIOKafkaConsumer, dead_letters: DeadLetters) -> None:
        self.knowledge, self._consumer, self.dead_letters = knowledge, consumer, dead_letters
        self.news, self.said, self.caught_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._round = asyncio.Event()  # it has been round once more

    async def read(self) -> None:
        """Take in all topics from the beginning, for ever, but those passed over; a record that cannot be read goes to the DLQ."""
        partitions = sorted(self._consumer.assignment())  # without a group: all there are
        ends = await self._consumer.end_offsets(partitions)
        self._consumer.pause(*(p for p in partitions if p.topic in PASSED_OVER))
        while True:
            batches = await self._consumer.getmany(timeout_ms=200, max_records=500)
            for partition, records in batches.items():
                for record in records:
                    await self.take(partition.topic, record)
            if not self.caught_up.is_set():
                read = [p for p in partitions if p.topic not in PASSED_OVER]
                behind = [p for p in read if await self._consumer.position(p) < ends[p]]
                if not behind:
                    self.caught_up.set()
                    log.info("caught up: %d outcomes", len(self.knowledge.ledger))
            if self.caught_up.is_set() and any(p.topic in ACTED for p in batches):
                show_actions(self.knowledge.actions)  # the loop's own too, as they come back
            if batches:
                self.news.set()
                self.said.set()
            self._round.set()

    async def take(self, topic: str, record: Any) -> None:
        """One record; what cannot be read leaves no trace but on the DLQ."""
        try:
            TAKES[topic](record.value, record.headers, self.knowledge)
        except (ValueError, TypeError) as error:  # Unreadable is a ValueError; what does not fit the ledger
            await self.dead_letters.put(topic, record, str(error))

    async def follow(self, topic: str, since: int) -> None:
        """Read a topic that is passed over otherwise, from its records of ``since`` (wall clock, ms) on."""
        ends = await self._ends(topic)
        found = await self._asked(
            topic, lambda: self._consumer.offsets_for_times(dict.fromkeys(ends, max(since, 0)))
        )
        for partition, end in ends.items():
            at = found[partition]
            self._consumer.seek(partition, end if at is None else at.offset)
            self._consumer.resume(partition)

    async def up_to_now(self, topic: str) -> None:
        """Return when all that is on a topic now has been taken in; another task is :meth:`read`."""
        for partition, end in (await self._ends(topic)).items():
            while await self._consumer.position(partition) < end:
                self._round.clear()
                await self._round.wait()

    async def _ends(self, topic: str) -> dict[TopicPartition, int]:
        partitions = [p for p in self._consumer.assignment() if p.topic == topic]
        return dict(await self._asked(topic, lambda: self._consumer.end_offsets(partitions)))

    async def _asked(self, topic: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Offsets, asked for until the broker answers: a training is not lost for it."""
        while True:
            try:
                return await ask()
            except KafkaError as error:
                log.warning("offsets of %s are not known, asking again: %s", topic, error)
                await asyncio.sleep(RETRY_SECONDS)
