"""``panes``, compacted: read whole by who takes over a partition, and followed by who decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aiokafka import TopicPartition
from contracts.codec import decode
from contracts.events import PaneCounted
from servicekit.config import Settings
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.topic_log import FETCH_BYTES, read_whole

from drift_monitor.domain.panes import PaneKey, newer

TOPIC = "panes"


async def read_panes(
    settings: Settings, partitions: Iterable[int] | None = None
) -> tuple[list[PaneCounted], Mapping[int, int]]:
    """Of all partitions or some each pane as last written, and by partition the offset behind it all.

    The topic is ours: what cannot be read is an error, not a dead letter.
    """
    wanted = None if partitions is None else list(partitions)
    newest: dict[PaneKey, PaneCounted] = {}
    ends: dict[int, int] = {}
    if wanted != []:
        async for batch in read_whole(settings, TOPIC, wanted):
            for record in batch:
                ends[record.partition] = record.offset + 1
                if record.value is not None:
                    pane = decode(PaneCounted, record.value, record.headers)
                    key = PaneKey.of(pane)
                    if newer(pane, newest.get(key)):
                        newest[key] = pane
    return list(newest.values()), ends


class FollowedPanes:
    """Hands each pane over with its key, from the beginning of the topic, and says how far it has read."""

    def __init__(
        self,
        settings: Settings,
        partitions: Iterable[int],
        take: Callable[[bytes, PaneCounted], None],
        read: Callable[[int, int], None],
    ) -> None:
        self._consumer = make_consumer(settings, max_partition_fetch_bytes=FETCH_BYTES)
        self._partitions = [TopicPartition(TOPIC, partition) for partition in partitions]
        self._take, self._read = take, read

    async def start(self) -> None:
        """Connect, at the beginning."""
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning(*self._partitions)

    async def stop(self) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)

    async def follow(self) -> None:
        """Read for ever."""
        while True:
            for at, records in (await self._consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if record.value is not None:
                        self._take(record.key, decode(PaneCounted, record.value, record.headers))
                self._read(at.partition, records[-1].offset + 1)
