"""Labels in: one or many as JSON, checked whole before anything is sent; NDJSON and CSV as they arrive."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from servicekit import metrics
from servicekit.http import json_response
from starlette.requests import Request
from starlette.responses import Response

from feedback.consumes.http.answers import Send
from feedback.consumes.http.beside import beside
from feedback.consumes.http.body import pieces, read
from feedback.consumes.http.media import CSV, FORM, JSON, NDJSON, TYPES, media_type, wants_lines
from feedback.consumes.http.multipart import open_file
from feedback.consumes.http.problems import NotTaken, UnknownType
from feedback.consumes.http.progress import ProgressResponse, finished
from feedback.consumes.http.stream import Upload
from feedback.domain.csv_upload import Csv
from feedback.domain.json_upload import parse_many, parse_one
from feedback.domain.ndjson import Ndjson
from feedback.domain.parsed import Parser
from feedback.domain.uploads import Labels, Refused

_PARSERS: dict[str | None, Callable[[], Parser]] = {NDJSON: Ndjson, CSV: Csv}
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


class LabelsIn:
    """The endpoints that take labels. ``now`` gives milliseconds since 1970."""

    def __init__(self, send: Send, *, max_body_bytes: int, now: Callable[[], int]) -> None:
        self._send, self._limit, self._now = send, max_body_bytes, now

    async def one(self, request: Request) -> Response:
        """``POST /feedback/``."""
        given = request.headers.get("content-type", "")
        if media_type(given) != JSON:
            raise UnknownType(given, (JSON,))
        return await self._whole(request, parse_one)

    async def many(self, request: Request) -> Response:
        """``POST /feedback/batch``."""
        given = request.headers.get("content-type", "")
        kind, body = media_type(given), pieces(request)
        strict = _FLAGS.get(request.query_params.get("strict", "").lower())
        if strict is None:
            raise Refused("strict is true or false", "strict")
        if kind == JSON:
            return await self._whole(request, parse_many)
        if kind == FORM:
            kind, body = await open_file(body, given)
        if kind not in _PARSERS:
            raise UnknownType(given, TYPES)
        news = asyncio.Event()
        upload = Upload(
            uuid.uuid4().hex, _PARSERS[kind](), self._send, self._now, strict=strict, tell=news.set
        )
        if wants_lines(request.headers.get("accept", "")):
            return ProgressResponse(upload, body, news)
        return finished(await upload.run(body))

    async def _whole(self, request: Request, parse: Callable[[bytes, int], Labels]) -> Response:
        body = await read(request, self._limit)
        try:
            labels = await beside(body, parse, body, self._now())
        except Refused:
            metrics.LABELS.labels("rejected").inc()
            raise
        upload_id = uuid.uuid4().hex
        try:
            await self._send(labels, upload_id)
        except Exception as error:
            raise NotTaken(str(error) or type(error).__name__) from error
        return json_response({"accepted": len(labels.prediction_id), "upload_id": upload_id}, 202)
