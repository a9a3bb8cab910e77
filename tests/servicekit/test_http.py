"""Health, metrics and problems are the same everywhere."""

import asyncio
import socket

import httpx
import pytest
from servicekit.broker import free_port
from servicekit.errors import UserError
from servicekit.http import Health, bind, make_ops_routes, problem, serve
from starlette.applications import Starlette


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


async def test_serve_answers_and_stops() -> None:
    """A served application answers over a real socket and stops when told."""
    port, stop = free_port(), asyncio.Event()
    running = asyncio.create_task(serve(Starlette(routes=make_ops_routes(Health())), "127.0.0.1", port, stop))
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health/live")).json() == {"status": "live"}
    stop.set()
    await asyncio.wait_for(running, 10)


def test_an_occupied_port_is_named() -> None:
    """Binding a port in use raises a UserError with its number."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port}"):
            bind("127.0.0.1", port)
