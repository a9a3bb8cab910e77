"""A listening socket, and how several worker processes share one.

The supervisor binds the socket and the workers inherit it: a connection that waits in its queue belongs to no worker, so
none is lost with one. Left to the kernel, whoever wakes first takes all: of 64 kept connections, offered in one burst to
two idle workers of uvloop, one took 44 to 53 (means of 12 bursts; at worst all 64), one after the other 56 to 59.
``SO_REUSEPORT``, a socket for each worker, spreads by chance (36, at worst 41; of 8 connections 5, at worst 8), and resets
what waits at a worker that dies. So the workers tell each other how many connections they have, in memory they share, and
one that has more than another leaves it a moment's start: 32 to 33 (at worst 38; of 8 connections 4, at worst 5), however
they come; and one that takes a dead worker's place gets the next.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from servicekit.errors import UserError

START_SECONDS = 0.001
UNREADY_SECONDS = 0.05
RETRY_SECONDS = 1.0
NONE_TAKEN = 0xFFFFFFFF
"""Stands for the connections of a worker that takes none."""
UNREADY = NONE_TAKEN - 1
"""Stands for those of a worker that takes none while another is ready."""
log = logging.getLogger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; raises :class:`UserError` naming the port where it is taken."""
    # with its protocol named: else asyncio leaves Nagle on, and each answer on a kept connection waits 40 ms
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)  # bound sockets may share a port, listening ones may not
    except OSError as error:
        sock.close()
        raise UserError(
            f"Port {port} on {host} cannot be used ({error.strerror}). "
            "Stop what holds it, or set another port."
        ) from None
    return sock


def reachable(host: str) -> str:
    """A name for others to reach what is bound to ``host``: itself, or where that is any address, this machine's name.

    >>> reachable("127.0.0.1")
    '127.0.0.1'
    """
    return socket.gethostname() if host in ("0.0.0.0", "::", "") else host


class Loads:
    """How many connections each of ``workers`` has, in a file that they all map; each writes its own number only."""

    def __init__(self, path: Path, workers: int) -> None:
        if not path.exists():
            path.write_bytes(NONE_TAKEN.to_bytes(4, "little") * workers)
        with path.open("r+b") as file:
            self._of = memoryview(mmap.mmap(file.fileno(), 4 * workers)).cast("I")

    def set(self, worker: int, connections: int) -> None:
        """Worker ``worker`` has so many, or ``NONE_TAKEN``."""
        self._of[worker] = connections

    def least(self, without: int | None = None) -> int:
        """The fewest that any worker has but ``without``; ``NONE_TAKEN`` where none takes any."""
        return min((n for i, n in enumerate(self._of) if i != without), default=NONE_TAKEN)


class SharedSocket:
    """The inherited socket as worker ``worker`` uses it."""

    def __init__(self, sock: socket.socket, loads: Loads, worker: int) -> None:
        self.sock, self.loads, self.worker = sock, loads, worker


class Acceptor:
    """Takes connections from a shared socket, the fewer the worker has the sooner; stands in for ``asyncio.Server``.

    ``connect`` makes a protocol for an accepted socket; ``connections`` says how many there are. A worker that is not
    ready takes none where another is; where none is, somebody has to say so.
    """

    def __init__(
        self,
        shared: SharedSocket,
        connect: Callable[[socket.socket], Awaitable[object]],
        connections: Callable[[], int],
    ) -> None:
        self._shared, self._connect, self._connections = shared, connect, connections
        self._sock, self._loop = shared.sock, asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._ready = False
        self.state = "open"
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock.fileno(), self._look)
        self.tell()

    def ready(self) -> None:
        """Take a share of the connections."""
        self._ready = True
        self.tell()
        if self._pause is not None:
            self._pause.cancel()
            self._resume(then=None)

    def drain(self) -> None:
        """Accept no more where another worker does; the last one goes on."""
        self.state = "draining"
        self.tell()
        if self._shared.loads.least() != NONE_TAKEN:
            self.close()

    def close(self) -> None:
        """Accept no more; the socket stays open."""
        if self._pause is not None:
            self._pause.cancel()
        elif self.state != "closed":
            self._loop.remove_reader(self._sock.fileno())
        self.state = "closed"
        self.tell()

    async def wait_closed(self) -> None:
        """As that of ``asyncio.Server``."""

    def tell(self) -> int:
        """Tell the other workers how many connections this one has, and say it."""
        mine = NONE_TAKEN
        if self.state == "open":
            mine = len(self._connecting) + self._connections() if self._ready else UNREADY
        self._shared.loads.set(self._shared.worker, mine)
        return mine

    def _look(self) -> None:
        mine, least = self.tell(), self._shared.loads.least(without=self._shared.worker)
        if mine == UNREADY and least < UNREADY:
            self._wait(UNREADY_SECONDS, then=None)
        elif mine > least:
            self._wait(START_SECONDS, then=self._accept)  # unless somebody else has taken it
        else:
            self._accept()

    def _wait(self, seconds: float, then: Callable[[], None] | None) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._pause = self._loop.call_later(seconds, self._resume, then)

    def _resume(self, then: Callable[[], None] | None) -> None:
        self._pause = None
        self._loop.add_reader(self._sock.fileno(), self._look)
        if then is not None:
            then()

    def _accept(self) -> None:
        try:
            taken, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker has
        except OSError as error:
            log.error("no connection can be accepted for a moment: %s", error)
            self._wait(RETRY_SECONDS, then=None)
            return
        taken.setblocking(False)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._made(taken))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        self.tell()

    async def _made(self, taken: socket.socket) -> None:
        try:
            await self._connect(taken)
        except OSError as error:
            log.warning("a connection was lost at once: %s", error)
            taken.close()
