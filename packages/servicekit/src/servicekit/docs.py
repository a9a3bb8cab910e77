"""``/docs`` and ``/redoc`` of a service: Swagger UI and ReDoc over ``openapi.json``, without the internet.

Their files come from the wheel ``fastapi-offline`` and are served from here. A Content-Security-Policy keeps the browser
from asking any other host: ReDoc would fetch its maker's logo.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

_TOWER = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>"
    "<path d='M4 1h2v2h1V1h2v2h1V1h2v5h-1l1 9H4l1-9H4z' fill='#345'/><path d='M7 8h2v3H7z' fill='#fc6'/></svg>"
)
# Addresses are relative, so that the pages work behind a proxy's prefix too.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:image/svg+xml,{icon}">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_START = (
    'SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null,'
    " defaultModelsExpandDepth: 0, tryItOutEnabled: true})"
)
_SWAGGER = f"""<div id="ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script>{_START}</script>"""
_REDOC = """<redoc spec-url="openapi.json"></redoc>
<script src="docs/assets/redoc.standalone.js"></script>"""
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' 'sha256-{b64encode(hashlib.sha256(_START.encode()).digest()).decode()}'",
        "style-src 'self' 'unsafe-inline'",  # both write their styles into the page
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src blob:",  # ReDoc's search
        "base-uri 'none'",
        "form-action 'none'",
    )
)


def assets() -> Path:
    """The folder of the wheel that holds the scripts and styles."""
    spec = find_spec("fastapi_offline")  # not imported: only its files are wanted
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"


def make_docs_routes(title: str) -> list[BaseRoute]:
    """The two pages and what they load, to stand before FastAPI's own."""

    def page(name: str, head: str, body: str) -> Route:
        content = _PAGE.format(title=escape(f"{title}: {name}"), icon=quote(_TOWER), head=head, body=body)

        async def answer(_: Request) -> Response:
            return HTMLResponse(content, headers={"Content-Security-Policy": _POLICY})

        return Route(f"/{name}", answer, methods=["GET"])

    style = '<link rel="stylesheet" href="docs/assets/swagger-ui.css">'
    return [
        page("docs", style, _SWAGGER),
        page("redoc", "<style>body { margin: 0 }</style>", _REDOC),
        Mount("/docs/assets", StaticFiles(directory=assets())),
    ]
