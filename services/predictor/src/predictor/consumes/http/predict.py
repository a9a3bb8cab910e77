"""``/predict/`` and ``/predict/batch``: parse, call :class:`Predictor`, answer. Errors are RFC 9457 problems.

The same for every way a request comes in: through FastAPI, or past it (:mod:`predictor.consumes.http.hot`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from servicekit import metrics
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope

from predictor.consumes.http.beside import LARGE_BYTES, beside
from predictor.consumes.http.body import parse_json, read_body
from predictor.consumes.http.problems import refusal
from predictor.domain.answer import Answer, Part
from predictor.domain.model import Model
from predictor.domain.request import MAX_ERRORS, Columns, Invalid, TooLarge, check
from predictor.domain.service import Predictor
from predictor.produces.predictions import NotPublished

SINGLE, BATCH = "/api/v1.0/predict/", "/api/v1.0/predict/batch"
Clock = Callable[[], float]
Header = tuple[bytes, bytes]


class Reply(NamedTuple):
    """What goes back, whatever writes it."""

    status: int
    headers: list[Header]
    body: bytes


Handler = Callable[[Scope, Receive], Awaitable[Reply]]


def json_reply(body: bytes) -> Reply:
    """200 with JSON."""
    length = str(len(body)).encode()
    return Reply(200, [(b"content-length", length), (b"content-type", b"application/json")], body)


def as_reply(response: Response) -> Reply:
    """What a response of Starlette's would send."""
    return Reply(response.status_code, response.raw_headers, bytes(response.body))


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; raises :class:`Invalid`."""
    content = parse_json(body)
    if not isinstance(content, dict):
        raise Invalid([{"field": "body", "message": "must be a JSON object"}])
    return content


def _only(content: dict[str, Any], *names: str) -> None:
    odd = [name for name in content if name not in names]
    if odd or names[0] not in content:
        errors = [{"field": names[0], "message": "is missing"}] if names[0] not in content else []
        raise Invalid(errors + [{"field": name, "message": "is not known here"} for name in odd[:MAX_ERRORS]])


class Endpoints:
    """The two routes. ``quick``: try the model's own types first, and say what is wrong only where they do not fit."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        max_body_bytes: int,
        event_time_required: bool,
        clock: Clock = time.time,
        quick: bool = True,
    ) -> None:
        self._predictor, self._limit, self._clock = predictor, max_body_bytes, clock
        self._required, self._quick = event_time_required, quick
        self._good, self._seconds = (
            metrics.REQUESTS.labels(SINGLE, 200),
            metrics.REQUEST_SECONDS.labels(SINGLE),
        )

    def routes(self) -> dict[str, Handler]:
        """Path and handler; the method is POST."""
        return {SINGLE: self._counted(SINGLE, self._single), BATCH: self._counted(BATCH, self._batch)}

    def begin(self, body: bytes, done: Callable[[Reply], None]) -> bool:
        """Start on ``/predict/`` without a coroutine; ``done`` is called once it is answered.

        False, and nothing has begun, for all that a handler has to look at: what is not well-formed, or is refused.
        """
        started = time.perf_counter()
        if len(body) > self._limit or not self._predictor.ready:
            return False
        model = self._predictor.model
        columns = model.reader.single(body, int(self._clock() * 1000), self._required)
        if columns is None:
            return False

        def then(found: asyncio.Future[Part]) -> None:
            try:
                reply = json_reply(Answer(model.form, [found.result()]).single())
                self._good.inc()
            except asyncio.CancelledError:
                reply = self._refused(SINGLE, RuntimeError("the service ended before the row was recorded"))
            except Exception as error:  # noqa: BLE001  whatever it is, the caller gets an answer
                reply = self._refused(SINGLE, error)
            self._seconds.observe(time.perf_counter() - started)
            done(reply)

        try:
            return self._predictor.begin(columns, model, then)
        except (TooLarge, NotPublished):
            return False

    @staticmethod
    def _refused(route: str, error: Exception) -> Reply:
        refused = refusal(error)
        reply = as_reply(refused.response())
        metrics.REQUESTS.labels(route, reply.status).inc()
        metrics.REQUESTS_REFUSED.labels(route, refused.cause).inc()
        return reply

    def _counted(self, route: str, work: Callable[[bytes], Awaitable[bytes]]) -> Handler:
        good, seconds = metrics.REQUESTS.labels(route, 200), metrics.REQUEST_SECONDS.labels(route)
        clock = time.perf_counter

        async def handler(scope: Scope, receive: Receive) -> Reply:
            started = clock()
            try:
                reply = json_reply(await work(await read_body(scope, receive, self._limit)))
                good.inc()
            except ClientDisconnect:
                raise
            except Exception as error:  # noqa: BLE001  whatever it is, the caller gets an answer
                reply = self._refused(route, error)
            seconds.observe(clock() - started)
            return reply

        return handler

    async def _single(self, body: bytes) -> bytes:
        model, now, large = self._predictor.model, int(self._clock() * 1000), len(body) > LARGE_BYTES
        columns = await beside(self._row, body, model, now) if large else self._row(body, model, now)
        return (await self._predictor.predict(columns, model)).single()

    async def _batch(self, body: bytes) -> bytes:
        model, now, large = self._predictor.model, int(self._clock() * 1000), len(body) > LARGE_BYTES
        columns = await beside(self._rows, body, model, now) if large else self._rows(body, model, now)
        answer = await self._predictor.predict(columns, model)
        return await beside(answer.batch) if large else answer.batch()

    def _row(self, body: bytes, model: Model, now: int) -> Columns:
        columns = model.reader.single(body, now, self._required) if self._quick else None
        if columns is None:
            content = parsed(body)
            _only(content, "features", "event_time")
            columns = self._checked([content["features"]], content, model, now, single=True)
        return columns

    def _rows(self, body: bytes, model: Model, now: int) -> Columns:
        columns = model.reader.batch(body, now, self._required) if self._quick else None
        if columns is None:
            content = parsed(body)
            _only(content, "rows", "event_time")
            if not isinstance(content["rows"], list):
                raise Invalid([{"field": "rows", "message": "must be an array of objects"}])
            columns = self._checked(content["rows"], content, model, now, single=False)
        return columns

    def _checked(
        self, rows: list[Any], content: dict[str, Any], model: Model, now: int, *, single: bool
    ) -> Columns:
        at = content.get("event_time")
        return check(rows, at, model.fields, now=now, required=self._required, single=single)
