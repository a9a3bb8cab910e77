"""The predictor's HTTP application: FastAPI, with the routes that carry the traffic in front of it."""

from __future__ import annotations

import time

from fastapi import FastAPI
from servicekit.docs import make_docs_routes
from servicekit.http import Health, json_response, make_ops_routes, problem
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from predictor.consumes.http.hot import Hot
from predictor.consumes.http.inference_protocol import make_routes as make_protocol_routes
from predictor.consumes.http.predict import Clock, Endpoints, Handler
from predictor.consumes.http.problems import refusal
from predictor.domain.service import NoModel, Predictor
from predictor.openapi import document


def make_app(
    predictor: Predictor,
    health: Health,
    *,
    max_body_bytes: int,
    event_time_required: bool,
    clock: Clock = time.time,
    hot: bool = True,
) -> ASGIApp:
    """The application; its documentation describes the fields of the version that serves.

    Without ``hot`` FastAPI answers every route and each request goes through the check that names its faults: the same
    answers, slower.
    """

    async def serving(_: Request) -> Response:
        try:
            return json_response({"model": predictor.model.name, "version": predictor.model.version})
        except NoModel as error:
            return refusal(error).response()

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers, detail = dict(error.headers or {}), f"{error.detail}: see /docs."
        protocols = {"error": detail} if request.url.path.startswith("/v2") else {}
        return problem(error.status_code, error.detail, detail, headers=headers, **protocols)

    endpoints = Endpoints(
        predictor,
        max_body_bytes=max_body_bytes,
        event_time_required=event_time_required,
        clock=clock,
        quick=hot,
    )
    app = FastAPI(title="Atalaia predictor", version="1.0.0", exception_handlers={HTTPException: refused})
    app.router.routes[:0] = [
        *(Route(path, _through(handler), methods=["POST"]) for path, handler in endpoints.routes().items()),
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
    return Hot(app, endpoints.routes(), endpoints.begin) if hot else app


def _through(handler: Handler):  # type: ignore[no-untyped-def]
    async def endpoint(request: Request) -> Response:
        try:
            status, headers, body = await handler(request.scope, request.receive)
        except ClientDisconnect:
            return Response()  # nobody hears it
        response = Response(body, status)
        response.raw_headers = list(headers)
        return response

    return endpoint
