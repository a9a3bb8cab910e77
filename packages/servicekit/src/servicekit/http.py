"""Health, metrics and problem details, the same in every service (RFC 9457 for errors)."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import servicekit.metrics  # noqa: F401  so that /metrics names every metric from the start
from servicekit.draining import DrainingServer
from servicekit.exposition import exposition
from servicekit.listening import SharedSocket, bind

Check = Callable[[], bool | Awaitable[bool]]
Endpoint = Callable[[Request], Awaitable[Response]]
CHECK_SECONDS = 5.0
CHECK_AGAIN_SECONDS = 0.25
# Whoever closes an idle connection first may cut off a request that is on its way: callers and what stands in front
# (60 s, mostly) shall be first.
KEEP_ALIVE_SECONDS = 75
OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})  # of pages that may ask for what changes something


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


def to_no_foreign_page(endpoint: Endpoint) -> Endpoint:
    """``endpoint``, closed (403) to pages of other sites, for whom the browser of whoever can reach it would ask.

    A browser names the page's site in ``Origin`` with each POST; programs send none. The name asked for (``Host``) says
    nothing: a page can have its own name lead here. A proxy that knows the names it is published under judges for itself
    and takes the header out, as ``docker/haproxy.cfg`` does.
    """

    async def guarded(request: Request) -> Response:
        for origin in request.headers.getlist("origin"):
            if _host_of(origin) not in OWN_HOSTS:
                detail = f"asked for by a page of {origin[:80]}: ask with a program, or from a page of this machine"
                return problem(403, "Forbidden", detail)
        return await endpoint(request)

    return guarded


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None


def make_ops_routes(health: Health) -> list[Route]:
    """``/health/live``, ``/health/ready`` (503 until each dependency is there, and from SIGTERM on) and ``/metrics``."""

    async def live(_: Request) -> Response:
        return json_response({"status": "live"})

    async def ready(_: Request) -> Response:
        checks = {} if health.draining else await health.get()
        if health.draining:  # now, or meanwhile
            return json_response({"status": "draining"}, 503)
        good = all(checks.values())
        return json_response(
            {"status": "ready" if good else "not ready", "checks": checks}, 200 if good else 503
        )

    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]


async def serve(
    app: Any,
    host: str,
    port: int,
    stop: asyncio.Event | None = None,
    *,
    sock: socket.socket | SharedSocket | None = None,
    health: Health | None = None,
) -> None:
    """Serve an ASGI application in the running loop until cancelled or ``stop`` is set, then drain it.

    ``health`` says ``draining`` from the end's beginning on. With ``sock``, a listening one, nothing is bound. A worker
    that shares it leaves connections to those whose ``health`` is good, until its own is.
    """
    shared = sock if isinstance(sock, SharedSocket) else None
    listening = sock.sock if isinstance(sock, SharedSocket) else sock or bind(host, port)
    config = uvicorn.Config(
        app,
        http=getattr(app, "protocol", "auto"),
        proxy_headers=False,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=10,
    )
    server = DrainingServer(config, shared)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    checking = asyncio.create_task(_ready(server, health))
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
        checking.cancel()
        server.should_exit = True
        await running
        listening.close()


async def _ready(server: DrainingServer, health: Health | None) -> None:
    if server.shared is not None and health is not None:
        while not all((await health.get()).values()):  # noqa: ASYNC110  nobody tells, it has to be asked
            await asyncio.sleep(CHECK_AGAIN_SECONDS)
    server.ready()
