"""HTTP: what the trainer is doing, for people and for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from servicekit.http import Health, json_response, make_ops_routes
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def make_app(get_status: Callable[[], dict[str, Any]], health: Health) -> Starlette:
    """``GET /api/v1.0/status``, health and metrics."""

    async def status(_: Request) -> Response:
        return json_response(get_status())

    return Starlette(routes=[Route("/api/v1.0/status", status), *make_ops_routes(health)])
