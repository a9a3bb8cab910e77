"""A request's body, never larger than the limit, whether it comes compressed or not."""

from __future__ import annotations

import contextlib
import json
import zlib
from typing import Any

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from predictor.domain.request import Invalid, TooLarge

ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
MAX_MEMBERS = 16  # of gzip: what follows one is copied with each, so that many in one body take minutes


class UnknownEncoding(ValueError):
    """A Content-Encoding that is not supported; the message names those that are."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body, inflated; raises :class:`TooLarge`, :class:`UnknownEncoding` or :class:`Invalid`.

    Not a byte more than the limit is kept, and none is read where the request says that there are more.
    """
    encoding = ""
    for name, value in scope["headers"]:
        if name == b"content-length":
            if value.isdigit() and int(value) > limit:
                raise TooLarge(f"A request body may have {limit} bytes at the most (ATALAIA_MAX_BODY_BYTES).")
        elif name == b"content-encoding":
            encoding = value.decode("latin-1").strip().lower()
    if encoding not in ("", "identity") and encoding not in ENCODINGS:
        raise UnknownEncoding(f"Content-Encoding {encoding!r} is not supported: send gzip, deflate or none")
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge(f"A request body may have {limit} bytes at the most (ATALAIA_MAX_BODY_BYTES).")
        more = message.get("more_body", False)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return _inflated(body, ENCODINGS[encoding], limit) if encoding in ENCODINGS else body


def _inflated(body: bytes, form: int, limit: int) -> bytes:
    """Never holds more than ``limit`` bytes and one: a small body may unfold to a huge one."""
    content = b""
    try:
        for _ in range(MAX_MEMBERS):
            stream = zlib.decompressobj(form)
            content += stream.decompress(body, limit + 1 - len(content))
            if len(content) > limit:
                raise TooLarge(f"A request body, once inflated, may have {limit} bytes at the most.")
            if not stream.eof:
                raise Invalid([{"field": "body", "message": "is compressed and ends too early"}])
            body = stream.unused_data
            if not body:
                return content
    except zlib.error as error:
        raise Invalid([{"field": "body", "message": f"is not what Content-Encoding says: {error}"}]) from None
    said = f"is compressed in more than {MAX_MEMBERS} members: compress it in one"
    raise Invalid([{"field": "body", "message": said}])


def parse_json(body: bytes) -> Any:
    """JSON, where NaN and the infinities may stand for numbers; raises :class:`Invalid`.

    Python's own json writes them, which JSON has not, and 1e999 is no double, nor half a surrogate pair text: read all the
    same, so that the field which holds one is named.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(body.decode())
        raise Invalid([{"field": "body", "message": f"is not JSON: {error}"}]) from None
