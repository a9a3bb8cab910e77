"""Feedback's HTTP application."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from fastapi import FastAPI
from servicekit import metrics
from servicekit.docs import make_docs_routes
from servicekit.http import Endpoint, Health, make_ops_routes, to_no_foreign_page
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from feedback.consumes.http.answers import Answers, Send
from feedback.consumes.http.forwarding import Ask, ask
from feedback.consumes.http.labels import LabelsIn
from feedback.consumes.http.problems import problem_of
from feedback.consumes.http.progress import ProgressResponse
from feedback.consumes.http.questions import PREFIX, Questions
from feedback.openapi import document


def make_app(
    answers: Answers,
    send: Send,
    health: Health,
    *,
    max_body_bytes: int,
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ask: Ask = ask,
) -> FastAPI:
    """The application. ``send`` returns when Kafka has the labels; ``ask`` reaches other replicas."""
    labels = LabelsIn(send, max_body_bytes=max_body_bytes, now=now)
    questions = Questions(answers, ask, max_body_bytes=max_body_bytes)
    app = FastAPI(title="Atalaia feedback", version="1.0.0", exception_handlers={HTTPException: _refused})
    app.router.routes[:0] = [
        _route("POST", "/feedback/", labels.one, _count),
        _route("POST", "/feedback/batch", labels.many, _count),
        _route("POST", "/feedback/states", questions.states),
        _route("GET", "/feedback/{prediction_id}", questions.state),
        _route("GET", "/status", questions.status),
        _route("POST", "/flush", to_no_foreign_page(questions.flush)),
        *make_ops_routes(health),
        *make_docs_routes("Atalaia feedback"),
    ]
    app.openapi = document  # type: ignore[method-assign]
    return app


def _route(
    method: str, path: str, work: Endpoint, count: Callable[[str, int], None] = lambda route, status: None
) -> Route:
    """``count`` is told the status of each answer; that of an upload whose progress is told when it has ended."""
    route = PREFIX + path

    async def endpoint(request: Request) -> Response:
        try:
            answer = await work(request)
        except ClientDisconnect:
            return Response()  # nobody hears it
        except HTTPException:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets an answer
            answer = problem_of(error).response()
        if isinstance(answer, ProgressResponse):
            answer.ended = partial(count, route)
        else:
            count(route, answer.status_code)
        return answer

    return Route(route, endpoint, methods=[method])


def _count(route: str, status: int) -> None:
    metrics.LABEL_REQUESTS.labels(route, status).inc()


async def _refused(_: Request, error: Exception) -> Response:
    return problem_of(error).response()
