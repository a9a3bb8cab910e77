"""HTTP: what the trainer is doing, for people and for whoever waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from servicekit.http import Health, make_ops_routes
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from trainer.loop import Loop


def make_app(loop: Loop, health: Health) -> Starlette:
    """``GET /api/v1.0/status``, health and metrics."""

    async def status(_: Request) -> JSONResponse:
        knowledge = loop.knowledge
        alert = loop.open_alert
        return JSONResponse(
            {
                "model": knowledge.model,
                "version": knowledge.serving.version if knowledge.serving else None,
                "considered_through": knowledge.considered_through,
                "running": loop.running,
                "open_alert": alert.alert_id if alert else None,
                "outcomes": len(knowledge.ledger),
                "decisions": [msgspec.to_builtins(d) for d in knowledge.history.decisions],
            }
        )

    return Starlette(routes=[Route("/api/v1.0/status", status), *make_ops_routes(health)])
