"""A spool as the event loop uses it: on a thread of its own, one write after the other, and shown as metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from servicekit import metrics

from predictor.spool import Record, Spool, SpoolFailed

log = logging.getLogger(__name__)
T = TypeVar("T")
Numbered = tuple[int, Record]


class Disk:
    """``spool``'s writes and reads, awaited; ``failed`` after a write that was not taken, until one is again.

    ``max_bytes`` is what may be in it, which whoever appends sees to; 0: nothing more.

    All raise :class:`SpoolFailed`.
    """

    def __init__(self, spool: Spool, max_bytes: int) -> None:
        self.spool, self.failed, self._max_bytes = spool, False, max_bytes
        self.coming = 0  # records that are being written
        self.order = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "spool")
        self._shown = (0, 0)
        self._show()

    async def append(self, records: Sequence[Record]) -> list[int]:
        """Keep ``records`` behind those that are here, in the order of the calls."""
        self.coming += len(records)
        try:
            async with self.order:
                numbers = await self._run(self.spool.append, records)
        except SpoolFailed:
            self.failed = True
            raise
        finally:
            self.coming -= len(records)
        metrics.ROWS_KEPT.labels("spooled").inc(sum(record.rows for record in records))
        self._show()
        return numbers

    async def head(self, records: int, size: int) -> list[Numbered]:
        """The oldest."""
        return await self._run(self.spool.head, records, size)

    async def drop(self, gone: Sequence[Numbered]) -> None:
        """Forget records that Kafka has."""
        if gone:
            await self._run(self.spool.drop, gone)
            self._show()

    async def set_aside(self, number: int, record: Record, why: str) -> None:
        """Keep a record where it holds up nobody."""
        await self._run(self.spool.set_aside, number, record, why)
        metrics.ROWS_KEPT.labels("set aside").inc(record.rows)
        log.error("a record of %d rows is set aside in %s: %s", record.rows, self.spool.path, why)
        self._show()

    async def probe(self) -> bool:
        """Whether the disk takes anything; then it has not failed any more."""
        try:
            await self._run(self.spool.probe)
        except SpoolFailed:
            return False
        self.failed = False
        return True

    async def close(self) -> None:
        """Let go of the file; what is in it stays."""
        if self.spool.records:
            log.warning("%d records stay in %s until they are replayed", self.spool.records, self.spool.path)
        await self._run(self.spool.close)
        self._thread.shutdown()
        self._show(0, 0)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _show(self, rows: int | None = None, size: int | None = None) -> None:
        """A process may have two: its own and one of a worker that has gone, which takes nothing. Rows and bytes are of both."""
        now = (self.spool.rows if rows is None else rows), (self.spool.bytes if size is None else size)
        metrics.SPOOL_ROWS.inc(now[0] - self._shown[0])
        metrics.SPOOL_BYTES.inc(now[1] - self._shown[1])
        if self._max_bytes:
            metrics.SPOOL_FILLED.set(now[1] / self._max_bytes)
        self._shown = now
