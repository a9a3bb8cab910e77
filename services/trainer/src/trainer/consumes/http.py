"""HTTP: what the trainer is doing, for people and for whoever waits for it; a training that somebody asks for, a word on a challenger."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from contracts.events import ChallengerReviewed, TrainingDecided, TrainingRequested
from servicekit.http import Health, json_response, make_ops_routes, problem, to_no_foreign_page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Ask = Callable[[TrainingRequested], Awaitable[None]]
Review = Callable[[ChallengerReviewed], Awaitable[None]]
Pending = Callable[[], TrainingDecided | None]


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    since: int | None = None
    reason: str = ""
    requested_by: str = ""


class _Reviewed(msgspec.Struct, forbid_unknown_fields=True):
    approved: bool
    reason: str = ""
    reviewed_by: str = ""


def make_app(
    model: str,
    get_status: Callable[[], dict[str, Any]],
    ask: Ask,
    health: Health,
    review: Review,
    pending: Pending,
) -> Starlette:
    """``GET /api/v1.0/status``, ``POST /api/v1.0/trainings``, ``POST /api/v1.0/trainings/{run_id}/review``, health, metrics.

    A training is asked for with an optional JSON object ``{"since", "reason", "requested_by"}``; 202 once Kafka has it, with
    the ``request_id`` that its decision on ``training-runs`` bears as ``alert_id``. A run that is pending is reviewed with
    ``{"approved", "reason", "reviewed_by"}``; 202 once Kafka has it, 409 for one that does not wait for that word.
    """

    async def status(_: Request) -> Response:
        return json_response(get_status())

    async def train(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=_Asked)
        except (ValueError, RecursionError) as error:
            return problem(422, "Not a request", f"the body is not a request for a training: {error}")
        event = TrainingRequested(
            request_id=uuid.uuid4().hex,
            model=model,
            since=asked.since,
            reason=asked.reason,
            requested_by=asked.requested_by,
        )
        try:
            await ask(event)
        except Exception as error:  # noqa: BLE001  whatever the producer raises: it may be asked for again
            return problem(503, "Not taken", f"Kafka did not take the request: {error}")
        return json_response({"request_id": event.request_id}, 202)

    async def judge(request: Request) -> Response:
        name, run = request.path_params["run_id"], pending()
        try:
            said = msgspec.json.decode(await request.body(), type=_Reviewed)
        except (ValueError, RecursionError) as error:
            return problem(422, "Not a review", f"the body is not a word on a challenger: {error}")
        if run is None or run.run_id != name:
            return problem(409, "Not pending", f"run {name} does not wait for anybody")
        if said.approved and run.waits_for != "approval":
            return problem(409, "Not yet", f"run {name} is in its shadow period: it can only be refused")
        event = ChallengerReviewed(
            run_id=name,
            model=model,
            version=run.challenger_version or "",
            approved=said.approved,
            reason=said.reason,
            reviewed_by=said.reviewed_by,
        )
        try:
            await review(event)
        except Exception as error:  # noqa: BLE001  whatever the producer raises: it may be said again
            return problem(503, "Not taken", f"Kafka did not take the word: {error}")
        return json_response({"run_id": name}, 202)

    return Starlette(
        routes=[
            Route("/api/v1.0/status", status),
            Route("/api/v1.0/trainings", to_no_foreign_page(train), methods=["POST"]),
            Route("/api/v1.0/trainings/{run_id}/review", to_no_foreign_page(judge), methods=["POST"]),
            *make_ops_routes(health),
        ]
    )
