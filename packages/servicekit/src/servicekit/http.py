"""Health, metrics and problem details, the same in every service (RFC 9457 for errors)."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import servicekit.metrics  # noqa: F401  so that /metrics names every metric from the start
from servicekit.draining import DrainingServer
from servicekit.errors import UserError

Check = Callable[[], bool | Awaitable[bool]]
CHECK_SECONDS = 5.0


class Health:
    """Named checks of what a service needs; a check that raises has failed."""

    def __init__(self, **checks: Check) -> None:
        self.checks: dict[str, Check] = dict(checks)
        self.draining = False
        """Set once the service has been told to end: it is asked for nothing more."""

    def add(self, name: str, check: Check) -> None:
        """Name one more dependency."""
        self.checks[name] = check

    async def get(self) -> dict[str, bool]:
        """Each dependency by name, and whether it is there."""
        answers = await asyncio.gather(*(_passes(check) for check in self.checks.values()))
        return dict(zip(self.checks, answers, strict=True))


async def _passes(check: Check) -> bool:
    try:
        answer = check()
        if inspect.isawaitable(answer):
            answer = await asyncio.wait_for(answer, CHECK_SECONDS)
        return bool(answer)
    except Exception:  # noqa: BLE001  a failed check is an answer, whatever it raised
        return False


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response by orjson."""
    return Response(orjson.dumps(content), status_code=status, media_type="application/json", headers=headers)


def problem(
    status: int, title: str, detail: str, headers: dict[str, str] | None = None, **extensions: Any
) -> Response:
    """An RFC 9457 problem; ``extensions`` become members of their own."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extensions}
    return Response(
        orjson.dumps(body), status_code=status, media_type="application/problem+json", headers=headers
    )


def make_ops_routes(health: Health) -> list[Route]:
    """``/health/live``, ``/health/ready`` (503 until each dependency is there, and from SIGTERM on) and ``/metrics``."""

    async def live(_: Request) -> Response:
        return json_response({"status": "live"})

    async def ready(_: Request) -> Response:
        if health.draining:
            return json_response({"status": "draining"}, 503)
        checks = await health.get()
        good = all(checks.values())
        return json_response(
            {"status": "ready" if good else "not ready", "checks": checks}, 200 if good else 503
        )

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; raises :class:`UserError` naming the port where it is taken."""
    # with its protocol named: else asyncio leaves Nagle on, and each answer on a kept connection waits 40 ms
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)  # bound sockets may share a port, listening ones may not
    except OSError as error:
        sock.close()
        raise UserError(
            f"Port {port} on {host} cannot be used ({error.strerror}). "
            "Stop what holds it, or set another port."
        ) from None
    return sock


async def serve(
    app: Any,
    host: str,
    port: int,
    stop: asyncio.Event | None = None,
    *,
    sock: socket.socket | None = None,
    health: Health | None = None,
) -> None:
    """Serve an ASGI application in the running loop until cancelled or ``stop`` is set, then drain it.

    With ``sock``, one that :func:`bind` made, ``host`` and ``port`` are not bound. ``health`` says ``draining`` from
    the end's beginning on.
    """
    sock = sock or bind(host, port)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=10
    )
    server = DrainingServer(config)
    running = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        if stop is None:
            await asyncio.shield(running)
        else:
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    finally:
        if health is not None:
            health.draining = True
        server.should_exit = True
        await running
        sock.close()
