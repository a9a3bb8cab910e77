"""Reading what is on a topic now, from its beginning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka.errors import UnknownTopicOrPartitionError
from servicekit.config import Settings
from servicekit.kafka import make_consumer


async def read_topic(
    settings: Settings, topic: str, each: Callable[[Any], None], tick: Callable[[int], None] = lambda n: None
) -> int:
    """Call ``each(record)`` for every record there is now; how many there were. 0 where there is no such topic."""
    consumer = make_consumer(settings, topic, isolation_level="read_committed")
    try:
        await consumer.start()
    except UnknownTopicOrPartitionError:
        return 0
    n = 0
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))  # without a group: all there are
        await consumer.seek_to_beginning()
        left = {tp for tp, end in ends.items() if end > 0}
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=1000, max_records=5000)).items():
                for record in records:
                    if record.offset < ends[tp]:
                        each(record)
                        n += 1
                tick(n)
            for tp in list(left):
                # the position, not the last record's offset: compaction leaves gaps
                if await consumer.position(tp) >= ends[tp]:
                    left.discard(tp)
    finally:
        await consumer.stop()
    return n
