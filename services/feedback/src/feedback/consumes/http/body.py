"""A request's body as it arrives, inflated where it is compressed, never more of it in memory than is asked for."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

from starlette.requests import Request

from feedback.consumes.http.problems import TooLarge, UnknownEncoding
from feedback.domain.uploads import Refused

ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
PIECE_BYTES = 65_536


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body's bytes, at most ``PIECE_BYTES`` at once.

    Raises ``ClientDisconnect`` where it breaks off, :class:`UnknownEncoding`, and :class:`Refused` where it is not what
    its Content-Encoding says.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity") and encoding not in ENCODINGS:
        raise UnknownEncoding(encoding)
    inflating = Inflating(ENCODINGS[encoding]) if encoding in ENCODINGS else None
    async for received in request.stream():
        for start in range(0, len(received), PIECE_BYTES):
            piece = received[start : start + PIECE_BYTES]
            if inflating is None:
                yield piece
                continue
            for inflated in inflating.feed(piece):
                yield inflated
    if inflating is not None:
        inflating.end()


async def read(request: Request, limit: int) -> bytes:
    """The whole body; raises :class:`TooLarge` as soon as it has, or says to have, more than ``limit`` bytes."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limit:
        raise TooLarge(limit)
    body = bytearray()
    async for piece in pieces(request):
        body += piece
        if len(body) > limit:
            raise TooLarge(limit)
    return bytes(body)


class Inflating:
    """What zlib makes of a stream, piece by piece: a small body may unfold to a huge one."""

    def __init__(self, form: int) -> None:
        self._form = form
        self._stream = zlib.decompressobj(form)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes that ``data`` unfolds to; gzip may have several members. Raises :class:`Refused`."""
        while data:
            try:
                content = self._stream.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise Refused(f"the body is not what Content-Encoding says: {error}") from None
            self._begun = True
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data = self._stream.unused_data
                self._stream, self._begun = zlib.decompressobj(self._form), False
            if content:
                yield content

    def end(self) -> None:
        """Raises :class:`Refused` where more should have come."""
        if self._begun:
            raise Refused("the body is compressed and ends too early")
