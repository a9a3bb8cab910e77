"""Dead letters of topics that are read from their beginning at each start: one for each record, not one at each start."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from servicekit.config import Settings
from servicekit.kafka import origin_of, until_read
from servicekit.metrics import DLQ_RECORDS
from servicekit.topic_log import read_whole

log = logging.getLogger(__name__)
Send = Callable[[str, Any, str], Awaitable[None]]
ReadWhole = Callable[[Settings, str], AsyncIterator[list[Any]]]


class DeadLetters:
    """Puts records on ``<topic>.dlq``, unless they are there already.

    A topic's DLQ is read once, when the first of its records is refused: so one that came while nobody read is a dead
    letter at the next start, and none after. A record is known again by its origin and its value, for a topic that was
    deleted and made again has the same offsets. Workers that meet a new one at the same time each send it.
    """

    def __init__(self, settings: Settings, send: Send, read: ReadWhole = read_whole) -> None:
        self._settings, self._send, self._read = settings, send, read
        self._there: dict[str, set[int]] = {}  # by topic; hashes, which take less room than values

    async def put(self, topic: str, record: Any, reason: str) -> bool:
        """A record of a topic that cannot be read, and why; whether it was not there. Only then it is counted."""
        origin = origin_of(topic, record).encode()
        if topic not in self._there:
            self._there[topic] = await until_read(f"{topic}.dlq", lambda: self._known(topic))
        marks = {_mark(origin, record.value), _mark(origin, None)}  # without its value where it was too large
        if marks & self._there[topic]:
            log.warning("%s is not readable, and on %s.dlq since before: %s", origin.decode(), topic, reason)
            return False
        log.warning("%s is not readable: %s", origin.decode(), reason)
        await self._send(topic, record, reason)
        self._there[topic].add(_mark(origin, record.value))
        DLQ_RECORDS.labels(topic).inc()
        return True

    async def _known(self, topic: str) -> set[int]:
        return {
            _mark(value, record.value)
            async for batch in self._read(self._settings, f"{topic}.dlq")
            for record in batch
            for name, value in record.headers
            if name == "dlq_origin"
        }


def _mark(origin: bytes, value: bytes | None) -> int:
    return hash((origin, value or b""))
