"""What arrives together is worked on together; nobody waits for a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from predictor.domain.gathering import AT_MOST, ENOUGH_ROWS, Gatherer, Waiting
from predictor.domain.record import MAX_RECORD_BYTES, MAX_RECORD_ROWS


class Work:
    """Notes each batch, and ends it when it is let."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.held = asyncio.Event()
        self.held.set()

    async def __call__(self, of: str, waiting: Sequence[Waiting[int, int]]) -> None:
        """Answer each with its own number."""
        self.batches.append((of, [each.content for each in waiting]))
        await self.held.wait()
        for each in waiting:
            if each.content < 0:
                raise ValueError(each.content)
            each.done(each.content)


async def turns(n: int = 5) -> None:
    """Let the loop turn."""
    for _ in range(n):
        await asyncio.sleep(0)


async def test_a_lone_request_waits_for_nobody() -> None:
    """With nothing under way it is worked on in the next turn of the loop."""
    work = Work()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    future = gatherer.add("a", 1, 1, 1)
    await turns(2)
    assert work.batches == [("a", [1])]
    assert await future == 1


async def test_what_comes_while_batches_are_under_way_is_the_next() -> None:
    """It gathers until one of them ends, then goes together, in order."""
    work = Work()
    work.held.clear()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    first = gatherer.add("a", 1, 1, 1)
    await turns()
    later = [gatherer.add("a", n, 1, 1) for n in (2, 3, 4)]
    await turns()
    assert work.batches == [("a", [1])]
    work.held.set()
    assert [await f for f in (first, *later)] == [1, 2, 3, 4]
    assert work.batches == [("a", [1]), ("a", [2, 3, 4])]


async def test_large_batches_do_not_wait_for_each_other() -> None:
    """What has gathered enough rows goes although others are under way, but only so many; fewer rows wait."""
    work = Work()
    work.held.clear()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    futures = []
    for n in range(AT_MOST + 1):
        futures.append(gatherer.add("a", n, ENOUGH_ROWS, 1))
        await turns()
    futures.append(gatherer.add("a", 9, 1, 1))
    await turns()
    assert [batch for _, batch in work.batches] == [[n] for n in range(AT_MOST)]
    work.held.set()
    await asyncio.gather(*futures)
    assert [batch for _, batch in work.batches][AT_MOST:] == [[AT_MOST, 9]]


@pytest.mark.parametrize(
    ("rows", "size"), [(MAX_RECORD_ROWS // 2, 1), (1, MAX_RECORD_BYTES // 2)], ids=["rows", "bytes"]
)
async def test_a_batch_is_no_larger_than_a_record(rows: int, size: int) -> None:
    """Two that fill a record are one batch, the third is the next."""
    work = Work()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    futures = [gatherer.add("a", n, rows, size) for n in (1, 2, 3)]
    await asyncio.gather(*futures)
    assert [batch for _, batch in work.batches] == [[1, 2], [3]]


async def test_a_batch_is_of_one_version() -> None:
    """Requests that were checked against different versions are never scored together."""
    work = Work()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    await asyncio.gather(*[gatherer.add(of, n, 1, 1) for n, of in enumerate("aabba")])
    assert work.batches == [("a", [0, 1]), ("b", [2, 3]), ("a", [4])]


async def test_what_a_batch_raises_each_of_its_requests_gets() -> None:
    """Those that were answered before it keep their answer, and the next batch is worked on."""
    work = Work()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    futures = [gatherer.add("a", n, 1, 1) for n in (1, -2, 3)]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert outcomes[0] == 1
    assert all(isinstance(outcome, ValueError) for outcome in outcomes[1:])
    assert await gatherer.add("a", 4, 1, 1) == 4


async def test_who_has_gone_holds_up_nobody() -> None:
    """A request whose caller gave up is worked on with the others, and its answer goes nowhere."""
    work = Work()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    gone, there = gatherer.add("a", 1, 1, 1), gatherer.add("a", 2, 1, 1)
    gone.cancel()
    assert await there == 2


async def test_draining_waits_for_all() -> None:
    """Nothing waits and nothing is under way afterwards."""
    work = Work()
    gatherer: Gatherer[str, int, int] = Gatherer(work)
    futures = [gatherer.add("a", n, MAX_RECORD_ROWS, 1) for n in range(5)]
    await gatherer.drain()
    assert all(future.done() for future in futures)
