"""A request's body, never larger than the limit, whether it comes compressed or not."""

from __future__ import annotations

import contextlib
import json
import zlib
from typing import Any

import orjson
from starlette.requests import Request

from predictor.domain.request import Invalid

ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class TooLarge(ValueError):
    """The body is over the limit."""


class UnknownEncoding(ValueError):
    """A Content-Encoding that is not supported; the message names those that are."""


async def read_body(request: Request, limit: int) -> bytes:
    """The body, inflated; raises :class:`TooLarge`, :class:`UnknownEncoding` or :class:`Invalid`."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding != "identity" and encoding not in ENCODINGS:
        raise UnknownEncoding(f"Content-Encoding {encoding!r} is not supported: send gzip, deflate or none")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"A request body may have {limit} bytes at the most.")
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"A request body may have {limit} bytes at the most.")
        parts.append(chunk)
    body = b"".join(parts)
    return body if encoding == "identity" else _inflated(body, ENCODINGS[encoding], limit)


def _inflated(body: bytes, form: int, limit: int) -> bytes:
    """Never holds more than ``limit`` bytes and one: a small body may unfold to a huge one."""
    content = b""
    try:
        while body:  # gzip may have several members
            stream = zlib.decompressobj(form)
            content += stream.decompress(body, limit + 1 - len(content))
            if len(content) > limit:
                raise TooLarge(f"A request body, once inflated, may have {limit} bytes at the most.")
            if not stream.eof:
                raise Invalid([{"field": "body", "message": "is compressed and ends too early"}])
            body = stream.unused_data
    except zlib.error as error:
        raise Invalid([{"field": "body", "message": f"is not what Content-Encoding says: {error}"}]) from None
    return content


def parse_json(body: bytes) -> Any:
    """JSON, where NaN and the infinities may stand for numbers, as numpy's users send them; raises :class:`Invalid`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(body.decode())
            json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
            return content
        raise Invalid([{"field": "body", "message": f"is not JSON: {error}"}]) from None
