"""Faust as a reader and nothing more, without what costs it most of the time on a record's way to a stream."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Coroutine, Generator
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from mode.services import WaitResults

from servicekit.config import Settings
from servicekit.kafka import until_read
from servicekit.kafka_access import faust_credentials

_LOOK_SECONDS = 0.2


def make_app(settings: Settings, group: str) -> Any:
    """A worker of a consumer group: no web server, no tables, no topics of its own."""
    # Thousands of records wait in Faust's queue, which the collector would go through again and again: a seventh
    # of all work. They end by their reference count.
    gc.set_threshold(100_000, 20, 50)
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its own folder in there, no parents
    app = faust.App(
        group,
        broker=";".join(f"kafka://{server.strip()}" for server in settings.kafka.split(",")),
        broker_credentials=faust_credentials(settings),
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        datadir=str(settings.data_dir / group),
        # What another worker reads now is never acknowledged here, so there is nothing to wait for.
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        # Records wait here and in the reader; of a thousand rows each they are a tenth of a megabyte.
        stream_buffer_maxsize=500,
        # A dead worker's partitions move within so many seconds.
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        loghandlers=[],
    )
    app.transport.Consumer = RecordConsumer
    return app


def check(app: Any) -> None:
    """Raise what Faust has crashed with, or what Kafka does not permit its consumer: it would stand idle without a word."""
    if app.crashed:
        raise app.crash_reason or RuntimeError("Faust has crashed")
    if denied := app.consumer.denied:
        raise denied


async def start(app: Any) -> None:
    """Start it; raises what :func:`check` does, for Faust waits for partitions here already."""
    starting = asyncio.create_task(app.start())
    try:
        while not starting.done():
            check(app)
            await asyncio.wait({starting}, timeout=_LOOK_SECONDS)
        await starting
    finally:
        starting.cancel()


class RecordConsumer(Consumer):  # type: ignore[misc]
    """Faust's, mended in four places.

    It hands each record on in a race with three events: four tasks a record, a fifth of all work. The race is for where handing
    on has to wait, the queue being full. Nearly always it does not have to.

    At the end of a rebalance it seeks back to what is acknowledged, and then empties the streams' queues. Where the flow was let
    go too early, because a second rebalance came while the first was at its end, records are fetched between the two: they are
    gone, and Faust is behind them. So whoever fetches seeks once more, when the queues have been emptied, and forgets what
    a fetch brings that began before.

    And aiokafka's seek leaves a partition where it is of which nothing is acknowledged, and fails in a worker that has no partition,
    there being more workers. Here the one is read from its beginning, and the other stands by.

    And it looks every few seconds whether some partition stands still, which it only logs. Of a partition whose position is not
    known while it is sought, as after a rebalance, that look raised, and the worker ended.
    """

    @property
    def denied(self) -> Exception | None:
        """What its member of the group has ended with: Faust never asks it, and waits for partitions."""
        client = self._thread._consumer if self._thread else None
        return client and getattr(client._coordinator, "_pending_exception", None)

    _is_anew = False  # the queues have been emptied, and nobody has sought since

    def resume_flow(self) -> None:
        """As it was; Faust has emptied the queues just before."""
        self._is_anew = True
        super().resume_flow()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """As it was, for a partition that has a position."""
        # aiokafka asserts the position, and has no state of a partition that has just been taken away
        with contextlib.suppress(AssertionError, AttributeError):
            super().verify_event_path(now, tp)

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 (Faust's)
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if self._is_anew and not self.should_stop:
            self._is_anew = False
            try:
                await until_read("a topic's acknowledged offsets", self.perform_seek)
            except IllegalStateError:  # a partition was taken away meanwhile: another rebalance
                self._is_anew = True
                return {}, set()
        generation = self.app.consumer_generation_id
        records, active = await super()._wait_next_records(timeout)
        self._is_anew |= generation != self.app.consumer_generation_id
        return ({} if self._is_anew else records), active

    async def seek_to_committed(self) -> Any:
        """Each partition to what is acknowledged, or else to its beginning; the offsets by partition, those or ``None``.

        Raises ``IllegalStateError`` where a partition is taken away meanwhile.
        """
        return await self._thread.call_thread(_seek_to_committed, self._thread._ensure_consumer())

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109 (Faust's)
        """As it was, but a first coroutine that ends without waiting is no task, and has won."""
        if len(coros) != 2 or timeout is not None or not all(map(asyncio.iscoroutine, coros)):
            return await super().wait_first(*coros, timeout=timeout)
        if self.should_stop:
            return await super().wait_first(*coros)
        first, second = coros
        try:
            waits_for = first.send(None)
        except StopIteration as end:
            second.close()
            return WaitResults([first], [end.value], False)
        except BaseException:
            second.close()
            raise
        return await super().wait_first(_await(_Begun(first, waits_for)), second)


async def _seek_to_committed(client: AIOKafkaConsumer) -> dict[Any, int | None]:
    assigned = client.assignment()
    if not assigned:
        return {}
    committed: dict[Any, int | None] = await client.seek_to_committed(*assigned)
    # aiokafka leaves these where they are.
    if beginning := [at for at, offset in committed.items() if not offset]:
        await client.seek_to_beginning(*beginning)
    return committed


class _Begun:
    """The rest of a coroutine that waits for a future."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        while True:
            error: BaseException | None = None
            try:
                got = yield waits_for
            except BaseException as thrown:  # noqa: BLE001 (a cancellation, which is the coroutine's to take)
                error = thrown
            try:
                waits_for = self._coroutine.send(got) if error is None else self._coroutine.throw(error)
            except StopIteration as end:
                return end.value


async def _await(begun: _Begun) -> Any:
    return await begun


class AsSent(faust.Schema):  # type: ignore[misc]
    """Keys and values as they are on the wire."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        """The key."""
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        """The value."""
        return message.value
