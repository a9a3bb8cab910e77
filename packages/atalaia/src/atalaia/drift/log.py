"""What the commands read from Kafka, and nothing else: whole topics as they are now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, TypeVar

from contracts.codec import Unreadable, decode
from contracts.events import Event
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import wait_for_kafka
from servicekit.topic_log import read_whole

E = TypeVar("E", bound=Event)
PATIENCE_SECONDS = 5.0


async def connect(settings: Settings) -> None:
    """Raise ``UserError`` where no broker answers."""
    await wait_for_kafka(settings.kafka, PATIENCE_SECONDS)


async def events_of(settings: Settings, topic: str, kind: type[E]) -> list[E]:
    """All events of a topic, in their order; what is not one is the readers' dead letter, not ours."""
    return [event async for event in _decoded(settings, topic, kind)]


async def newest_by_key(settings: Settings, topic: str, kind: type[E]) -> list[E]:
    """Of a compacted topic the last event of each key."""
    newest: dict[bytes | None, bytes] = {}
    async for batch in read_whole(settings, topic):
        for record in batch:
            if record.value is None:
                newest.pop(record.key, None)
            else:
                newest[record.key] = record.value
    return [decode(kind, value) for value in newest.values()]


def one_model(there: Collection[str], wanted: str, *, asked: bool) -> str:
    """The model that is meant: the wanted one, or the only one there is where nobody asked for one."""
    if wanted in there:
        return wanted
    if len(there) == 1 and not asked:
        return next(iter(there))
    if not there:
        raise UserError("no model has any rows counted on this broker: the topic panes is empty.")
    raise UserError(f"no rows of {wanted} are counted; say --model with one of {', '.join(sorted(there))}.")


async def _decoded(settings: Settings, topic: str, kind: type[E]) -> AsyncIterator[E]:
    async for batch in read_whole(settings, topic):
        for record in batch:
            event = _event(kind, record)
            if event is not None:
                yield event


def _event(kind: type[E], record: Any) -> E | None:
    try:
        return decode(kind, record.value, record.headers)
    except Unreadable:
        return None
