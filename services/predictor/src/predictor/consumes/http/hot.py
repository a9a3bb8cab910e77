"""In front of FastAPI: the routes that carry the traffic are answered here, everything else is handed on.

FastAPI's routing and middleware cost as much as the answer itself. What is answered is the same: the handlers are
the ones that FastAPI has (:mod:`predictor.consumes.http.predict`), and one set of tests asks both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from predictor.consumes.http.predict import Handler
from predictor.consumes.http.quick import Begin, QuickProtocol


class Hot:
    """An ASGI application that answers ``POST`` to the paths of ``routes``, and leaves the rest to ``app``."""

    def __init__(self, app: ASGIApp, routes: Mapping[str, Handler], begin: Begin) -> None:
        self._app, self._routes = app, routes
        self.protocol = partial(QuickProtocol, begin=begin)
        """uvicorn's protocol with a quicker way in, for who serves this application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            handler = self._routes.get(scope["path"])
            if handler is not None:
                try:
                    status, headers, body = await handler(scope, receive)
                except ClientDisconnect:
                    return
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        await self._app(scope, receive, send)
