"""How far behind a service is: the records of a topic that its workers have not taken in yet.

Asked of the broker, not of the reader: a reader that stands still has old news of where the log ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import Gauge

EVERY_SECONDS = 5.0
Offsets = Mapping[int, int]


def lag(ends: Offsets, positions: Offsets) -> int:
    """Records between positions and ends, of all partitions; one without a position is read from its beginning.

    >>> lag({0: 10, 1: 5}, {0: 7})
    8
    >>> lag({0: 10}, {0: 12})  # read on since the end was asked for
    0
    """
    return sum(max(0, end - positions.get(partition, 0)) for partition, end in ends.items())


async def watch_lag(
    gauge: Gauge,
    topic: str,
    ends: Callable[[], Awaitable[Offsets]],
    positions: Callable[[], Offsets],
    every: float = EVERY_SECONDS,
) -> None:
    """Show a topic's lag, for ever. ``positions``: by partition the offset before which all is taken in."""
    while True:
        gauge.labels(topic).set(lag(await ends(), positions()))
        await asyncio.sleep(every)
