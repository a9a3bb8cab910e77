"""HTTP: where the monitor stands, and the end of a replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from servicekit.http import json_response, problem
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drift_monitor.domain.owner import MAX_EMPTY
from drift_monitor.domain.watermark import NEVER
from drift_monitor.monitor import Monitor


class Flush(msgspec.Struct, forbid_unknown_fields=True):
    """``until``: event time before which nothing more will come, milliseconds."""

    until: int


def make_routes(monitor: Monitor, get_status: Callable[[], dict[str, object]]) -> list[Route]:
    """``GET /api/v1.0/status`` and ``POST /api/v1.0/flush``."""

    async def status(_: Request) -> Response:
        return json_response(get_status())

    async def flush(request: Request) -> Response:
        try:
            until = msgspec.json.decode(await request.body(), type=Flush).until
        except msgspec.MsgspecError as error:
            return problem(
                422, "Not a flush", f'{error}; expected is {{"until": milliseconds}}', field="until"
            )
        latest: list[Any] = [
            o.watermark.newest for o in monitor.owners.values() if o.watermark.newest > NEVER
        ]
        if latest and until > max(latest) + MAX_EMPTY * monitor.grid.step:
            detail = f"until lies more than {MAX_EMPTY} windows after the newest row"
            return problem(422, "Too far ahead", detail, field="until")
        await monitor.flush(until)
        return json_response(get_status())

    return [
        Route("/api/v1.0/status", status, methods=["GET"]),
        Route("/api/v1.0/flush", flush, methods=["POST"]),
    ]
