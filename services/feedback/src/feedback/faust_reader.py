"""Faust reads ``predictions`` and ``ground-truth`` in chunks, and acknowledges what was joined; it keeps nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from servicekit.record_consumer import AsSent

log = logging.getLogger(__name__)
CHUNK = 10_000  # records
CHUNK_BYTES = 32_000_000
TAKEN = 500  # records at once
WITHIN = 0.05  # seconds a record may wait for others
LOOK = 0.1  # seconds between looks at how many records wait
Take = Callable[[Sequence[Any]], Awaitable[frozenset[int]]]


def follow(
    app: Any, topic: str, take: Take, failed: asyncio.Future[None], pace: Callable[[], float], waiting: int
) -> None:
    """Declare an agent that hands chunks to ``take``, which tells of which partitions they may be acknowledged.

    A chunk is what waits, up to 10,000 records or 32 MB. After each the agent rests ``pace()`` seconds, so that chunks grow
    where each costs much; meanwhile ``waiting`` records may come, and once half of them are there it goes on.

    Faust restarts an agent that raises and goes on behind the chunk that it lost; so a failure ends the program
    instead, and what was not acknowledged is read again.
    """

    async def agent(stream: Any) -> None:
        queue = stream.channel.queue
        chunk: list[Any] = []
        size = 0
        async for events in stream.noack_take(TAKEN, within=WITHIN):
            chunk += events
            size += sum(len(event.message.value or b"") for event in events)
            # There is more than can be taken at once.
            if queue.qsize() and len(chunk) < CHUNK and size < CHUNK_BYTES:
                continue
            # A record that was read before the last rebalance is read again after it: taken now it would move the
            # position over records before it that are not joined.
            generation = app.consumer_generation_id
            chunk = [event for event in chunk if event.message.generation_id == generation]
            try:
                joined = await take([event.message for event in chunk])
            except Exception as error:  # noqa: BLE001  whatever it is, the program ends with it
                if not failed.done():
                    failed.set_exception(error)
                await asyncio.Event().wait()  # until then
            for event in chunk:
                current = event.message.generation_id == app.consumer_generation_id
                if current and event.message.partition in joined:
                    event.ack()
            chunk, size = [], 0
            rested_at = time.monotonic() + pace()
            while (left := rested_at - time.monotonic()) > 0 and queue.qsize() < waiting / 2:
                if app.consumer_generation_id != generation:  # others have partitions now, or we
                    break
                await asyncio.sleep(min(left, LOOK))

    agent.__name__ = agent.__qualname__ = topic.replace("-", "_")
    channel = app.topic(
        topic, schema=AsSent(key_type=bytes, value_type=bytes, allow_empty=True), internal=False
    )
    channel.maxsize = waiting  # what is given to app.topic it does not pass on
    app.agent(channel, name=agent.__name__)(agent)


def headers(message: Any) -> Sequence[tuple[str, bytes]]:
    """A record's headers, whichever client read it."""
    given = message.headers or ()
    return list(given.items() if isinstance(given, dict) else given)
