"""One hop to the replica that holds a partition: whichever is asked, the owner's answer comes back as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import aiohttp
from starlette.requests import Request
from starlette.responses import Response

from feedback.consumes.http.answers import Elsewhere
from feedback.consumes.http.problems import OwnerAway

FORWARDED = "Atalaia-Forwarded"
SECONDS = 5.0
_KEPT = ("content-type", "retry-after")


class Reply(NamedTuple):
    """An owner's answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self) -> Response:
        """The same, from here."""
        return Response(self.body, self.status, self.headers)


Ask = Callable[[str, str, bytes, float], Awaitable[Reply]]
"""Method, URL, body and seconds; raises :class:`OwnerAway`. The request says that it was forwarded."""


async def ask(method: str, url: str, body: bytes, seconds: float) -> Reply:
    """Over HTTP. Questions are rare: a connection for each leaves nothing open to a replica that has gone."""
    headers = {FORWARDED: "1"} | ({"Content-Type": "application/json"} if body else {})
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, SECONDS))
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, data=body or None, headers=headers, allow_redirects=False) as answer,
        ):
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return Reply(answer.status, kept, await answer.read())
    except (aiohttp.ClientError, OSError, ValueError) as error:  # OSError: timeouts too; ValueError: no URL
        said = str(error) or type(error).__name__
        raise OwnerAway(f"{url} holds the partition and does not answer: {said}") from None


def may_forward(request: Request, elsewhere: Elsewhere) -> str:
    """Where to ask; raises ``elsewhere`` itself where the request was forwarded already: two that disagree do not loop."""
    if FORWARDED in request.headers:
        raise elsewhere
    return elsewhere.url.rstrip("/")
