"""What arrived together is worked on together, and nobody waits for a clock.

Dynamic batching as servers for inference have it gathers for a set time; here the work itself is the time: while
batches are under way the next one gathers, and where none is, whatever is there goes at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from predictor.domain.record import MAX_RECORD_BYTES, MAX_RECORD_ROWS

Of = TypeVar("Of")
Content = TypeVar("Content")
Found = TypeVar("Found")

# One batch is under way at a time: the producer has one request a broker under way anyway, and small records cost more.
# Where enough rows have gathered another may start beside it, so that nobody idles until Kafka has acknowledged.
ENOUGH_ROWS = 32
AT_MOST = 4


class Waiting(Generic[Content, Found]):
    """A request among those gathered: ``rows`` rows of at most ``size`` bytes."""

    __slots__ = ("_future", "content", "rows", "size")

    def __init__(self, content: Content, rows: int, size: int, future: asyncio.Future[Found]) -> None:
        self.content, self.rows, self.size, self._future = content, rows, size, future

    def done(self, found: Found) -> None:
        """Answer it, unless who asked has gone."""
        if not self._future.done():
            self._future.set_result(found)

    def fail(self, error: BaseException) -> None:
        """Raise ``error`` where it waits."""
        if not self._future.done():
            self._future.set_exception(error)


Work = Callable[[Of, Sequence[Waiting[Content, Found]]], Awaitable[None]]


class Gatherer(Generic[Of, Content, Found]):
    """Gives ``work`` what has gathered, of one ``Of`` (a model's version) at a time, in order of arrival."""

    def __init__(self, work: Work[Of, Content, Found]) -> None:
        self._work = work
        self._queue: deque[tuple[Of, Waiting[Content, Found]]] = deque()
        self._batches: set[asyncio.Task[None]] = set()
        self._called = False
        self._rows = 0

    def add(self, of: Of, content: Content, rows: int, size: int) -> asyncio.Future[Found]:
        """What comes of ``content``. It goes with all that arrive in the same turn of the loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()
        self._queue.append((of, Waiting(content, rows, size, future)))
        self._rows += rows
        if not self._called and self._may():
            self._called = True
            loop.call_soon(self._start)
        return future

    async def drain(self) -> None:
        """Return once nothing waits and nothing is under way."""
        while self._queue or self._batches:
            if self._batches:
                await asyncio.wait(self._batches)
            else:
                await asyncio.sleep(0)

    def _may(self) -> bool:
        """Whether the next batch may go: none is under way, or it has gathered enough."""
        under_way = len(self._batches)
        return not under_way or (under_way < AT_MOST and self._rows >= ENOUGH_ROWS)

    def _start(self) -> None:
        self._called = False
        while self._queue and self._may():
            of, batch = self._next()
            self._rows -= sum(each.rows for each in batch)
            task = asyncio.get_running_loop().create_task(self._run(of, batch))
            self._batches.add(task)
            task.add_done_callback(self._ended)

    def _next(self) -> tuple[Of, list[Waiting[Content, Found]]]:
        of, first = self._queue.popleft()
        batch, rows, size = [first], first.rows, first.size
        while self._queue:
            other, then = self._queue[0]
            rows, size = rows + then.rows, size + then.size
            if other is not of or rows > MAX_RECORD_ROWS or size > MAX_RECORD_BYTES:
                break
            batch.append(then)
            self._queue.popleft()
        return of, batch

    async def _run(self, of: Of, batch: list[Waiting[Content, Found]]) -> None:
        try:
            await self._work(of, batch)
        except BaseException as error:  # it is raised where each request waits
            for each in batch:
                each.fail(error)
            if not isinstance(error, Exception):
                raise

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._start()
