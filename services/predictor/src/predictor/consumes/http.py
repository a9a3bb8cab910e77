"""HTTP: parse, call :class:`Predictor`, answer. Errors are RFC 9457 problems."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI
from scoring import Unscorable
from servicekit import metrics
from servicekit.docs import make_docs_routes
from servicekit.http import Health, json_response, make_ops_routes, problem
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from predictor.consumes.inference_protocol import make_routes as make_protocol_routes
from predictor.domain.request import Invalid, check
from predictor.domain.service import NoModel, Predictor
from predictor.openapi import document
from predictor.produces.predictions import NotPublished

SINGLE, BATCH = "/api/v1.0/predict/", "/api/v1.0/predict/batch"
Clock = Callable[[], float]
log = logging.getLogger(__name__)


class TooLarge(ValueError):
    """The body is over the limit."""


async def _body(request: Request, limit: int) -> Any:
    declared = request.headers.get("content-length")
    if declared and declared.isdigit() and int(declared) > limit:
        raise TooLarge
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge
        parts.append(chunk)
    content = _parsed(b"".join(parts))
    if not isinstance(content, dict):
        raise Invalid([{"field": "body", "message": "must be a JSON object"}])
    return content


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Python's own json writes NaN and Infinity, which JSON has not, and 1e999 is no double: read all the same, so
        # that the field which holds one is named. None of them passes the check.
        odd: list[float] = []

        def number(text: str) -> float:
            value = float(text)
            if not math.isfinite(value):
                odd.append(value)
            return value

        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(body, parse_float=number, parse_constant=number)
            if odd:
                return content
        raise Invalid([{"field": "body", "message": f"is not JSON: {error}"}]) from None


def _only(content: dict[str, Any], *names: str) -> None:
    odd = [name for name in content if name not in names]
    if odd or names[0] not in content:
        errors = [{"field": names[0], "message": "is missing"}] if names[0] not in content else []
        raise Invalid(errors + [{"field": name, "message": "is not known here"} for name in odd])


def make_app(
    predictor: Predictor,
    health: Health,
    *,
    max_body_bytes: int,
    event_time_required: bool,
    clock: Clock = time.time,
) -> FastAPI:
    """The application; the documentation describes the fields of the version that serves."""

    async def answer(request: Request, route: str, work: Callable[[dict[str, Any]], Any]) -> Response:
        started = time.perf_counter()
        try:
            response = json_response(await work(await _body(request, max_body_bytes)))
        except Invalid as error:
            response = problem(422, "Invalid input", str(error), errors=error.errors)
        except TooLarge:
            response = problem(
                413, "Too large", f"A request body may have {max_body_bytes} bytes at the most."
            )
        except NoModel as error:
            response = problem(503, "No model", str(error), headers={"Retry-After": "5"})
        except NotPublished as error:
            response = problem(
                503,
                "Not recorded",
                f"{error}; no prediction was promised. Try again.",
                headers={"Retry-After": "5"},
            )
        except Unscorable as error:
            log.error("a request was not scored: %s", error)
            response = problem(
                500, "Not scored", "The model failed on these rows; no prediction was promised."
            )
        metrics.REQUESTS.labels(route, response.status_code).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)
        return response

    def now() -> int:
        return int(clock() * 1000)

    async def single(content: dict[str, Any]) -> Any:
        model = predictor.model
        _only(content, "features", "event_time")
        columns = check(
            [content["features"]], content.get("event_time"), model.fields,
            now=now(), required=event_time_required, single=True,
        )  # fmt: skip
        metrics.BATCH_ROWS.observe(1)
        found = await predictor.predict(columns, model)
        return {"model": model.name, "version": model.version, **found.row(0)}

    async def batch(content: dict[str, Any]) -> Any:
        model = predictor.model
        _only(content, "rows", "event_time")
        rows = content["rows"]
        if not isinstance(rows, list):
            raise Invalid([{"field": "rows", "message": "must be an array of objects"}])
        columns = check(
            rows,
            content.get("event_time"),
            model.fields,
            now=now(),
            required=event_time_required,
            single=False,
        )
        metrics.BATCH_ROWS.observe(len(rows))
        found = await predictor.predict(columns, model)
        return {
            "model": model.name,
            "version": model.version,
            "predictions": [found.row(i) for i in range(len(rows))],
        }

    async def predict(request: Request) -> Response:
        return await answer(request, SINGLE, single)

    async def predict_batch(request: Request) -> Response:
        return await answer(request, BATCH, batch)

    async def serving(_: Request) -> Response:
        if not predictor.ready:
            return problem(503, "No model", "no model is loaded yet", headers={"Retry-After": "5"})
        return json_response({"model": predictor.model.name, "version": predictor.model.version})

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        return problem(error.status_code, error.detail, f"{error.detail}: see /docs.", headers=headers)

    app = FastAPI(title="Atalaia predictor", version="1.0.0", exception_handlers={HTTPException: refused})
    app.router.routes[:0] = [
        Route(SINGLE, predict, methods=["POST"]),
        Route(BATCH, predict_batch, methods=["POST"]),
        Route("/api/v1.0/model", serving, methods=["GET"]),
        *make_ops_routes(health),
        *make_docs_routes("Atalaia predictor"),
        *make_protocol_routes(
            predictor,
            health,
            max_body_bytes=max_body_bytes,
            event_time_required=event_time_required,
            clock=clock,
        ),
    ]
    app.openapi = lambda: document(predictor.model if predictor.ready else None, event_time_required)  # type: ignore[method-assign]
    return app
