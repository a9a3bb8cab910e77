"""Load over HTTP/1.1 in a closed loop: N kept connections, each with one request under way.

Run as ``python bench/load.py SPEC.json``, where SPEC is a :class:`Spec`; prints what :func:`drive` returns as JSON. Requests
are bytes made beforehand, sockets are read as epoll names them, and of an answer only status and length are looked at: some
microseconds of processor time an answer, so that the server is what is measured. ``load`` says whether it was: a share
near 1 means that this process was the slow one. SIGTERM ends a run early; what is under way is always waited for.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import select
import signal
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUFFER = memoryview(
    bytearray(262_144)
)  # for all: one made for each answer would be mapped and unmapped each time
PATIENCE = 60.0  # seconds without any answer that end the run
CLOSED = 0  # the status of a request whose connection was closed before its answer


@dataclass
class Spec:
    """``requests`` are ``{"kind", "path", "bodies": [...], "weight"}``, sent in a shuffled order, each exactly its share.

    Rate, latencies and ``load`` are of ``seconds`` after ``warm_up`` seconds; the counts are of all that was sent.
    ``capture`` names a file that gets each answer, a line ``status body``; ``cores`` are those to run on.
    """

    port: int
    requests: list[dict[str, Any]]
    connections: int
    seconds: float
    warm_up: float = 0.0
    capture: str | None = None
    cores: list[int] = field(default_factory=list)
    host: str = "127.0.0.1"


def schedule(requests: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Kind and bytes of each request, for ever."""
    deck: list[tuple[str, Iterator[bytes]]] = []
    for each in requests:
        made: Iterator[bytes] = itertools.cycle(
            [_request(each["path"], body.encode()) for body in each["bodies"]]
        )
        deck += [(each["kind"], made)] * (20 * each.get("weight", 1))
    random.Random(0).shuffle(deck)
    for kind, bodies in itertools.cycle(deck):
        yield kind, next(bodies)


def _request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One kept connection: what of the request is still to be sent, and what of the answer has come."""

    __slots__ = ("began", "closing", "have", "head", "kind", "length", "parts", "sock", "status", "unsent")

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.create_connection((host, port), PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.kind, self.began, self.status, self.closing = "", 0.0, CLOSED, False
        self.unsent: bytes | memoryview = b""
        self.parts: list[bytes] = []
        self.have, self.head, self.length = (
            0,
            0,
            -1,
        )  # bytes there, of the head, of the whole once it is known

    def send(self, request: bytes | memoryview) -> bool:
        """Send what the socket takes, and say whether that was all."""
        try:
            n = self.sock.send(request)
        except BlockingIOError:
            n = 0
        except ConnectionError:
            n = len(request)  # it is closed, which the next receive says
        self.unsent = memoryview(request)[n:] if n < len(request) else b""
        return not self.unsent

    def receive(self) -> bytes | None:
        """The body once it is whole, else None; raises ``ConnectionError`` where the server has closed."""
        n = self.sock.recv_into(BUFFER)
        if not n:
            raise ConnectionResetError
        data = bytes(BUFFER[:n])
        self.parts.append(data)
        self.have += n
        if self.have < self.length:
            return None
        if len(self.parts) > 1:
            data = b"".join(self.parts)
            self.parts = [data]
        if self.length < 0 and not self._read_head(data):
            return None
        if self.have < self.length:
            return None
        body = data[self.head :]
        self.parts, self.have, self.length = [], 0, -1
        return body

    def _read_head(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            raise SystemExit(f"an answer without content-length cannot be read: {head!r}")
        self.status, self.closing = int(data[9:12]), b"\r\nconnection: close" in head
        self.head = end + 4
        self.length = self.head + int(head[at + 17 :].split(b"\r\n", 1)[0])
        return True


class Load:
    """A run: :meth:`drive` it once."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.requests = schedule(spec.requests)
        self.sent: Counter[str] = Counter()
        self.answered: Counter[tuple[str, int]] = Counter()
        self.latencies = array("d")  # seconds, of what was answered within the measured time
        self.captured: list[tuple[int, bytes]] = []
        self.stopped = False
        self.poll = select.epoll()
        self.open: dict[int, Connection] = {}

    def stop(self, *_: object) -> None:
        """Send no more."""
        self.stopped = True

    def _connect(self) -> None:
        connection = Connection(self.spec.host, self.spec.port)
        self.open[connection.sock.fileno()] = connection
        self.poll.register(connection.sock.fileno(), select.EPOLLIN)
        self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        connection.kind, request = next(self.requests)
        self.sent[connection.kind] += 1
        connection.began = time.perf_counter()
        if not connection.send(request):
            self.poll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _close(self, connection: Connection) -> None:
        del self.open[connection.sock.fileno()]
        connection.sock.close()

    def drive(self) -> dict[str, Any]:
        """Send and receive; returns counts of all, ``rate`` (1/s), ``p50`` and ``p99`` (ms) and ``load`` (its share of a core)."""
        clock, capture = time.perf_counter, self.spec.capture is not None
        start = clock() + self.spec.warm_up
        end = start + self.spec.seconds
        marks: list[tuple[float, float]] = []  # time and processor time at the measured time's two ends
        heard, ending = clock(), False
        for _ in range(self.spec.connections):
            self._connect()
        while self.open:
            events = self.poll.poll(1.0)
            now = clock()
            if now - heard > PATIENCE:
                raise SystemExit(f"no answer for {PATIENCE:.0f} s; {len(self.open)} are owed")
            if not ending and (self.stopped or now >= end):
                ending, end = True, min(end, now)
            if len(marks) < (now >= start) + (now >= end):
                marks.append((now, time.process_time()))
            for fd, event in events:
                connection = self.open[fd]
                try:
                    if event & select.EPOLLOUT and connection.send(connection.unsent):
                        self.poll.modify(fd, select.EPOLLIN)
                    if not event & ~select.EPOLLOUT:
                        continue
                    body = connection.receive()
                    if body is None:
                        continue
                except BlockingIOError:
                    continue
                except ConnectionError:
                    connection.status, connection.closing, body = CLOSED, True, b""
                heard = clock()
                self.answered[connection.kind, connection.status] += 1
                if start <= heard < end:
                    self.latencies.append(heard - connection.began)
                if capture:
                    self.captured.append((connection.status, body))
                if not ending and not connection.closing and not connection.unsent:
                    self._ask(connection)
                    continue
                self._close(connection)
                if not ending:
                    self._connect()
        return self._found(max(end - start, 1e-9), marks)

    def _found(self, seconds: float, marks: list[tuple[float, float]]) -> dict[str, Any]:
        (began, cpu0), (ended, cpu1) = marks if len(marks) == 2 else [(0.0, 0.0), (1.0, 0.0)]
        n = len(self.latencies)
        ordered = sorted(self.latencies)
        answered: dict[str, dict[str, int]] = {kind: {} for kind in self.sent}
        for (kind, status), count in self.answered.items():
            answered[kind][str(status)] = count
        return {
            "sent": dict(self.sent), "answered": answered, "seconds": seconds, "rate": n / seconds,
            "p50": 1000 * ordered[n // 2] if n else None, "p99": 1000 * ordered[n * 99 // 100] if n else None,
            "load": (cpu1 - cpu0) / max(ended - began, 1e-9),
        }  # fmt: skip


def main() -> None:
    """Read the spec, drive, write what was captured, print what was found."""
    spec = Spec(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    if spec.cores:
        os.sched_setaffinity(0, spec.cores)
    load = Load(spec)
    signal.signal(signal.SIGTERM, load.stop)
    gc.disable()  # nothing here is a cycle
    found = load.drive()
    if spec.capture is not None:
        with Path(spec.capture).open("wb") as file:
            file.writelines(b"%d %s\n" % entry for entry in load.captured)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
