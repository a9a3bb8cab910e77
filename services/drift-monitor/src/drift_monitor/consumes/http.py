"""HTTP: where the monitor stands, and the end of a replay."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from servicekit.http import json_response, problem, to_no_foreign_page
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drift_monitor.consumes.predictions import FUTURE_MS
from drift_monitor.domain.owner import MAX_EMPTY


class Flush(msgspec.Struct, forbid_unknown_fields=True):
    """``until``: event time before which nothing more will come, milliseconds."""

    until: int


def make_routes(
    step: int,
    get_status: Callable[[], dict[str, object]],
    newest: Callable[[], int | None],
    flush_until: Callable[[int], Awaitable[None]],
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> list[Route]:
    """``GET /api/v1.0/status`` and ``POST /api/v1.0/flush``; ``newest``: the largest event time seen.

    A flush may be no further ahead of ``now`` than a row: what comes before its ``until`` is late from then on, for good.
    """

    async def status(_: Request) -> Response:
        return json_response(get_status())

    async def flush(request: Request) -> Response:
        try:
            until = msgspec.json.decode(await request.body(), type=Flush).until
        except msgspec.MsgspecError as error:
            return problem(
                422, "Not a flush", f'{error}; expected is {{"until": milliseconds}}', field="until"
            )
        if until > now() + FUTURE_MS:
            detail = (
                "until lies more than five minutes in the future: rows that are still to come would be late"
            )
            return problem(422, "Too far ahead", detail, field="until")
        latest = newest()
        if latest is not None and until > latest + MAX_EMPTY * step:
            detail = f"until lies more than {MAX_EMPTY} windows after the newest row"
            return problem(422, "Too far ahead", detail, field="until")
        await flush_until(until)
        return json_response(get_status())

    return [
        Route("/api/v1.0/status", status, methods=["GET"]),
        Route("/api/v1.0/flush", to_no_foreign_page(flush), methods=["POST"]),
    ]
