"""An upload of lines, taken in while it arrives: parsed in blocks, each sent to Kafka while the next one comes.

What Kafka has acknowledged stays accepted, whatever comes after it: a line that is no label, a body that breaks off, a
Kafka that goes away. Sent again it changes nothing, so that whoever is in doubt sends the whole file once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from servicekit import metrics
from starlette.requests import ClientDisconnect

from feedback.consumes.http.answers import Send
from feedback.consumes.http.beside import beside
from feedback.consumes.http.blocks import blocks
from feedback.consumes.http.problems import NotTaken, Problem, problem_of
from feedback.domain.parsed import Parsed, Parser, Rejection
from feedback.domain.uploads import Labels

NAMED = 100  # rejected lines that are told of one by one
log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far an upload is: what is counted here is in Kafka, or rejected."""

    accepted: int = 0
    rejected: int = 0
    lines: int = 0
    bytes: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """As told while it goes on."""
        names = ("accepted", "rejected", "lines", "bytes")
        return {name: getattr(self, name) for name in names}

    def add(self, accepted: int, rejected: list[Rejection], lines: int, size: int) -> None:
        """Count a block; of its rejected lines the first are named."""
        self.accepted += accepted
        self.rejected += len(rejected)
        self.lines += lines
        self.bytes += size
        self.rejections += rejected[: NAMED - len(self.rejections)]


class Upload:
    """One upload. ``strict``: it ends at the first line that is no label; what stands above it is accepted.

    ``tell`` is called whenever :attr:`progress` has moved.
    """

    def __init__(
        self,
        upload_id: str,
        parser: Parser,
        send: Send,
        now: Callable[[], int],
        *,
        strict: bool = False,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.upload_id, self._parser, self._send, self._now = upload_id, parser, send, now
        self._strict, self._tell = strict, tell
        self.progress = Progress()
        self._block = self._read = 0
        self._sending: asyncio.Task[None] | None = None

    async def run(self, body: AsyncIterator[bytes]) -> Problem | dict[str, Any]:
        """Take in all of ``body``: the counts where every line is a label that Kafka has, else a problem with them.

        Raises ``ClientDisconnect`` where the upload breaks off and nobody waits for an answer.
        """
        try:
            await self._take_all(body)
        except (ClientDisconnect, asyncio.CancelledError):
            await self._settle()
            log.info("upload %s broke off: %s", self.upload_id, self.progress.counts())
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets an answer
            await self._settle()  # what was under way is counted
            return self._failed(error)
        return self._result()

    async def _take_all(self, body: AsyncIterator[bytes]) -> None:
        async with contextlib.aclosing(blocks(body)) as arriving:
            async for block in arriving:
                parsed = await beside(block, self._parser.parse, block, self._read + 1, self._now())
                self._read += parsed.lines
                await self._sent()
                self._sending = asyncio.create_task(self._take(parsed, block))
                if self._strict and parsed.rejected:
                    break
        await self._sent()

    async def _sent(self) -> None:
        """The block before is in Kafka."""
        sending, self._sending = self._sending, None
        if sending is not None:
            await sending

    async def _settle(self) -> None:
        with contextlib.suppress(NotTaken):
            await self._sent()

    async def _take(self, parsed: Parsed, block: bytes) -> None:
        labels, rejected, lines, size = parsed.labels, parsed.rejected, parsed.lines, len(block)
        if self._strict and rejected:
            rejected = rejected[:1]
            labels = parsed.above(rejected[0].line)
            lines = rejected[0].line - self.progress.lines
            size = len(b"\n".join(block.split(b"\n")[:lines])) + 1
        await self._publish(labels)
        self.progress.add(len(labels.prediction_id), rejected, lines, size)
        metrics.LABELS.labels("rejected").inc(len(rejected))
        self._tell()

    async def _publish(self, labels: Labels) -> None:
        if not labels.prediction_id:
            return
        try:
            await self._send(labels, self.upload_id, self._block)
        except Exception as error:
            raise NotTaken(str(error) or type(error).__name__) from error
        self._block += 1

    def _failed(self, error: Exception) -> Problem:
        found = problem_of(error)
        detail = f"{found.detail}. {self._so_far()}" if self.progress.lines else found.detail
        return Problem(found.status, found.title, detail, found.headers, found.members | self._told())

    def _result(self) -> Problem | dict[str, Any]:
        if self.progress.rejected:
            first = self.progress.rejections[0]
            if self._strict:
                said = f"line {first.line} is no label: {first.detail}. What stands above it is accepted, nothing below."
                return Problem(422, "Line rejected", said, members=self._told())
            n, m = self.progress.accepted, self.progress.rejected
            said = f"rejected: {m}, first line {first.line}: {first.detail}. Accepted: {n}, all other labels."
            return Problem(422, "Lines rejected", said, members=self._told())
        if not self.progress.accepted:
            return Problem(422, "Refused", "the upload holds no label", members=self._told())
        return self.progress.counts() | {"upload_id": self.upload_id}

    def _so_far(self) -> str:
        return (
            f"Accepted: {self.progress.accepted} labels, up to line {self.progress.lines}; nothing after it."
        )

    def _told(self) -> dict[str, Any]:
        rejections = [rejection.to_dict() for rejection in self.progress.rejections]
        return self.progress.counts() | {"rejections": rejections, "upload_id": self.upload_id}
