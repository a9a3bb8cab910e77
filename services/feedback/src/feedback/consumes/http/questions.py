"""Questions to the join: the state of predictions, its status, and the flush after a finished replay.

Any replica answers; what another one holds is asked there, in one hop.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import msgspec
from servicekit.http import json_response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from feedback.consumes.http.answers import Answers, Elsewhere
from feedback.consumes.http.body import read
from feedback.consumes.http.forwarding import SECONDS, Ask, Reply, may_forward
from feedback.consumes.http.problems import OwnerAway
from feedback.domain.uploads import Refused, check_id

FLUSH_SECONDS = 60.0
MAX_STATES = 10_000
PREFIX = "/api/v1.0"
_BITS = 53
_TURN = 200  # ids that are looked up before others have their turn


class Questions:
    """The endpoints that ask the join."""

    def __init__(self, answers: Answers, ask: Ask, *, max_body_bytes: int) -> None:
        self._answers, self._ask, self._limit = answers, ask, max_body_bytes

    async def state(self, request: Request) -> Response:
        """``GET /feedback/{prediction_id}``."""
        text = request.path_params["prediction_id"]
        if text in ("batch", "states"):
            raise HTTPException(405, headers={"Allow": "POST"})
        check_id(text)
        try:
            return json_response({"prediction_id": text, **await self._answers.state(text)})
        except Elsewhere as elsewhere:
            url = f"{may_forward(request, elsewhere)}{PREFIX}/feedback/{quote(text)}"
            return (await self._ask("GET", url, b"", SECONDS)).response()

    async def states(self, request: Request) -> Response:
        """``POST /feedback/states``: those held here, and the others from each of their owners at once."""
        ids = _ids(await read(request, self._limit))
        found: dict[str, dict[str, Any]] = {}
        others: dict[str, list[str]] = {}
        for i, text in enumerate(dict.fromkeys(ids)):
            try:
                found[text] = {"prediction_id": text, **await self._answers.state(text)}
            except Elsewhere as elsewhere:
                others.setdefault(may_forward(request, elsewhere), []).append(text)
            if i % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        replies = await asyncio.gather(*(self._states_of(url, texts) for url, texts in others.items()))
        for reply in replies:
            if reply.status != 200:
                return reply.response()
            found |= {state["prediction_id"]: state for state in _states(reply)}
        if missing := [text for text in ids if text not in found]:
            raise OwnerAway(f"the owner of {missing[0]} does not tell of it")
        return json_response({"states": [found[text] for text in ids]})

    async def _states_of(self, url: str, texts: list[str]) -> Reply:
        body = msgspec.json.encode({"prediction_id": texts})
        return await self._ask("POST", f"{url}{PREFIX}/feedback/states", body, SECONDS)

    async def status(self, _: Request) -> Response:
        """``GET /status``."""
        return json_response(await self._answers.status())

    async def flush(self, request: Request) -> Response:
        """``POST /flush``."""
        body = await read(request, self._limit)
        until = _until(body)
        try:
            decided = await self._answers.flush(until, FLUSH_SECONDS)
        except Elsewhere as elsewhere:
            url = f"{may_forward(request, elsewhere)}{PREFIX}/flush"
            return (await self._ask("POST", url, body or b"{}", FLUSH_SECONDS + SECONDS)).response()
        except ValueError as error:
            raise Refused(str(error), "until") from None
        return json_response({"decided_through": decided})


class _Flush(msgspec.Struct, forbid_unknown_fields=True):
    until: int | float | None = None


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    prediction_id: list[str]


class _Told(msgspec.Struct):
    states: list[dict[str, Any]]


def _until(body: bytes) -> int | None:
    try:
        until = msgspec.json.decode(body or b"{}", type=_Flush).until
    except (ValueError, RecursionError) as error:
        raise Refused(f"until is milliseconds since 1970: {error}", "until") from None
    if until is not None and (until != int(until) or abs(until) >= 2**_BITS):
        raise Refused(f"until is a whole number of milliseconds since 1970, of at most {_BITS} bits", "until")
    return None if until is None else int(until)


def _ids(body: bytes) -> list[str]:
    try:
        ids = msgspec.json.decode(body, type=_Asked).prediction_id
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is {{'prediction_id': [...]}}: {error}", "prediction_id") from None
    if not 0 < len(ids) <= MAX_STATES:
        raise Refused(f"prediction_id has 1 to {MAX_STATES} ids, not {len(ids)}", "prediction_id")
    for row, text in enumerate(ids):
        check_id(text, row)
    return ids


def _states(reply: Reply) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(reply.body, type=_Told).states
    except (ValueError, RecursionError) as error:
        raise OwnerAway(f"the owner's answer cannot be read: {error}") from None
