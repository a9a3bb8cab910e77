"""An answer that tells how far an upload is while it arrives: NDJSON, whose last line bears the upload's ``status``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from servicekit.http import json_response
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from feedback.consumes.http.media import NDJSON
from feedback.consumes.http.problems import Problem
from feedback.consumes.http.stream import Upload

TAKEN = 202
Result = Problem | dict[str, Any]


def finished(result: Result) -> Response:
    """The answer to an upload that has ended."""
    return result.response() if isinstance(result, Problem) else json_response(result, TAKEN)


class ProgressResponse(Response):
    """Begins once Kafka has the first labels; an upload that fails before that is answered like any other request.

    A line is written when the one before has been taken: a caller that reads nothing until all is sent holds up neither
    its upload nor anything else, and finds fewer lines.
    """

    def __init__(self, upload: Upload, body: AsyncIterator[bytes], news: asyncio.Event) -> None:
        super().__init__(status_code=200, headers={"content-type": NDJSON})
        self._upload, self._body, self._news = upload, body, news
        self.ended: Callable[[int], None] = lambda status: None  # is told the upload's status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and answer at once."""
        running = asyncio.create_task(self._upload.run(self._body))
        running.add_done_callback(self._done)
        try:
            await self._news.wait()
            if running.done():
                await finished(running.result())(scope, receive, send)
                return
            headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while not running.done():
                self._news.clear()
                await self._line(send, self._upload.progress.counts())
                await self._news.wait()
            await self._line(send, _last(running.result()), more=False)
        except ClientDisconnect:
            return  # nobody hears it
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, ClientDisconnect):
                await running

    def _done(self, running: asyncio.Task[Result]) -> None:
        self._news.set()
        if not running.cancelled() and running.exception() is None:
            result = running.result()
            self.ended(result.status if isinstance(result, Problem) else TAKEN)

    @staticmethod
    async def _line(send: Send, content: dict[str, Any], more: bool = True) -> None:
        body = orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
        await send({"type": "http.response.body", "body": body, "more_body": more})


def _last(result: Result) -> dict[str, Any]:
    return result.content() if isinstance(result, Problem) else {"status": TAKEN, **result}
