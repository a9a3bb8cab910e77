"""The topics, read from their beginning and followed, by a consumer without a group: nobody else notices.

A broker that is away is said, and waited for; what was read stays. Topics that are not there yet are looked for.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from contracts.codec import Unreadable, decode
from contracts.flow import load_topics
from servicekit.client_log import hushed
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.kafka_access import not_permitted, unless_hidden, why_not
from servicekit.offsets import partitions_of
from servicekit.topic_log import FETCH_BYTES

from atalaia.watch.domain.memory import KEEP_WINDOWS, Memories

READER = "atalaia watch"  # as the topics' files name it
TOPICS = (
    "model-events", "drift-reports", "drift-alerts", "concept-reports", "quality-reports", "training-runs",
    "training-requests", "references", "challengers", "approvals", "promotion-reviews",
)  # fmt: skip
LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
AGAIN_SECONDS = 1.0
CHUNK_RECORDS = 200  # a report is some 10 KB: decoded in one go without holding up who asks for the page


class Watching(msgspec.Struct, frozen=True):
    """How the reading goes. ``since``: since when so, ``last``: when the broker took the newest record (wall clock, ms)."""

    broker: str
    state: str
    words: str
    since: int
    records: int
    behind: int
    unreadable: dict[str, int]
    last: int | None


class Reading:
    """Folds the topics into ``memories``; ``revision`` grows with whatever there is to see."""

    def __init__(
        self, settings: Settings, keep: int = KEEP_WINDOWS, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._keep, self._clock = settings, keep, clock
        self._kinds = {name: load_topics()[name].kind for name in TOPICS}
        self._next: dict[TopicPartition, int] = {}
        self._behind = 0
        self._state, self._why = "looking", ""
        self._since = int(clock() * 1000)
        self._last: int | None = None
        self._ready = False
        self.memories = Memories(keep)
        self.unreadable: Counter[str] = Counter()
        self.records = 0
        self.revision = 0

    # --- what is known

    @property
    def complete(self) -> bool:
        """Whether all that is on the topics now has been read."""
        return self._state in ("following", "empty")

    @property
    def clock(self) -> int:
        """The time by this machine's clock, ms."""
        return int(self._clock() * 1000)

    @property
    def shown(self) -> Memories:
        """What there is to see: nothing before all was read for the first time, or the past would pass for the present."""
        return self.memories if self._ready else Memories(self._keep)

    @property
    def watching(self) -> Watching:
        """How the reading goes, in words too."""
        broker = self._settings.kafka
        words = {
            "looking": f"Looking for Kafka at {broker}.",
            "away": f"{self._why or f'No Kafka broker answers at {broker}.'} What is shown is what was read before.",
            "empty": f"Kafka at {broker} has none of the topics yet; they come with the services{unless_hidden(self._settings)}.",
            "reading": f"Reading what is there, {self._behind:,} records to go.",
            "following": f"Following {broker}.",
        }
        return Watching(
            broker, self._state, words[self._state], self._since, self.records, self._behind, dict(self.unreadable), self._last
        )  # fmt: skip

    def take(self, record: Any) -> None:
        """Take one record; what is no event of its topic is counted and let pass."""
        self.records += 1
        self.revision += 1
        self._last = max(self._last or 0, record.timestamp or 0) or None
        if record.value is None:  # of a compacted topic: what is no more
            return
        try:
            self.memories.take(
                decode(self._kinds[record.topic], record.value, record.headers), record.timestamp or 0
            )
        except Unreadable:
            self.unreadable[record.topic] += 1

    # --- reading

    async def follow(self, moved: Callable[[], None] = lambda: None) -> None:
        """Read for ever; ``moved`` is called whenever there may be something new to see.

        Raises ``UserError`` for what is no address of a broker.
        """
        while True:
            consumer = make_consumer(
                self._settings, isolation_level="read_committed", max_partition_fetch_bytes=FETCH_BYTES
            )
            try:
                with hushed():
                    await self._start(consumer)
                    await self._read(consumer, moved)
            except KafkaConnectionError:
                self._is("away", str(await why_not(self._settings)))
                moved()
            except (KafkaError, OSError, TimeoutError) as error:
                denied = not_permitted(error)
                self._is(
                    "away", str(denied) if denied else f"Kafka at {self._settings.kafka}: {_one_line(error)}."
                )
                moved()
            finally:
                with hushed():
                    await stop_consumer(consumer)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _start(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await consumer.start()
        except ValueError as error:
            raise UserError(
                f"ATALAIA_KAFKA={self._settings.kafka} cannot be used: {error}. Write it as host:port."
            ) from None

    async def _read(self, consumer: AIOKafkaConsumer, moved: Callable[[], None]) -> None:
        assigned: set[TopicPartition] = set()
        looked = float("-inf")
        while True:
            if time.monotonic() - looked >= LOOK_SECONDS:
                assigned = await asyncio.wait_for(self._look(consumer, assigned), PATIENCE_SECONDS)
                looked = time.monotonic()
                moved()
            if not assigned:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            found = await consumer.getmany(timeout_ms=300, max_records=CHUNK_RECORDS)
            for at, records in found.items():
                for record in records:
                    self.take(record)
                self._next[at] = records[-1].offset + 1
                self._behind = max(0, self._behind - len(records))
            if found:
                moved()
            elif self._behind:  # what compaction left out, or a transaction's marker
                for at in assigned:
                    self._next[at] = await consumer.position(at)
            if self._state == "reading" and (not found or not self._behind):
                looked = float("-inf")  # is that all?

    async def _look(self, consumer: AIOKafkaConsumer, assigned: set[TopicPartition]) -> set[TopicPartition]:
        """Which topics there are, and how much of them is unread; raises where no broker answers."""
        there = await consumer.topics()
        wanted = {at for name in TOPICS if name in there for at in await partitions_of(consumer, name)}
        if not wanted.issuperset(self._next):
            self._begin_anew()
            assigned = set()
        if not wanted:
            self._is("empty")
            return set()
        if wanted != assigned:
            consumer.assign(sorted(wanted))
            for at in wanted:
                await self._seek(consumer, at)
        ends = await consumer.end_offsets(sorted(wanted))
        if any(end < self._next.get(at, 0) for at, end in ends.items()):
            self._begin_anew()
            await consumer.seek_to_beginning(*wanted)
        starts = await consumer.beginning_offsets(sorted(wanted))
        self._behind = sum(max(0, end - max(self._next.get(at, 0), starts[at])) for at, end in ends.items())
        self._is("reading" if self._behind else "following")
        return wanted

    async def _seek(self, consumer: AIOKafkaConsumer, at: TopicPartition) -> None:
        if at in self._next:
            consumer.seek(at, self._next[at])
        else:
            await consumer.seek_to_beginning(at)

    def _begin_anew(self) -> None:
        """The topics were made anew: what was read is of another world."""
        self.memories = Memories(self._keep)
        self._next, self._last, self._ready = {}, None, False
        self.unreadable.clear()

    def _is(self, state: str, why: str = "") -> None:
        if state != self._state:
            self._since = int(self._clock() * 1000)
        if (state, why) != (self._state, self._why):
            self.revision += 1
        self._state, self._why = state, why
        self._ready = self._ready or self.complete


def _one_line(error: BaseException) -> str:
    """An error in a line.

    >>> _one_line(TimeoutError()), _one_line(OSError("no\\nroute"))
    ('no answer within 5 s', 'no route')
    """
    if isinstance(error, TimeoutError) and not str(error):  # asyncio's has no words
        return f"no answer within {PATIENCE_SECONDS:g} s"
    return " ".join(str(error).split())[:200] or type(error).__name__
