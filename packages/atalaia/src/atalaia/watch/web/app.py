"""The page over HTTP: its files, and what it shows as JSON. It asks again and again; nothing is kept for it here."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from atalaia.watch.domain.choosing import Choice, choices, chosen
from atalaia.watch.domain.view import View, view
from atalaia.watch.reading import Reading, Watching

STATIC = Path(__file__).with_name("static")
LOOPBACK_NAMES = ["127.0.0.1", "localhost"]
# The page shows what topics hold, which others write: no script but its own may run, and it talks to nobody else.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
NOT_KEPT = {"Cache-Control": "no-cache"}


class Shown(msgspec.Struct, frozen=True):
    """One answer: all models, and everything of one of them."""

    watching: Watching
    models: list[Choice]
    missing: str
    view: View | None


def shown(reading: Reading, asked: str) -> Shown:
    """What there is to see of the model that was asked for, or of the one most in trouble."""
    clock = reading.clock
    memory = chosen(reading.shown, asked, clock)
    missing = asked if reading.shown.models and memory is None else ""
    seen = view(memory, clock) if memory else None
    return Shown(reading.watching, choices(reading.shown, clock), missing, seen)


def make_app(reading: Reading, host: str = "127.0.0.1", model: str = "") -> Starlette:
    """The application. ``model`` is shown where the page asks for none.

    On the loopback interface it answers to the names of this machine only, so that no other site's page can have a
    browser ask it under a name of its own.
    """

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers=HEADERS | NOT_KEPT)

    async def api(request: Request) -> Response:
        asked = request.query_params.get("model") or model
        minute = reading.clock // 60_000  # silence is news too
        tag = f'"{id(reading):x}-{reading.revision}-{minute}-{asked.encode().hex()}"'
        headers = {"ETag": tag, **HEADERS, **NOT_KEPT}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        content = msgspec.json.encode(shown(reading, asked))
        return Response(content, media_type="application/json", headers=headers)

    class Files(StaticFiles):
        def file_response(self, *args: Any, **kw: Any) -> Response:
            response = super().file_response(*args, **kw)
            response.headers.update(HEADERS | NOT_KEPT)
            return response

    hosts = LOOPBACK_NAMES if _is_loopback(host) else ["*"]
    return Starlette(
        routes=[Route("/", page), Route("/api/v1.0/view", api), Mount("/static", Files(directory=STATIC))],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts),
            Middleware(GZipMiddleware, minimum_size=10_000),
        ],
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
