"""The driver: predictions in order of event time, labels once they are known, never far ahead of the loop.

At a boundary B everything in flight is awaited and every label known before B is uploaded; only then do later
predictions go out. So what the loop knows at B does not hang on how fast this machine is. Nor does it show in what comes
of B: the monitor decides B at the first row past B and the grace, and there event time is held until it has and what it
asked for is done. What comes between B and that row is served by whoever served before, as it would be live.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import orjson
from servicekit.errors import UserError

from atalaia.demo.batches import Batch, next_boundary

MAX_FAILURES = 20


@dataclass
class Sent:
    """What the driver did, to be held against what the topics say."""

    batches: int = 0
    rows: int = 0
    labels: int = 0
    uploads: int = 0
    failures: list[str] = field(default_factory=list)
    phases: dict[str, str] = field(default_factory=dict)  # batch id -> phase, where phases are named
    versions: Counter[str] = field(default_factory=Counter)
    answered: dict[str, int] = field(default_factory=dict)  # version -> its first answer, wall clock, ms


class Replay:
    """Sends batches; calls ``hold(B)`` when B can be decided, while nothing is in flight.

    ``pass_time(until)`` is called before it where no row says that it is later: in windows without rows, and at the end.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        predictor: str,
        feedback: str,
        *,
        origin: int,
        window: int,
        grace: int,
        upload_every: int,
        hold: Callable[[int], Awaitable[None]],
        pass_time: Callable[[int], Awaitable[None]],
        progress: Callable[[int, int], None] = lambda rows, event_time: None,
        concurrency: int = 16,
        upload_rows: int = 5_000,
    ) -> None:
        self.sent = Sent()
        self._session = session
        self._predict_url = predictor + "/api/v1.0/predict/batch"
        self._feedback_url = feedback + "/api/v1.0/feedback/batch"
        self._origin, self._window, self._grace, self._upload_every = origin, window, grace, upload_every
        self._hold, self._pass_time, self._progress = hold, pass_time, progress
        self._concurrency, self._upload_rows = concurrency, upload_rows
        self._due: list[tuple[int, int, str, Any]] = []  # heap by label time; the count breaks ties
        self._order = count()

    async def run(self, batches: Iterable[Batch]) -> Sent:
        """All of ``batches``; then every label that is left, and the end of the last window."""
        queue: asyncio.Queue[Batch] = asyncio.Queue(2 * self._concurrency)
        workers = [asyncio.create_task(self._work(queue)) for _ in range(self._concurrency)]
        undecided: deque[int] = deque()  # boundaries that rows have passed
        try:
            boundary = next_upload = 0
            for batch in batches:
                if not boundary:
                    boundary = next_boundary(batch.event_time, self._origin, self._window)
                    next_upload = batch.event_time + self._upload_every
                while batch.event_time >= boundary:
                    await self._drain(queue, workers)
                    await self.upload(boundary)
                    undecided.append(boundary)
                    boundary += self._window
                if batch.event_time >= next_upload:
                    await self.upload(batch.event_time)
                    next_upload = batch.event_time + self._upload_every
                over = [b for b in undecided if b + self._grace <= batch.event_time]
                if over:
                    await self._drain(queue, workers)
                    for _ in over[1:]:  # one after the other, though all are over by this row
                        await self._pass(undecided.popleft())
                await queue.put(batch)
                if over:
                    await self._drain(queue, workers)
                    await self._hold(undecided.popleft())
                if len(self.sent.failures) > MAX_FAILURES:
                    break
            await self._drain(queue, workers)
            if boundary:
                await self.upload(boundary)
                undecided.append(boundary)
            await self.upload(None)
            while undecided and len(self.sent.failures) <= MAX_FAILURES:
                await self._pass(undecided.popleft())
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if len(self.sent.failures) > MAX_FAILURES:
            raise UserError(f"more than {MAX_FAILURES} requests failed; the first: {self.sent.failures[0]}")
        return self.sent

    async def _pass(self, boundary: int) -> None:
        """Have a boundary decided that no row is past."""
        await self._pass_time(boundary + self._grace)
        await self._hold(boundary)

    async def _drain(self, queue: asyncio.Queue[Batch], workers: list[asyncio.Task[None]]) -> None:
        joined = asyncio.create_task(queue.join())
        done, _ = await asyncio.wait({joined, *workers}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {joined}:
            joined.cancel()
            task.result()  # a worker ends only by an error of this program

    async def _work(self, queue: asyncio.Queue[Batch]) -> None:
        while True:
            batch = await queue.get()
            try:
                await self._send(batch)
            finally:
                queue.task_done()

    async def _post(self, url: str, body: bytes, expected: int) -> Any:
        try:
            async with self._session.post(url, data=body) as answer:
                content = await answer.read()
                if answer.status == expected:
                    return orjson.loads(content)
                self.sent.failures.append(
                    f"{url}: HTTP {answer.status} {content[:300].decode(errors='replace')}"
                )
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            self.sent.failures.append(f"{url}: {type(error).__name__} {error}")
        return None

    async def _send(self, batch: Batch) -> None:
        answer = await self._post(self._predict_url, batch.body, 200)
        if answer is None:
            return
        rows = answer["predictions"]
        if len(rows) != batch.rows:
            self.sent.failures.append(f"{batch.rows} rows were sent, {len(rows)} answered")
            return
        self.sent.batches += 1
        self.sent.rows += batch.rows
        self.sent.versions[answer["version"]] += batch.rows
        self.sent.answered.setdefault(answer["version"], time.time_ns() // 1_000_000)
        due, order = self._due, self._order
        for row, truth, known in zip(rows, batch.truths, batch.label_times, strict=True):
            if truth is not None:
                heapq.heappush(due, (known, next(order), row["prediction_id"], truth))
        if batch.phase:
            for row in rows:
                self.sent.phases[row["prediction_id"]] = batch.phase
        self._progress(batch.rows, batch.event_time)

    async def upload(self, before: int | None) -> None:
        """Upload labels known before ``before`` (all of them: None), in order of the time they became known."""
        due = self._due
        while due and (before is None or due[0][0] < before):
            ids: list[str] = []
            truths: list[Any] = []
            times: list[int] = []
            while due and (before is None or due[0][0] < before) and len(ids) < self._upload_rows:
                known, _, prediction_id, truth = heapq.heappop(due)
                ids.append(prediction_id)
                truths.append(truth)
                times.append(known)
            body = orjson.dumps(
                {"prediction_id": ids, "truth": truths, "label_time": times},
                option=orjson.OPT_SERIALIZE_NUMPY,
            )
            answer = await self._post(self._feedback_url, body, 202)
            if answer is not None:
                self.sent.uploads += 1
                self.sent.labels += int(answer["accepted"])
