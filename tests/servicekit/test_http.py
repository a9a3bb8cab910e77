"""Health, metrics and problems are the same everywhere."""

import asyncio
import socket
import time
from pathlib import Path

import httpx
import pytest
import uvicorn
from kept_connection import connect, get, told_that_it_drains
from servicekit.broker import free_port
from servicekit.draining import DrainingServer
from servicekit.errors import UserError
from servicekit.http import Health, json_response, make_ops_routes, problem, serve, to_no_foreign_page
from servicekit.listening import NONE_TAKEN, UNREADY, Loads, SharedSocket, bind
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def fails() -> bool:
    """A check that raises."""
    raise ConnectionError("gone")


async def test_ready_names_each_dependency() -> None:
    """One failed check makes the service not ready, and the answer says which."""
    health = Health(kafka=lambda: True, model=fails)
    transport = httpx.ASGITransport(app=Starlette(routes=make_ops_routes(health)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.get("/health/live")).status_code == 200
        answer = await client.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"kafka": True, "model": False}
        health.checks["model"] = lambda: True
        assert (await client.get("/health/ready")).status_code == 200
        assert "atalaia_requests_total" in (await client.get("/metrics")).text


def test_a_problem_is_rfc_9457() -> None:
    """The media type, the members and the extensions are there."""
    answer = problem(422, "Invalid input", "age: missing", errors=[{"field": "age"}])
    assert answer.media_type == "application/problem+json"
    assert b'"errors":[{"field":"age"}]' in answer.body
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),  # a program
        ("http://localhost:8003", 200),
        ("http://127.0.0.1:3000", 200),
        ("http://[::1]:8001", 200),
        ("https://evil.example", 403),
        ("http://service", 403),  # a page whose name was made to lead here
        ("http://localhost.evil.example", 403),
        ("http://localhost@evil.example", 403),
        ("null", 403),  # a page that hides where it is from
        ("http://[", 403),
    ],
)
async def test_a_page_of_another_site_is_refused(origin: str | None, status: int) -> None:
    """What changes something is for programs and for pages of this machine, whatever type a body says it has."""
    asked = []

    async def endpoint(_: Request) -> Response:
        asked.append(1)
        return json_response("done")

    app = Starlette(routes=[Route("/", to_no_foreign_page(endpoint), methods=["POST"])])
    headers = {"content-type": "text/plain"} | ({"origin": origin} if origin else {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
        answer = await client.post("/", content=b"{}", headers=headers)
    assert (answer.status_code, len(asked)) == (status, int(status == 200))
    if status == 403:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_serve_answers_and_stops() -> None:
    """A served application answers over a real socket and stops when told."""
    port, stop = free_port(), asyncio.Event()
    running = asyncio.create_task(serve(Starlette(routes=make_ops_routes(Health())), "127.0.0.1", port, stop))
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health/live")).json() == {"status": "live"}
    stop.set()
    await asyncio.wait_for(running, 10)


@pytest.mark.parametrize("shared", [False, True])
async def test_the_end_cuts_nobody_off(shared: bool, tmp_path: Path) -> None:
    """Told to end, a service says so, answers what is under way and what still comes on a kept connection, and closes."""
    port, stop, go, begun = free_port(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    health = Health()

    async def slow(_: Request) -> Response:
        begun.set()
        await go.wait()
        return json_response("done")

    app = Starlette(routes=[*make_ops_routes(health), Route("/slow", slow)])
    sock = SharedSocket(bind("127.0.0.1", port), Loads(tmp_path / "loads", 1), 0) if shared else None
    running = asyncio.create_task(serve(app, "127.0.0.1", port, stop, sock=sock, health=health))
    busy, idle = [await connect(port) for _ in range(2)]
    assert "200 OK" in await get(*idle, "/health/ready")
    answer = asyncio.create_task(get(*busy, "/slow"))
    await begun.wait()
    stop.set()
    late = await connect(port)
    for connection in (late, idle):
        await told_that_it_drains(connection)
    if sock is not None:
        assert sock.loads.least() == NONE_TAKEN  # connections are left to other workers
    go.set()
    said = await asyncio.wait_for(answer, 5)
    assert ("200 OK" in said, "connection: close" in said, '"done"' in said) == (True, True, True)
    assert await asyncio.wait_for(busy[0].read(), 5) == b""
    await asyncio.wait_for(running, 5)


async def test_a_worker_is_ready_once_its_health_is_good(tmp_path: Path) -> None:
    """One of several answers at once where no other is ready, and says that it takes its share once its checks pass."""
    port, stop, ready = free_port(), asyncio.Event(), False
    health = Health(model=lambda: ready)
    sock = SharedSocket(bind("127.0.0.1", port), Loads(tmp_path / "loads", 1), 0)
    app = Starlette(routes=make_ops_routes(health))
    running = asyncio.create_task(serve(app, "127.0.0.1", port, stop, sock=sock, health=health))
    connection = await connect(port)
    assert "503" in await get(*connection, "/health/ready")
    assert "200 OK" in await get(*connection, "/health/live")
    assert sock.loads.least() == UNREADY
    ready = True
    deadline = time.monotonic() + 10
    while sock.loads.least() != 1:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert "200 OK" in await get(*connection, "/health/ready")
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_what_waits_to_be_accepted_is_answered() -> None:
    """Connections that came while the loop was busy are taken in before the port is given up."""
    sock = bind("127.0.0.1", free_port())
    server = DrainingServer(uvicorn.Config(Starlette(routes=make_ops_routes(Health())), lifespan="off"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([sock])
    waiting = [socket.create_connection(sock.getsockname()) for _ in range(20)]
    for one in waiting:
        one.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(server.shutdown([sock]), 5)
    for one in waiting:
        with one:
            assert one.recv(1000).startswith(b"HTTP/1.1 200 OK\r\nconnection: close\r\n")


def test_an_occupied_port_is_named() -> None:
    """Binding a port in use raises a UserError with its number."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port}"):
            bind("127.0.0.1", port)
