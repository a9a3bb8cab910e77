"""``/predict/`` and ``/predict/batch``: parse, call :class:`Predictor`, answer. Errors are RFC 9457 problems.

The same for every way a request comes in: through FastAPI, or past it (:mod:`predictor.consumes.hot`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson
from scoring import Unscorable
from servicekit import metrics
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from predictor.consumes.body import UnknownEncoding, parse_json, read_body
from predictor.domain.model import Model
from predictor.domain.request import Columns, Invalid, TooLarge, check
from predictor.domain.service import NoModel, Predictor
from predictor.produces.predictions import NotPublished

SINGLE, BATCH = "/api/v1.0/predict/", "/api/v1.0/predict/batch"
RETRY_SECONDS = b"5"
Clock = Callable[[], float]
log = logging.getLogger(__name__)
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


def problem_reply(
    status: int, title: str, detail: str, *, retry: bool = False, members: dict[str, Any] | None = None
) -> Reply:
    """An RFC 9457 problem; ``members`` are its own, ``retry`` says when to come again."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **(members or {})}
    body = orjson.dumps(content)
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/problem+json")]
    return Reply(status, [*headers, (b"retry-after", RETRY_SECONDS)] if retry else headers, body)


def refusal(error: Exception) -> tuple[str, Reply]:
    """The cause, as ``atalaia_requests_refused_total`` names it, and the answer to what could not be done."""
    if isinstance(error, Invalid):
        return "invalid", problem_reply(422, "Invalid input", str(error), members={"errors": error.errors})
    if isinstance(error, TooLarge):
        return "too_large", problem_reply(413, "Too large", str(error))
    if isinstance(error, UnknownEncoding):
        reply = problem_reply(415, "Unsupported encoding", str(error))
        return "invalid", reply._replace(headers=[*reply.headers, (b"accept-encoding", b"gzip, deflate")])
    if isinstance(error, NoModel):
        return "no_model", problem_reply(503, "No model", str(error), retry=True)
    if isinstance(error, NotPublished):
        detail = f"{error}; no prediction was promised. Try again."
        return "not_recorded", problem_reply(503, "Not recorded", detail, retry=True)
    if isinstance(error, Unscorable):
        log.error("a request was not scored: %s", error)
        detail = "The model failed on these rows; no prediction was promised."
        return "not_scored", problem_reply(500, "Not scored", detail)
    log.error("a request failed", exc_info=error)
    return "error", problem_reply(
        500, "Internal error", "The service's log says more; no prediction was promised."
    )


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
        raise Invalid(errors + [{"field": name, "message": "is not known here"} for name in odd])


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

    def routes(self) -> dict[str, Handler]:
        """Path and handler; the method is POST."""
        return {SINGLE: self._counted(SINGLE, self._single), BATCH: self._counted(BATCH, self._batch)}

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
                cause, reply = refusal(error)
                metrics.REQUESTS.labels(route, reply.status).inc()
                metrics.REQUESTS_REFUSED.labels(route, cause).inc()
            seconds.observe(clock() - started)
            return reply

        return handler

    async def _single(self, body: bytes) -> bytes:
        model = self._predictor.model
        now = int(self._clock() * 1000)
        columns = model.reader.single(body, now, self._required) if self._quick else None
        if columns is None:
            content = parsed(body)
            _only(content, "features", "event_time")
            columns = self._checked([content["features"]], content, model, now, single=True)
        return (await self._predictor.predict(columns, model)).single()

    async def _batch(self, body: bytes) -> bytes:
        model = self._predictor.model
        now = int(self._clock() * 1000)
        columns = model.reader.batch(body, now, self._required) if self._quick else None
        if columns is None:
            content = parsed(body)
            _only(content, "rows", "event_time")
            if not isinstance(content["rows"], list):
                raise Invalid([{"field": "rows", "message": "must be an array of objects"}])
            columns = self._checked(content["rows"], content, model, now, single=False)
        return (await self._predictor.predict(columns, model)).batch()

    def _checked(
        self, rows: list[Any], content: dict[str, Any], model: Model, now: int, *, single: bool
    ) -> Columns:
        at = content.get("event_time")
        return check(rows, at, model.fields, now=now, required=self._required, single=single)
