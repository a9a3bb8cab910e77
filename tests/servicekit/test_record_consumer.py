"""How a record is handed to its stream: as Faust does it, without tasks where nothing waits."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.types import TP
from servicekit.config import Settings
from servicekit.record_consumer import RecordConsumer, make_app


@pytest.fixture
async def consumer() -> AsyncIterator[Any]:
    """A consumer of an app that is not started."""
    threshold = gc.get_threshold()
    app = make_app(Settings(kafka="localhost:1"), "group")
    assert isinstance(app.consumer, RecordConsumer)  # or Faust no longer asks its transport
    yield app.consumer
    gc.set_threshold(*threshold)


async def at_once(value: int) -> int:
    """Ends without waiting."""
    return value


async def after(event: asyncio.Event, value: int) -> int:
    """Waits."""
    await event.wait()
    await asyncio.sleep(0)
    return value


@pytest.mark.filterwarnings("error::RuntimeWarning")  # a coroutine that nobody awaits
async def test_what_does_not_wait_makes_no_task(consumer: Any) -> None:
    """Handed on at once, with nothing left behind."""
    before = asyncio.all_tasks()
    found = await consumer.wait_first(at_once(1), asyncio.Event().wait())
    assert (found.results, found.stopped) == ([1], False)
    assert asyncio.all_tasks() == before


async def test_what_waits_is_waited_for(consumer: Any) -> None:
    """A full queue: the record is handed on when there is room, whatever it waits for on the way."""
    room = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, room.set)
    found = await consumer.wait_first(after(room, 1), asyncio.Event().wait())
    assert (found.results, found.stopped) == ([1], False)


@pytest.mark.parametrize("by", ["suspended", "stopped"])
async def test_a_rebalance_or_an_end_stops_the_waiting(consumer: Any, by: str) -> None:
    """And what waited is cancelled, so that it is not handed on later."""
    suspended, ended = asyncio.Event(), []

    async def blocked() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    end = suspended.set if by == "suspended" else consumer._stopped.set
    asyncio.get_running_loop().call_later(0.01, end)
    found = await consumer.wait_first(blocked(), suspended.wait())
    await asyncio.sleep(0)
    assert found.stopped == (by == "stopped")
    assert ended == [True]


@pytest.mark.parametrize("later", [False, True])
async def test_a_failure_is_raised(consumer: Any, later: bool) -> None:
    """At once or after it waited."""

    async def fails() -> None:
        if later:
            await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        await consumer.wait_first(fails(), asyncio.Event().wait())


class Fetches:
    """What Faust asks of its client, and answers that wait to be let go."""

    def __init__(self, consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.begun, self.answer = asyncio.Event(), asyncio.Event()
        consumer._active_partitions = {TP("predictions", 0)}
        monkeypatch.setattr(consumer, "perform_seek", self._seek)
        monkeypatch.setattr(consumer, "_getmany", self._getmany)
        consumer.resume_flow()

    async def _seek(self) -> None:
        self.asked.append("seek")

    async def _getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[str]]:  # noqa: ASYNC109
        self.asked.append("fetch")
        self.begun.set()
        await self.answer.wait()
        return {TP("predictions", 0): ["record"]}


async def test_when_the_queues_were_emptied_it_is_sought_again(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the next fetch, once: what was handed on too early is gone, and Faust is behind it."""
    fetches = Fetches(consumer, monkeypatch)
    fetches.answer.set()
    for _ in range(2):
        records, _ = await consumer._wait_next_records(1.0)
        assert records
    assert fetches.asked == ["seek", "fetch", "fetch"]


@pytest.mark.parametrize("meanwhile", ["the queues are emptied", "another generation begins"])
async def test_a_fetch_of_before_a_rebalance_is_forgotten(
    consumer: Any, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """What it brings is read again after the seek."""
    fetches = Fetches(consumer, monkeypatch)
    fetching = asyncio.create_task(consumer._wait_next_records(1.0))
    await fetches.begun.wait()
    if meanwhile == "the queues are emptied":
        consumer.stop_flow()
        consumer.resume_flow()
    else:
        consumer.app.consumer_generation_id += 1
    fetches.answer.set()
    records, _ = await fetching
    assert records == {}
    records, _ = await consumer._wait_next_records(1.0)
    assert records
    assert fetches.asked == ["seek", "fetch", "seek", "fetch"]


def test_faust_keeps_its_folder_under_the_data_folder(tmp_path: Path) -> None:
    """Nothing appears in the working directory, and the data folder need not exist."""
    settings = Settings(data_dir=tmp_path / "new" / "data")
    assert make_app(settings, "group").conf.datadir == settings.data_dir / "group"
    assert settings.data_dir.is_dir()


async def test_a_partition_without_a_position_does_not_end_the_worker(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assigned but being sought, or just taken away: whether it stands still is not to be told yet."""
    state = SubscriptionState()
    state.assign_from_user([TopicPartition("t", 0)])
    client = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=state))
    thread = consumer._thread
    thread.time_started = 0.0
    monkeypatch.setattr(thread, "_consumer", client)
    monkeypatch.setattr(thread, "_verify_aiokafka_event_path", lambda now, tp: False)
    with pytest.raises(AssertionError):
        thread.verify_event_path(1.0, TP("t", 0))  # as it does
    for partition in (0, 1):
        consumer.verify_event_path(1.0, TP("t", partition))
