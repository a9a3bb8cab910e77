"""Several workers take connections from one socket in turn, and none that waits is lost."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servicekit.broker import free_port
from servicekit.listening import NONE_TAKEN, Acceptor, Loads, SharedSocket, bind


class Worker:
    """A worker that holds each connection it takes."""

    def __init__(self, sock: socket.socket, path: Path, number: int, workers: int) -> None:
        self.taken: list[socket.socket] = []
        self.loads = Loads(path, workers)
        self.shared = SharedSocket(sock.dup(), self.loads, number)
        self.acceptor: Acceptor | None = None

    def open(self, ready: bool = True) -> Acceptor:
        """Begin to take connections."""
        self.acceptor = Acceptor(self.shared, self._connect, lambda: len(self.taken))
        if ready:
            self.acceptor.ready()
        return self.acceptor

    async def _connect(self, sock: socket.socket) -> None:
        self.taken.append(sock)

    def close(self) -> None:
        """Let go of everything."""
        if self.acceptor is not None:
            self.acceptor.close()
        for sock in (*self.taken, self.shared.sock):
            sock.close()


class Place:
    """A listening socket, its workers and its callers."""

    def __init__(self, folder: Path) -> None:
        self.sock = bind("127.0.0.1", free_port())
        self.workers: list[Worker] = []
        self.callers: list[socket.socket] = []
        self.path = folder / "loads"

    def have(self, workers: int) -> list[Worker]:
        """So many workers, none of which accepts yet."""
        self.workers = [Worker(self.sock, self.path, number, workers) for number in range(workers)]
        return self.workers

    def call(self, n: int) -> None:
        """So many connections at once; the kernel makes them, accepted or not."""
        self.callers += [socket.create_connection(self.sock.getsockname()) for _ in range(n)]

    async def spread(self) -> list[int]:
        """Who has taken how many, once all are taken."""
        deadline = time.monotonic() + 10
        while sum(len(worker.taken) for worker in self.workers) < len(self.callers):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)
        return [len(worker.taken) for worker in self.workers]

    def close(self) -> None:
        """Let go of everything."""
        for one in (*self.workers, *self.callers, self.sock):
            one.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place of its own."""
    found = Place(tmp_path)
    yield found
    found.close()


async def test_connections_are_spread_evenly(place: Place) -> None:
    """A burst, and one after the other: what one worker has above its share is little, and soon made good."""
    for worker in place.have(2):
        worker.open()
    place.call(32)
    assert max(await place.spread()) <= 22
    for _ in range(32):
        place.call(1)
        await place.spread()
    assert max(await place.spread()) <= 34


async def test_a_worker_that_comes_later_catches_up(place: Place) -> None:
    """Who has none takes all that come, until it has as many as the other."""
    first, second = place.have(2)
    first.open()
    place.call(10)
    assert await place.spread() == [10, 0]
    second.open()
    place.call(10)
    assert min(await place.spread()) >= 6


async def test_a_worker_that_is_not_open_takes_none_and_holds_up_nobody(place: Place) -> None:
    """Only who is open takes connections; one that is stuck costs the others a moment each."""
    first, second, stuck = place.have(3)
    first.open()
    stuck.loads.set(2, 0)  # it says that it takes some, and does not
    place.call(20)
    assert await place.spread() == [20, 0, 0]
    assert second.loads.least(without=2) == 20


async def test_a_worker_that_is_not_ready_leaves_connections_to_those_that_are(place: Place) -> None:
    """Where none is ready somebody has to say so; where another is, it takes none, however long that one takes."""
    first, second = place.have(2)
    unready = first.open(ready=False)
    place.call(3)
    assert await place.spread() == [3, 0]
    stuck = Loads(place.path, 2)
    stuck.set(1, 1000)  # ready, and slow
    place.call(3)
    await asyncio.sleep(0.2)  # no condition to wait for: nothing shall happen
    assert [len(first.taken), len(second.taken)] == [3, 0]
    second.open()
    assert await place.spread() == [3, 3]
    unready.ready()
    place.call(4)
    assert min(await place.spread()) >= 4


async def test_what_waits_survives_a_worker(place: Place) -> None:
    """A connection in the queue, with a request in it, is taken by whoever comes next."""
    first, second = place.have(2)
    place.call(1)
    place.callers[0].sendall(b"hello")
    first.open()
    first.close()  # before its turn
    second.open()
    assert await place.spread() == [0, 1]
    assert second.taken[0].recv(10) == b"hello"


async def test_a_draining_worker_leaves_connections_to_the_others(place: Place) -> None:
    """It takes none while another worker does; the last one goes on, and is said to take none."""
    first, second = place.have(2)
    acceptors = [worker.open() for worker in (first, second)]
    acceptors[0].drain()
    place.call(10)
    assert await place.spread() == [0, 10]
    acceptors[1].drain()
    assert first.loads.least() == NONE_TAKEN
    place.call(10)
    assert await place.spread() == [0, 20]


async def test_a_failing_accept_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors, a worker waits a moment, and does not spin."""
    monkeypatch.setattr("servicekit.listening.RETRY_SECONDS", 0.05)
    (worker,) = place.have(1)
    real, tries, rich = worker.shared.sock, 0, time.monotonic() + 0.2

    class Poor:
        """A socket that cannot accept at first."""

        def accept(self) -> tuple[socket.socket, object]:
            nonlocal tries
            tries += 1
            if time.monotonic() < rich:
                raise OSError(24, "Too many open files")
            return real.accept()

        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(real, name)

    worker.open()._sock = Poor()  # type: ignore[assignment]
    place.call(1)
    assert await place.spread() == [1]
    assert 2 <= tries <= 6
