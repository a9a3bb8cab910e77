"""Each record is in Kafka or in the spool before its caller hears of it, and comes to Kafka once and in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    TopicAuthorizationFailedError,
)
from contracts import codec
from contracts.codec import decode
from contracts.events import PredictionsMade
from health_checks import WITH_FIXTURE
from hypothesis import given, settings
from hypothesis import strategies as st
from predictor.adopted import replay_orphans
from predictor.produces.predictions import NotPublished, PredictionLog
from predictor.spool import Spool, open_spool
from prometheus_client import REGISTRY
from servicekit.errors import UserError


def event(n: int, rows: int = 2) -> PredictionsMade:
    """The n-th batch."""
    return PredictionsMade(
        batch_id=f"{n:032x}", model="m", version="1", event_time=[n] * rows, features={"a": [1.0] * rows},
        predictions=[float(n)] * rows,
    )  # fmt: skip


class Kafka:
    """A broker and the producers that are connected to it, which never give up while they live, as aiokafka's."""

    def __init__(self) -> None:
        self.up, self.reachable, self.dead = True, True, False
        self.metadata = asyncio.Event()
        self.metadata.set()
        self.log: list[int] = []
        self.too_large: set[int] = set()
        self.held: list[tuple[bytes, asyncio.Future[None]]] = []
        self.asked = self.connected = 0
        self.away = 0.0

    def clock(self) -> float:
        """Stands while the broker answers, and else goes on by a hundredth of a second at each look: however long a
        machine takes, patience ends where the broker is away, and only there."""
        if not self.up or not self.metadata.is_set():
            self.away += 0.01
        return self.away

    async def connect(self) -> Kafka:
        """One more producer."""
        self.asked += 1
        if not self.reachable:
            raise UserError("No Kafka broker answers")  # as make_producer does
        self.connected += 1
        self.dead = False
        return self

    async def send(self, topic: str, value: bytes, *, key: bytes, headers: Any) -> asyncio.Future[Any]:
        """Held until the broker is up."""
        await self.metadata.wait()
        if self.dead:
            raise ProducerClosed
        assert topic == "predictions"
        sent = decode(PredictionsMade, value, headers)
        assert key == sent.batch_id.encode() == dict(headers)["ce_id"]
        if int(sent.batch_id, 16) in self.too_large:
            raise MessageSizeTooLargeError("too large")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held.append((value, future))
        if self.up:
            asyncio.get_running_loop().call_soon(self.deliver)
        return future

    def deliver(self) -> None:
        """Acknowledge what is held, in order."""
        for value, future in self.held if self.up else []:
            self.log.append(int(decode(PredictionsMade, value).batch_id, 16))
            if not future.done():
                future.set_result(None)
        if self.up:
            self.held.clear()

    def fail(self, error: KafkaError) -> None:
        """The producer gives up, on what it holds and on all that would come."""
        self.dead = not isinstance(error, MessageSizeTooLargeError)
        for _, future in self.held:
            if not future.done():
                future.set_exception(error)
        self.held.clear()

    def come_back(self) -> None:
        """The broker is there again."""
        self.up = True
        self.deliver()

    async def stop(self) -> None:
        """As a producer: waits for what it holds."""
        if self.held:
            await asyncio.wait([future for _, future in self.held])


async def until(fact: Callable[[], bool], seconds: float = 20) -> None:
    """Return once ``fact`` holds."""
    async with asyncio.timeout(seconds):
        while not fact():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(
    kafka: Kafka, spool: Spool, *, accept: bool = False, patience: float = 0.05, max_bytes: int = 10**6
) -> AsyncIterator[PredictionLog]:
    """A log at work."""
    log = PredictionLog(
        await kafka.connect(), kafka.connect, spool, max_bytes=max_bytes, patience=patience, accept=accept,
        clock=kafka.clock,
    )  # fmt: skip
    beside = asyncio.create_task(log.run())
    try:
        yield log
    finally:
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        await log.close(0.05)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits a second to try again."""
    monkeypatch.setattr("predictor.produces.predictions._RETRY_SECONDS", 0.02)


def kept(how: str) -> float:
    """Rows by what keeps them."""
    return REGISTRY.get_sample_value("atalaia_rows_kept_total", {"how": how}) or 0.0


async def test_what_kafka_has_is_not_spooled(tmp_path: Path) -> None:
    """The usual way: acknowledged, counted as sent, the disk untouched."""
    kafka, spool, before = Kafka(), open_spool(tmp_path), kept("sent")
    async with running(kafka, spool) as log:
        for n in range(3):
            await log.publish(event(n))
            assert kafka.log[-1] == n
        assert spool.records == 0
        assert not log.spooling
    assert kept("sent") == before + 6


values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)


@settings(max_examples=50, deadline=None, suppress_health_check=WITH_FIXTURE)
@given(st.lists(st.tuples(values | st.text(), st.text(), st.floats(0, 1)), min_size=1, max_size=5))
def test_the_record_is_the_event(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, str, float]]
) -> None:
    """What is written by another encoder than the codec's reads back as the same event, under its own id."""
    sent = PredictionsMade(
        batch_id="a" * 32, model="m", version="1", event_time=[1] * len(rows), predictions=[b for _, b, _ in rows],
        features={"x": [a for a, _, _ in rows]}, probabilities={"yes": [c for _, _, c in rows]},
        vectors={"v": [[c, 1.0] for _, _, c in rows]},
    )  # fmt: skip

    class Sent(Kafka):
        async def send(self, topic: str, value: bytes, *, key: bytes, headers: Any) -> asyncio.Future[Any]:
            assert decode(PredictionsMade, value, headers) == sent
            assert codec.encode(sent, source="predictor")[1][2:4] == headers[2:4]
            self.log.append(0)
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.set_result(None)
            return future

    async def story() -> list[int]:
        kafka = Sent()
        async with running(kafka, open_spool(tmp_path_factory.mktemp("spool"))) as log:
            await log.publish(sent)
        return kafka.log

    assert asyncio.run(story()) == [0]


async def test_while_kafka_is_away_the_spool_answers_and_all_comes_in_order_and_once(tmp_path: Path) -> None:
    """What the producer had in hand when Kafka went is not sent again by the replay."""
    kafka, spool, before = Kafka(), open_spool(tmp_path), {how: kept(how) for how in ("spooled", "replayed")}
    async with running(kafka, spool) as log:
        await log.publish(event(0))
        kafka.up = False
        await asyncio.gather(
            *[log.publish(event(n)) for n in range(1, 4)]
        )  # in the producer's hands, then spooled
        for n in range(4, 30):
            await log.publish(event(n))
        assert kafka.log == [0]
        assert len(kafka.held) == 3, "what is spooled is not piled up in the producer"
        assert spool.records == 29
        kafka.come_back()
        await until(lambda: not log.spooling)
        await log.publish(event(30))
        assert kafka.log == list(range(31))
        assert spool.records == 0
    assert kept("spooled") - before["spooled"] == kept("replayed") - before["replayed"] == 58


async def test_what_comes_during_the_replay_queues_behind_it(tmp_path: Path) -> None:
    """Order holds over the way back."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool) as log:
        kafka.up = False
        for n in range(300):
            await log.publish(event(n))
        kafka.come_back()
        for n in range(300, 600):
            await log.publish(event(n))
        await until(lambda: not log.spooling)
        assert kafka.log == list(range(600))


async def test_a_producer_that_gives_up_is_replaced(tmp_path: Path) -> None:
    """Its records are replayed by another one, once there is one."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool) as log:
        kafka.up = kafka.reachable = False
        publishing = asyncio.create_task(log.publish(event(0)))
        await until(lambda: bool(kafka.held))
        kafka.fail(KafkaError("out of order"))
        await publishing
        await log.publish(event(1))
        await until(lambda: kafka.asked > 3)
        assert (kafka.connected, kafka.log) == (1, [])
        kafka.reachable = True
        kafka.come_back()
        await until(lambda: not log.spooling)
        assert kafka.log == [0, 1]


async def test_what_the_producer_did_not_take_yet_is_sent_by_the_replay_alone(tmp_path: Path) -> None:
    """A send that waits for the topic's metadata is called back."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool) as log:
        kafka.metadata.clear()
        await log.publish(event(0))
        assert (kafka.held, spool.records) == ([], 1)
        kafka.metadata.set()
        await until(lambda: not log.spooling)
        assert kafka.log == [0]


async def test_a_full_spool_refuses_before_anything_is_scored(tmp_path: Path) -> None:
    """``admit`` says so, with the bound and its setting; what is under way counts, and gives its room back."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool, max_bytes=1000) as log:
        log.admit(10_000)  # with Kafka there the spool is not asked
        log.release(10_000)
        kafka.up = False
        await log.publish(event(0))
        log.admit(400)
        assert log.has_room
        with pytest.raises(NotPublished, match=r"spool is full.*ATALAIA_SPOOL_MAX_BYTES"):
            log.admit(400)
        assert log.has_room, "one that asked for too much says nothing of the next"
        log.release(400)
        log.admit(400)
        log.release(400)
        kafka.come_back()
        await until(lambda: not log.spooling)
        log.admit(10_000)


async def test_a_refusal_says_why_kafka_takes_nothing(tmp_path: Path) -> None:
    """A login that may not write is not an outage, and whoever reads the 503 is told so."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool, max_bytes=1000) as log:
        kafka.up = False
        publishing = asyncio.create_task(log.publish(event(0)))
        await until(lambda: bool(kafka.held))
        kafka.fail(TopicAuthorizationFailedError("predictions"))
        await publishing
        with pytest.raises(
            NotPublished, match=r"\(TopicAuthorizationFailedError: .*predictions\) and the spool is full"
        ):
            log.admit(10_000)


async def test_the_bound_holds_for_all_that_ask_at_once(tmp_path: Path) -> None:
    """However many requests wait, the spool never holds more than its bound."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool, max_bytes=20_000) as log:
        kafka.up = False
        await log.publish(event(0))

        async def ask(n: int) -> bool:
            try:
                log.admit(1_000)
            except NotPublished:
                return False
            try:
                await log.publish(event(n))
            finally:
                log.release(1_000)
            return True

        answered = await asyncio.gather(*[ask(n) for n in range(1, 400)])
        assert 10 < sum(answered) < 20
        assert spool.bytes <= 20_000
        kafka.come_back()
        await until(lambda: not log.spooling)
        assert len(kafka.log) == 1 + sum(answered)


async def test_what_is_under_way_is_bounded_with_kafka_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is slow does not pile up requests without end."""
    monkeypatch.setattr("predictor.produces.predictions._UNDER_WAY_BYTES", 1000)
    async with running(Kafka(), open_spool(tmp_path)) as log:
        log.admit(600)
        with pytest.raises(NotPublished, match="under way"):
            log.admit(600)
        log.release(600)
        log.admit(600)


async def test_a_disk_that_fails_promises_nothing_and_refuses_at_once(tmp_path: Path) -> None:
    """Neither Kafka nor disk: the first hears of it, the next are not even scored, until one of the two is back."""
    kafka, spool, late = Kafka(), open_spool(tmp_path), kept("late")
    async with running(kafka, spool) as log:
        (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
        spool._db.execute(f"PRAGMA max_page_count = {pages}")
        kafka.up = False
        with pytest.raises(NotPublished, match=r"spool failed.*may still"):
            await log.publish(event(0, rows=10_000))
        await asyncio.sleep(0.1)
        assert (log.spooling, log.has_room) == (True, False)
        with pytest.raises(NotPublished, match="cannot be written"):
            log.admit(1)
        spool._db.execute("PRAGMA max_page_count = 100000")
        await until(lambda: log.has_room)
        log.admit(1)
        await log.publish(event(1))
        kafka.come_back()
        await until(lambda: not log.spooling)
        assert kafka.log == [0, 1]
    assert kept("late") == late + 10_000, "what came though it was refused is counted"


async def test_with_a_broken_disk_kafka_alone_is_enough(tmp_path: Path) -> None:
    """Once Kafka is back it is used again, though the spool still fails."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool) as log:
        (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
        spool._db.execute(f"PRAGMA max_page_count = {pages}")
        kafka.up = False
        with pytest.raises(NotPublished):
            await log.publish(event(0, rows=10_000))
        kafka.come_back()
        await until(lambda: not log.spooling)
        log.admit(1)
        await log.publish(event(1))
        assert kafka.log == [0, 1]


async def test_a_record_that_kafka_never_takes_is_set_aside(tmp_path: Path) -> None:
    """In the spool it would stand before all others for ever; it is kept, said aloud and counted."""
    kafka, spool, before = Kafka(), open_spool(tmp_path), kept("set aside")
    async with running(kafka, spool) as log:
        kafka.up = False
        await log.publish(event(0))
        await log.publish(event(1))
        kafka.too_large.add(0)
        kafka.fail(KafkaError("gone"))
        kafka.come_back()
        await until(lambda: not log.spooling)
        assert kafka.log == [1]
        ((why, rows),) = spool._db.execute("SELECT why, rows FROM set_aside").fetchall()
        assert "refuses its size" in why
        assert rows == 2
    assert kept("set aside") == before + 2


async def test_a_record_the_topic_does_not_take_holds_up_nobody(tmp_path: Path) -> None:
    """Its caller hears of it, and it never gets into the spool, where it would stand before all others."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool) as log:
        kafka.up = False
        publishing = asyncio.create_task(log.publish(event(0)))
        await until(lambda: bool(kafka.held))
        kafka.fail(MessageSizeTooLargeError("too large"))
        with pytest.raises(NotPublished, match="size"):
            await publishing
        kafka.up = True
        await log.publish(event(1))
        assert kafka.log == [1]


async def test_accept_answers_before_the_acknowledgement(tmp_path: Path) -> None:
    """And what Kafka does not take is spooled all the same."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool, accept=True) as log:
        kafka.up = False
        await log.publish(event(0))
        assert spool.records == 0, "nothing was waited for, the spool least of all"
        await until(lambda: spool.records == 1)
        kafka.come_back()
        await until(lambda: not log.spooling)
        assert kafka.log == [0]


async def test_accept_does_not_run_ahead_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the caller waits for the acknowledgement."""
    monkeypatch.setattr("predictor.produces.predictions._ACCEPTED_BYTES", 1000)
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool, accept=True, patience=60) as log:
        kafka.up = False
        many = asyncio.gather(*[log.publish(event(n)) for n in range(4)], return_exceptions=True)
        more = asyncio.create_task(log.publish(event(4)))
        await until(lambda: len(kafka.held) == 5)
        assert not more.done()
        kafka.come_back()
        await more
        assert await many == [None] * 4


@pytest.mark.parametrize("accept", [False, True])
async def test_the_end_loses_nothing_and_the_next_start_sends_it(tmp_path: Path, accept: bool) -> None:
    """A service that ends while Kafka is away leaves its records in the spool."""
    kafka, spool = Kafka(), open_spool(tmp_path)
    async with running(kafka, spool, accept=accept, patience=60) as log:
        kafka.up = False
        publishing = [asyncio.create_task(log.publish(event(n))) for n in range(3)]
        await until(lambda: len(kafka.held) == 3)
    await asyncio.gather(*publishing)  # answered: the spool has them
    later, spool = Kafka(), open_spool(tmp_path)
    assert spool.records == 3
    async with running(later, spool) as log:
        await log.publish(event(3))
        await until(lambda: not log.spooling)
    assert later.log == [0, 1, 2, 3]


async def test_a_spool_that_nobody_uses_is_replayed_by_who_is_alive(tmp_path: Path) -> None:
    """Its file is free again afterwards."""
    kafka, own, gone = Kafka(), open_spool(tmp_path), open_spool(tmp_path)
    async with running(kafka, gone) as log:
        kafka.up = False
        for n in range(3):
            await log.publish(event(n))
    kafka = Kafka()
    beside = asyncio.create_task(replay_orphans(tmp_path, kafka.connect))
    await until(lambda: kafka.log == [0, 1, 2])
    await free(tmp_path, gone)
    beside.cancel()
    own.close()


async def free(folder: Path, spool: Spool) -> None:
    """Wait until somebody may have ``spool``'s file, and nothing is in it."""
    again: list[Spool] = []

    def fact() -> bool:
        again.append(open_spool(folder))
        return again[-1].path == spool.path and again[-1].records == 0

    await until(fact)


async def test_what_is_wrong_with_anothers_spool_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No broker, or a file that cannot be read: it is tried again, and the others are replayed meanwhile."""
    monkeypatch.setattr("predictor.adopted.LOOK_SECONDS", 0.02)
    kafka, own, gone = Kafka(), open_spool(tmp_path), open_spool(tmp_path)
    (tmp_path / "7.sqlite").write_bytes(b"something else" * 1000)
    (tmp_path / "1.lock").touch()
    async with running(kafka, gone) as log:
        kafka.up = False
        await log.publish(event(0))
    kafka = Kafka()
    kafka.reachable = False
    beside = asyncio.create_task(replay_orphans(tmp_path, kafka.connect))
    await until(lambda: kafka.asked > 3)
    kafka.reachable = True
    await until(lambda: kafka.log == [0])
    await until(lambda: "7.sqlite cannot be used" in caplog.text)
    assert not beside.done()
    await free(tmp_path, gone)
    beside.cancel()
    own.close()


async def test_how_full_a_spool_is_goes_by_its_bound(tmp_path: Path) -> None:
    """The share of what it may hold, whatever that is; nothing once it is replayed. An adopted spool has no bound."""

    def filled() -> float | None:
        return REGISTRY.get_sample_value("atalaia_spool_filled_ratio")

    kafka, spool, there = Kafka(), open_spool(tmp_path), Kafka()
    kafka.up = False
    async with running(kafka, spool, max_bytes=4000) as log:
        await log.publish(event(0))
        assert filled() == spool.bytes / 4000 > 0
        async with running(there, open_spool(tmp_path), max_bytes=0):
            assert filled() == spool.bytes / 4000
        kafka.come_back()
        await until(lambda: not log.spooling)
        assert filled() == 0


async def test_the_gauges_are_of_all_spools_of_a_process(tmp_path: Path) -> None:
    """One that is adopted and emptied takes nothing away from what the own one shows."""

    def shown() -> float:
        return REGISTRY.get_sample_value("atalaia_spool_rows") or 0.0

    before = shown()
    away, there = Kafka(), Kafka()
    away.up = False
    async with running(away, open_spool(tmp_path)) as own:
        await own.publish(event(0))
        assert shown() == before + 2
        async with running(away, open_spool(tmp_path)) as gone:
            await gone.publish(event(1))
            assert shown() == before + 4
        beside = asyncio.create_task(replay_orphans(tmp_path, there.connect))
        await until(lambda: there.log == [1])
        await until(lambda: shown() == before + 2)
        beside.cancel()
        away.come_back()
        await until(lambda: not own.spooling)
    assert shown() == before


@settings(max_examples=60, deadline=None, suppress_health_check=WITH_FIXTURE)
@given(steps=st.lists(st.sampled_from(["publish", "down", "back", "fail", "wait"]), max_size=25))
def test_whatever_kafka_does_each_answered_record_comes_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Once each while the process lives, and all of them after it comes back."""

    async def story() -> None:
        kafka, spool = Kafka(), open_spool(tmp_path_factory.mktemp("spool"))
        answered: list[int] = []
        asked: list[asyncio.Task[None]] = []

        async def ask(n: int) -> None:
            await log.publish(event(n))
            answered.append(n)

        async with running(kafka, spool, patience=0.01) as log:
            for step in steps:
                if step == "publish":
                    asked.append(asyncio.create_task(ask(len(asked))))
                    await asyncio.sleep(0)
                elif step == "down":
                    kafka.up = False
                elif step == "back":
                    kafka.come_back()
                elif step == "fail" and not kafka.up:
                    kafka.fail(KafkaError("no"))
                else:
                    await asyncio.sleep(0.015)
            kafka.come_back()
            await asyncio.gather(*asked)
            await until(lambda: not log.spooling and not spool.records)
        assert kafka.log == sorted(answered) == list(range(len(asked)))

    asyncio.run(story())
