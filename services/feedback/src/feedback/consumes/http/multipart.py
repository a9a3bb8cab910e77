"""The file of a form, as a browser's file field or ``curl -F file=@labels.csv`` sends it (RFC 7578), while it arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator

from feedback.consumes.http.media import CSV, NDJSON, media_type, parsed
from feedback.consumes.http.problems import UnknownType
from feedback.domain.uploads import Refused

_MAX_HEAD = 8_192  # bytes of a part's headers
_SUFFIXES = {".csv": CSV, ".tsv": CSV, ".txt": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON}


async def open_file(body: AsyncIterator[bytes], content_type: str) -> tuple[str, AsyncIterator[bytes]]:
    """The media type and the content of the form's first file; fields before it are passed over.

    Raises :class:`Refused` where there is none, and :class:`UnknownType` where it is neither CSV nor NDJSON; the
    content raises :class:`Refused` where the form ends within it.
    """
    boundary = parsed(content_type)[1].get("boundary", "")
    if not boundary:
        raise Refused("a form's Content-Type names its boundary")
    reader = _Reader(body)
    mark = b"\r\n--" + boundary.encode()
    await _skip(reader, mark)
    while not (await _head(reader, b"\r\n")).startswith(b"--"):
        headers = _headers(await _head(reader, b"\r\n\r\n"))
        name = parsed(headers.get("content-disposition", ""))[1].get("filename")
        if name is not None:
            return _kind(name, headers.get("content-type", "")), reader.until(mark)
        await _skip(reader, mark)
    raise Refused("the form holds no file")


class _Reader:
    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._held = b"\r\n"  # the first boundary has none before it, the last perhaps none behind it
        self._ended = False

    async def until(self, mark: bytes) -> AsyncIterator[bytes]:
        """The bytes in front of ``mark``, which is passed over."""
        while (at := self._held.find(mark)) < 0:
            sure = max(0, len(self._held) - len(mark) + 1)
            found, self._held = self._held[:sure], self._held[sure:]
            if found:
                yield found
            piece = await anext(self._body, None)
            if piece is None and self._ended:
                raise Refused("the form ends too early")
            self._ended = piece is None
            self._held += b"\r\n" if piece is None else piece
        found, self._held = self._held[:at], self._held[at + len(mark) :]
        if found:
            yield found


async def _skip(reader: _Reader, mark: bytes) -> None:
    async for _ in reader.until(mark):
        pass


async def _head(reader: _Reader, mark: bytes) -> bytes:
    head = b""
    async for piece in reader.until(mark):
        head += piece
        if len(head) > _MAX_HEAD:
            raise Refused(f"a part of the form has headers of more than {_MAX_HEAD} bytes")
    return head


def _headers(head: bytes) -> dict[str, str]:
    lines = [line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n")]
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _kind(name: str, content_type: str) -> str:
    """By the name first: systems with a spreadsheet call a CSV file the spreadsheet's own type."""
    kind = _SUFFIXES.get(name[name.rfind(".") :].lower()) or media_type(content_type)
    if kind not in (CSV, NDJSON):
        raise UnknownType(content_type or name, (NDJSON, CSV))
    return kind
