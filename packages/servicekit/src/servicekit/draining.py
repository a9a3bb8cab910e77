"""A uvicorn server that ends without cutting anybody off.

uvicorn's own way closes an idle kept connection at once, so that a request which is on its way, or lies unread in the
kernel, is answered by a reset. Here, once told to end, the server goes on for a second while anybody is connected: each
answer says ``connection: close``. Then it takes in what waits to be accepted and gives the port up; those connections
have a moment to be read before what is idle is closed. What is under way has ``timeout_graceful_shutdown`` to end.

A server that nobody is connected to gives its port up at once. Whoever sends new connections here has to know before it
is told to end: on Kubernetes by a ``preStop`` that waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import uvicorn

from servicekit.listening import Acceptor, SharedSocket

LINGER_SECONDS = 1.0
LAST_SECONDS = 0.25
_TICK_SECONDS = 0.01
_CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """Leaves signals to the program around it; set ``should_exit`` to end it.

    With ``shared`` it takes connections from several workers' socket, in turn with them once :meth:`ready` was called.
    """

    def __init__(self, config: uvicorn.Config, shared: SharedSocket | None = None) -> None:
        super().__init__(config)
        self.shared = shared
        self._acceptor: Acceptor | None = None
        self._ready = False

    def ready(self) -> None:
        """What is answered is good."""
        self._ready = True
        if self._acceptor is not None:
            self._acceptor.ready()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; the shared socket is accepted from in turn with the other workers."""
        await super().startup(sockets if self.shared is None else [])
        if self.shared is not None:
            loop, state, config = asyncio.get_running_loop(), self.server_state, self.config

            def protocol() -> asyncio.Protocol:
                made: Any = config.http_protocol_class
                return cast(
                    asyncio.Protocol, made(config=config, server_state=state, app_state=self.lifespan.state)
                )

            async def connect(taken: socket.socket) -> None:
                await loop.connect_accepted_socket(protocol, taken)

            self._acceptor = Acceptor(self.shared, connect, lambda: len(state.connections))
            self.servers = [cast(asyncio.Server, self._acceptor)]
            if self._ready:
                self._acceptor.ready()

    async def on_tick(self, counter: int) -> bool:
        """Now and then; the other workers learn of connections that have ended."""
        if self._acceptor is not None:
            self._acceptor.tell()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """No signal is captured."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say goodbye with each answer for a while, then close."""
        if self._acceptor is not None:
            self._acceptor.drain()
        state = self.server_state
        state.default_headers = [*state.default_headers, _CLOSE]
        for connection in state.connections:
            cycle: Any = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                connection.shutdown()  # under way: it ends its connection with its answer
        listening = sockets or []
        taking = listening if self._acceptor is None or self._acceptor.state == "draining" else []
        await self._while(lambda: bool(state.connections) or _waiting(taking), LINGER_SECONDS)
        await self._while(lambda: _waiting(taking), LAST_SECONDS, 0)  # a turn of the loop accepts one
        for server in self.servers:
            server.close()
        for sock in listening:
            sock.close()
        await self._while(lambda: bool(state.connections), LAST_SECONDS)
        await super().shutdown(sockets)

    @staticmethod
    async def _while(fact: Callable[[], bool], seconds: float, tick: float = _TICK_SECONDS) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while fact() and clock() < until:  # noqa: ASYNC110  uvicorn tells nobody when a connection ends
            await asyncio.sleep(tick)


def _waiting(sockets: Sequence[socket.socket]) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
