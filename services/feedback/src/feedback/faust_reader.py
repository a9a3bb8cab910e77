"""Faust reads ``predictions`` and ``ground-truth`` in chunks, and acknowledges them; it keeps nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import faust
from servicekit.config import Settings

CHUNK = 1_000
WITHIN = 0.02  # seconds a record may wait for its chunk to fill
Take = Callable[[Sequence[Any]], Awaitable[None]]
Fail = Callable[[BaseException], None]


class Received(NamedTuple):
    """A record as the joiner wants it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def make_faust(settings: Settings) -> Any:
    """A worker of the group ``feedback`` that serves no pages of its own and keeps no state."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its own folder in there, no parents
    return faust.App(
        "feedback",
        datadir=str(settings.data_dir / "feedback"),
        broker="kafka://" + ";kafka://".join(h.strip() for h in settings.kafka.split(",")),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        loghandlers=[],
    )


def follow(app: Any, topic: str, take: Take, fail: Fail) -> Any:
    """A Faust agent that hands chunks to ``take`` and acknowledges them after it; an error in it ends the process.

    For a chunk taken but not published there is no going back in memory, but there is in the log: see
    the joiner.
    """

    async def agent(stream: Any) -> None:
        async for events in stream.noack_take(CHUNK, within=WITHIN):
            try:
                await take([_received(event.message) for event in events])
            except Exception as error:  # noqa: BLE001  whatever it is, the process ends with it
                fail(error)
                return
            for event in events:
                event.ack()

    agent.__name__ = agent.__qualname__ = topic.replace("-", "_")
    channel = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    return app.agent(channel, name=f"feedback.{agent.__name__}")(agent)


def _received(message: Any) -> Received:
    headers = message.headers or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Received(message.partition, message.offset, message.key, message.value, list(pairs))
