"""Feedback's HTTP over real sockets: uploads that are answered while they arrive, and questions that are passed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from contracts.codec import prediction_id
from feedback.consumes.http import Elsewhere, make_app
from feedback.consumes.http.forwarding import ask
from feedback.consumes.http.problems import OwnerAway
from feedback.domain.uploads import Labels
from servicekit.broker import free_port
from servicekit.http import Health, serve

ID = prediction_id(f"{7:032x}", 0)


class Site:
    """One served replica; what it does not hold is at ``elsewhere``."""

    def __init__(self) -> None:
        self.port, self.elsewhere = free_port(), ""
        self.truths: list[Any] = []
        self.url = f"http://127.0.0.1:{self.port}"

    async def send(self, labels: Labels, upload_id: str, block: int = 0) -> None:
        """Kafka."""
        self.truths += labels.truth

    async def state(self, prediction_id: str) -> dict[str, Any]:
        """The join's answer."""
        if self.elsewhere:
            raise Elsewhere(self.elsewhere)
        return {"state": "pending"}

    async def status(self) -> dict[str, Any]:
        """The join's answer."""
        return {}

    async def flush(self, until: int | None, seconds: float) -> int | None:
        """The join's answer."""
        if self.elsewhere:
            raise Elsewhere(self.elsewhere)
        return until


@asynccontextmanager
async def served() -> AsyncIterator[Site]:
    """A replica that answers."""
    site, stop = Site(), asyncio.Event()
    app = make_app(site, site.send, Health(), max_body_bytes=1_000_000)
    running = asyncio.create_task(serve(app, "127.0.0.1", site.port, stop))
    try:
        await asyncio.sleep(0)  # the port is bound
        yield site
    finally:
        stop.set()
        await running


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until a condition holds; fails at the deadline."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def chunk(content: bytes) -> bytes:
    """A piece of a body whose length is not known."""
    return b"%x\r\n%b\r\n" % (len(content), content)


def line(truth: str) -> bytes:
    """A label."""
    return json.dumps({"prediction_id": ID, "truth": truth}).encode() + b"\n"


async def upload(site: Site, accept: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which an upload has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        b"POST /api/v1.0/feedback/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
        b"transfer-encoding: chunked\r\naccept: " + accept + b"\r\n\r\n"
    )
    return reader, writer


async def test_progress_arrives_while_the_upload_is_under_way() -> None:
    """The answer has begun, and says what Kafka has, before the last line is sent; the connection is kept."""
    async with served() as site, asyncio.timeout(20):
        reader, writer = await upload(site, b"application/x-ndjson")
        writer.write(chunk(line("first")))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        first = json.loads((await reader.readuntil(b"}\n")).split(b"\r\n")[1])
        assert (first["accepted"], site.truths) == (1, ["first"])
        writer.write(chunk(line("second")[:20]))
        writer.write(chunk(line("second")[20:]) + chunk(b""))
        rest = await reader.readuntil(b"0\r\n\r\n")
        last = json.loads(rest.split(b"\r\n")[-4])
        assert (last["status"], last["accepted"], site.truths) == (202, 2, ["first", "second"])
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


@pytest.mark.parametrize("accept", [b"*/*", b"application/x-ndjson"])
async def test_a_connection_that_is_cut_ends_the_upload(
    accept: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What was acknowledged stays, the line that was cut is not taken, and the service answers others as ever."""
    caplog.set_level("INFO", "feedback")
    async with served() as site, asyncio.timeout(20):
        _, writer = await upload(site, accept)
        writer.write(chunk(line("first") + b'{"prediction_id": "' + ID.encode() + b'", "truth": 12}'))
        await until(lambda: site.truths == ["first"])
        writer.transport.abort()
        async with httpx.AsyncClient(base_url=site.url) as client:
            answer = await client.post("/api/v1.0/feedback/", json={"prediction_id": ID, "truth": "other"})
        assert answer.status_code == 202
        await until(lambda: "broke off: {'accepted': 1," in caplog.text)
        assert site.truths == ["first", "other"]


async def test_what_another_replica_holds_is_asked_there() -> None:
    """State, states and flush, over HTTP; two that point at each other answer 503."""
    async with served() as one, served() as other, httpx.AsyncClient(base_url=one.url) as client:
        one.elsewhere = other.url
        path = f"/api/v1.0/feedback/{ID}"
        assert (await client.get(path)).json() == {"prediction_id": ID, "state": "pending"}
        answer = await client.post("/api/v1.0/feedback/states", json={"prediction_id": [ID]})
        assert answer.json() == {"states": [{"prediction_id": ID, "state": "pending"}]}
        assert (await client.post("/api/v1.0/flush", json={"until": 7})).json() == {"decided_through": 7}
        other.elsewhere = one.url
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_an_owner_that_does_not_answer_is_not_waited_for() -> None:
    """Nobody at the address, one who says nothing, one who is no replica, and an address that is none."""
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(30), "127.0.0.1", free_port())
    port = silent.sockets[0].getsockname()[1]
    try:
        for url in (
            f"http://127.0.0.1:{free_port()}/x",
            f"http://127.0.0.1:{port}/x",
            "nowhere",
            "http://a b/",
        ):
            with pytest.raises(OwnerAway):
                await ask("GET", url, b"", 0.3)
    finally:
        silent.close()
