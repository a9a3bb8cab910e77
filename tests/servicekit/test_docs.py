"""Swagger UI and ReDoc without the internet."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlparse

import httpx
import pytest
from servicekit.docs import make_docs_routes
from starlette.applications import Starlette

HERE = "http://docs.test"


class Page(HTMLParser):
    """What a page loads or links to, and its inline scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._inline = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect addresses."""
        given = dict(attrs)
        self.addresses += [v for k, v in given.items() if k in ("src", "href", "spec-url") and v]
        self._inline = tag == "script" and "src" not in given

    def handle_endtag(self, tag: str) -> None:
        """A script is over."""
        self._inline = False

    def handle_data(self, data: str) -> None:
        """Collect inline scripts."""
        if self._inline:
            self.scripts.append(data)


@pytest.fixture
def client() -> httpx.AsyncClient:
    """An application with nothing but these pages."""
    app = Starlette(routes=make_docs_routes("A <service>"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=HERE)


@pytest.mark.parametrize(("path", "script"), [("/docs", "SwaggerUIBundle"), ("/redoc", "Redoc")])
async def test_all_that_a_page_loads_comes_from_here(
    client: httpx.AsyncClient, path: str, script: str
) -> None:
    """Each address leads to this host and is there, and the styles load nothing from elsewhere."""
    answer = await client.get(path)
    assert answer.status_code == 200
    assert "A &lt;service&gt;" in answer.text
    loaded = ""
    for address in Page(answer.text).addresses:
        full = urlparse(urljoin(HERE + path, address))
        if full.scheme == "data" or full.path == "/openapi.json":
            continue
        assert f"{full.scheme}://{full.netloc}" == HERE, address
        asset = await client.get(full.path)
        assert asset.status_code == 200, address
        loaded += asset.text
        if full.path.endswith(".css"):
            assert all(url.startswith("data:") for url in re.findall(r"url\(['\"]?([^)]*)", asset.text))
            assert "@import" not in asset.text
    assert script in loaded
    assert re.search(r'spec-url="openapi\.json"|url: "openapi\.json"', answer.text)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_browser_may_ask_no_other_host(client: httpx.AsyncClient, path: str) -> None:
    """Whatever the scripts would like to fetch (ReDoc a logo), the page's policy names no other source."""
    answer = await client.get(path)
    policy = {
        directive: set(sources)
        for directive, *sources in (
            part.split() for part in answer.headers["content-security-policy"].split(";")
        )
    }
    assert policy["default-src"] == {"'none'"}
    for directive, sources in policy.items():
        hashes = {source for source in sources if source.startswith("'sha256-")}
        inline = {"'unsafe-inline'"} if directive == "style-src" else set()
        assert sources - hashes - inline <= {"'self'", "'none'", "data:", "blob:"}, directive
    for script in Page(answer.text).scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy["script-src"]
