"""A small topic, read from its beginning and followed; it can be asked whether all that is in it now has been read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from contracts.codec import Unreadable, decode
from contracts.events import Event

from servicekit.config import Settings
from servicekit.dead_letters import DeadLetters
from servicekit.kafka import make_consumer, stop_consumer, until_read
from servicekit.offsets import Offsets, partitions_of

E = TypeVar("E", bound=Event)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)


class Folds(Protocol[E_contra]):
    """A state that events are folded into, in the order of their offsets."""

    def take(self, offset: int, event: E_contra) -> None:
        """Take up the record at an offset."""
        ...


S = TypeVar("S", bound=Folds[Any])


class Followed(Generic[E]):
    """Hands each event over, and can say when all that is in the topic now has been.

    What is no event is a dead letter, and counted, once however often the topic is followed anew.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        kind: type[E],
        take: Callable[[E], None],
        to_dlq: Callable[[str, Any, str], Awaitable[None]],
        *,
        moved: Callable[[], None] = lambda: None,
        **consumer: Any,
    ) -> None:
        self.topic, self.kind = topic, kind
        self._settings, self._options = settings, consumer
        self._consumer: AIOKafkaConsumer | None = None
        self._on_move = moved
        # Its own connection: on the consumer's the question would queue behind a fetch that waits for news.
        self._offsets = Offsets(settings, topic)
        self._take = take
        self._dead_letters = DeadLetters(settings, to_dlq)
        self._partitions: list[TopicPartition] = []
        self._next: dict[TopicPartition, int] = {}
        self._moved = asyncio.Condition()
        self._failed: Exception | None = None

    async def start(self) -> None:
        """Connect, at the beginning of the topic."""
        await self._offsets.start()
        consumer = self._consumer = make_consumer(self._settings, **self._options)
        await consumer.start()
        self._partitions = await partitions_of(consumer, self.topic)
        consumer.assign(self._partitions)
        await consumer.seek_to_beginning(*self._partitions)
        self._next = {p: await consumer.position(p) for p in self._partitions}

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)
        await self._offsets.stop()

    async def follow(self) -> None:
        """Read for ever; who waits for what is read learns of its end."""
        try:
            await self._follow()
        except Exception as error:
            async with self._moved:
                self._failed = error
                self._moved.notify_all()
            raise

    async def _follow(self) -> None:
        consumer = self._consumer
        assert consumer is not None, "start first"
        while True:
            found = await consumer.getmany(timeout_ms=500)
            for records in found.values():
                for record in records:
                    await self._read(record)
            async with self._moved:
                for partition in self._partitions:  # the position also passes what compaction left out
                    self._next[partition] = await consumer.position(partition)
                self._moved.notify_all()
            if found:
                self._on_move()

    async def read(self) -> None:
        """Return when everything in the topic now has been handed over."""
        ends = await until_read(self.topic, self._offsets.ends)
        await self.until(lambda: all(self._next[p] >= ends[p.partition] for p in self._partitions))

    def positions(self) -> dict[int, int]:
        """By partition the offset before which all has been handed over."""
        return {at.partition: offset for at, offset in self._next.items()}

    async def read_past(self, offset: int) -> None:
        """Return when the record at an offset has been handed over, in each partition."""
        await self.until(lambda: min(self._next.values()) > offset)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when what has been handed over makes a condition true; raises what ended ``follow``."""
        async with self._moved:
            await self._moved.wait_for(lambda: condition() or self._failed is not None)
            if self._failed is not None and not condition():
                raise self._failed

    async def _read(self, record: Any) -> None:
        if record.value is None:  # of a compacted topic: what is no more
            return
        try:
            event = decode(self.kind, record.value, record.headers)
        except Unreadable as error:
            await self._dead_letters.put(self.topic, record, str(error))
            return
        self.taken(event, record)

    def taken(self, event: E, record: Any) -> None:
        """An event was read."""
        self._take(event)


class Folded(Followed[E], Generic[E, S]):
    """Folds a topic of one partition into ``state``, and says when that has ``moved``."""

    def __init__(
        self,
        settings: Settings,
        topic: str,
        kind: type[E],
        state: S,
        moved: Callable[[], None],
        to_dlq: Callable[[str, Any, str], Awaitable[None]],
    ) -> None:
        super().__init__(settings, topic, kind, lambda event: moved(), to_dlq)
        self.state = state

    def taken(self, event: E, record: Any) -> None:
        """Take it up with its offset, which is a claim's epoch."""
        self.state.take(record.offset, event)
        super().taken(event, record)
