"""HTTP: labels in, the state of a prediction out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from servicekit.docs import make_docs_routes
from servicekit.http import Health, json_response, make_ops_routes, problem
from starlette.exceptions import HTTPException

from feedback.domain.join import is_prediction_id
from feedback.domain.uploads import Labels, Refused, parse_many, parse_one
from feedback.joiner import Joiner

Send = Callable[[Labels, str], Awaitable[None]]
FLUSH_SECONDS = 60.0
MAX_EMPTY_WINDOWS = 10_000

_TRUTH = {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
_TIME = {
    "oneOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}],
    "description": "default: now",
}
_ONE = {
    "type": "object",
    "required": ["prediction_id", "truth"],
    "properties": {"prediction_id": {"type": "string"}, "truth": _TRUTH, "label_time": _TIME},
}
_COLUMNS = {
    "type": "object",
    "required": ["prediction_id", "truth"],
    "properties": {
        "prediction_id": {"type": "array", "items": {"type": "string"}},
        "truth": {"type": "array", "items": _TRUTH},
        "label_time": {"type": "array", "items": _TIME},
    },
}
_MANY = {"oneOf": [_COLUMNS, {"type": "object", "properties": {"labels": {"type": "array", "items": _ONE}}}]}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def make_app(
    joiner: Joiner,
    send: Send,
    health: Health,
    *,
    max_body_bytes: int,
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> FastAPI:
    """The application. ``send`` returns when Kafka has the labels."""
    app = FastAPI(title="Atalaia feedback", version="1.0", description="Truth by prediction_id.")
    app.router.routes[:0] = [*make_ops_routes(health), *make_docs_routes("Atalaia feedback")]

    async def read(request: Request) -> bytes:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > max_body_bytes:
                raise _TooLarge
        return bytes(body)

    async def take(request: Request, parse: Callable[[bytes, int], Labels]) -> Response:
        labels = parse(await read(request), now())
        upload_id = uuid.uuid4().hex
        try:
            await send(labels, upload_id)
        except Exception as error:  # noqa: BLE001  nothing was promised: the caller may send again
            return problem(503, "Kafka did not take the labels", str(error) or type(error).__name__)
        return json_response({"accepted": len(labels.prediction_id), "upload_id": upload_id}, 202)

    @app.post("/api/v1.0/feedback/", status_code=202, summary="One label", openapi_extra=_body(_ONE))
    async def one(request: Request) -> Response:
        return await take(request, parse_one)

    @app.post("/api/v1.0/feedback/batch", status_code=202, summary="Many labels", openapi_extra=_body(_MANY))
    async def batch(request: Request) -> Response:
        return await take(request, parse_many)

    @app.get("/api/v1.0/feedback/{prediction_id}", summary="pending, joined, unknown or expired")
    async def state(prediction_id: str) -> Response:
        if not is_prediction_id(prediction_id):
            raise Refused(f"{prediction_id[:80]!r} is not a prediction_id", "prediction_id")
        if not joiner.ready:
            return problem(503, "Not ready", "the state is being rebuilt from the log; try again")
        return json_response({"prediction_id": prediction_id, **joiner.join.state(prediction_id)})

    @app.get("/api/v1.0/status", summary="Counts of the join, and how far reports are decided")
    async def status() -> Response:
        if not joiner.ready:
            return problem(503, "Not ready", "the state is being rebuilt from the log; try again")
        return json_response(joiner.status())

    @app.post("/api/v1.0/flush", summary="Decide the windows that a finished replay left open")
    async def flush(request: Request) -> Response:
        until = _until(await read(request))
        if not joiner.ready:
            return problem(503, "Not ready", "the state is being rebuilt from the log; try again")
        newest, step = joiner.quality.newest, joiner.windows.step
        if until is not None and newest is not None and until > newest + MAX_EMPTY_WINDOWS * step:
            detail = f"until lies more than {MAX_EMPTY_WINDOWS} windows after the newest row"
            return problem(422, "Too far ahead", detail, field="until")
        decided = await joiner.flush(until, FLUSH_SECONDS)
        return json_response({"decided_through": decided})

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        where: dict[str, Any] = {"field": error.field, "row": error.row}
        return problem(422, "Refused", error.detail, **{k: v for k, v in where.items() if v is not None})

    @app.exception_handler(_TooLarge)
    async def too_large(_: Request, __: _TooLarge) -> Response:
        return problem(
            413, "Too large", f"a body has at most {max_body_bytes} bytes; send the labels in parts"
        )

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        return problem(
            error.status_code, str(error.detail), str(error.detail), headers=dict(error.headers or {})
        )

    return app


class _TooLarge(Exception):
    pass


class _Flush(msgspec.Struct, forbid_unknown_fields=True):
    until: int | None = None


def _until(body: bytes) -> int | None:
    try:
        return msgspec.json.decode(body or b"{}", type=_Flush).until
    except (ValueError, RecursionError) as error:
        raise Refused(f"until is milliseconds since 1970: {error}", "until") from None
