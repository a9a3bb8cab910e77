"""Before ASGI: a whole, plain request for one prediction is answered where its bytes arrive.

ASGI costs a task, a scope and two messages a request, which is more than parsing, scoring and answering it. So uvicorn's
protocol is given a look at the bytes first: a POST to the path, with a length and a body that came with its head, is
begun at once and answered when it is done. Everything else, and whatever is not well-formed, is uvicorn's, and the
application's behind it: other routes, bodies in pieces, refusals. A request is taken only where nothing but one
``content-length`` says how long it is (RFC 9112, 6.3), so nobody in front can see another message in the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from predictor.consumes.http.predict import SINGLE, Reply

Begin = Callable[[bytes, Callable[[Reply], None]], bool]
_START = f"POST {SINGLE} HTTP/1.1\r\n".encode()
_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})(?=\r\n|$)", re.IGNORECASE)
_HEADER = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+([\x21-\xff](?:[\t\x20-\xff]*[\x21-\xff])?)?[ \t]*"
)
# They change how a message is framed, or what its body is: uvicorn's to understand.
_NOT_PLAIN = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"connection", b"trailer", b"te")
)
_HEADS = 256  # heads that were looked at, all but their lengths; clients send the same again and again


class _Under:
    """Stands where uvicorn keeps the request that is under way."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    def __init__(self) -> None:
        self.response_complete = self.disconnected = False
        self.keep_alive = True

    @property
    def message_event(self) -> _Under:
        """Nobody waits for the body."""
        return self

    def set(self) -> None:
        """As an event's."""


class QuickProtocol(HttpToolsProtocol):
    """uvicorn's protocol; ``begin`` starts on a body, or says that it is not for the quick way."""

    _plain: set[bytes] = set()  # noqa: RUF012  of the process: connections come and go

    def __init__(self, *given: Any, begin: Begin, **named: Any) -> None:
        super().__init__(*given, **named)
        self._begin = begin
        self._inside = False  # the parser has had a message's beginning, and not its end
        self._defaults: list[tuple[bytes, bytes]] | None = None
        self._head = b""

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if (
            not self._inside
            and (self.cycle is None or self.cycle.response_complete)
            and data.startswith(_START)
        ):
            body = self._body(data)
            if body is not None and self._quick(body):
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The parser's."""
        self._inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The parser's."""
        self._inside = False
        super().on_message_complete()

    def _body(self, data: bytes) -> bytes | None:
        """The body of a plain and whole request; None for any other."""
        end = data.find(b"\r\n\r\n")
        found = _LENGTH.search(data, 0, end)
        if found is None or int(found[1]) != len(data) - end - 4:
            return None
        head = data[len(_START) : found.start()] + data[found.end() : end]
        if head not in self._plain:
            if not _plain(head):
                return None
            if len(self._plain) >= _HEADS:
                self._plain.clear()
            self._plain.add(head)
        return data[end + 4 :]

    def _quick(self, body: bytes) -> bool:
        """Whether the request is under way; then it is answered when it is done."""
        under: Any = _Under()
        before, self.cycle = self.cycle, under

        def done(reply: Reply) -> None:
            self._answer(under, reply)

        if not self._begin(body, done):
            self.cycle = before
            return False
        self._unset_keepalive_if_required()
        return True

    def _answer(self, under: _Under, reply: Reply) -> None:
        defaults = self.server_state.default_headers
        if defaults is not self._defaults:  # a new list each second, for the date
            self._defaults = defaults
            self._head = b"".join(b"%b: %b\r\n" % header for header in defaults)
            self._closing = (b"connection", b"close") in defaults
        under.response_complete = True
        if not under.disconnected and not self.transport.is_closing():
            own = b"".join([b"%b: %b\r\n" % header for header in reply.headers])
            last = b"" if under.keep_alive or self._closing else b"connection: close\r\n"
            self.transport.write(
                b"".join((STATUS_LINE[reply.status], self._head, own, last, b"\r\n", reply.body))
            )
            if self._closing or not under.keep_alive:
                self.transport.close()
        self.on_response_complete()


def _plain(head: bytes) -> bool:
    """Whether the headers but ``content-length`` leave the message as it is: one ``host``, and nothing of framing."""
    names = []
    for line in head.split(b"\r\n"):
        if not line:
            continue
        found = _HEADER.fullmatch(line)
        if found is None:
            return False
        name, value = found[1].lower(), found[2] or b""
        if name == b"content-length" or (
            name in _NOT_PLAIN and (name, value.lower()) != (b"connection", b"keep-alive")
        ):
            return False
        names.append(name)
    return names.count(b"host") == 1
