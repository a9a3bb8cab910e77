"""The driver against two small HTTP servers that remember what came when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from atalaia.demo.batches import make_batch, next_boundary
from atalaia.demo.replay import MAX_FAILURES, Replay
from servicekit.errors import UserError

WINDOW = 1000


class Server:
    """Answers predictions and labels; ``events`` is what happened in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.fail = False

    async def predict(self, request: web.Request) -> web.Response:
        content = orjson.loads(await request.read())
        if self.fail:
            return web.Response(status=503)
        at = content["event_time"]
        at = max(at) if isinstance(at, list) else at
        n = len(self.events)
        self.events.append(("predict", at))
        rows = [{"prediction_id": f"{n}.{i}"} for i in range(len(content["rows"]))]
        return web.json_response({"model": "m", "version": "1", "predictions": rows})

    async def feedback(self, request: web.Request) -> web.Response:
        content = orjson.loads(await request.read())
        self.events += [("label", t) for t in content["label_time"]]
        return web.json_response({"accepted": len(content["truth"]), "upload_id": "u"}, status=202)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    seen = Server()
    app = web.Application()
    app.router.add_post("/api/v1.0/predict/batch", seen.predict)
    app.router.add_post("/api/v1.0/feedback/batch", seen.feedback)
    async with TestServer(app) as running:
        yield seen, str(running.make_url("")).rstrip("/")


def _batches(n: int, step: int, delay: int) -> list[Any]:
    return [
        make_batch(
            [i * step, i * step],
            [{"x": i}, {"x": -i}],
            ["yes", None if i % 5 == 0 else "no"],
            [i * step + delay] * 2,
        )
        for i in range(n)
    ]


async def _run(server: Server, url: str, batches: list[Any]) -> Any:
    async with aiohttp.ClientSession() as session:

        async def at_boundary(boundary: int) -> None:
            server.events.append(("boundary", boundary))

        replay = Replay(
            session,
            url,
            url,
            origin=0,
            window=WINDOW,
            upload_every=300,
            at_boundary=at_boundary,
            upload_rows=7,
        )
        return await replay.run(batches)


async def test_boundary_separates_predictions_and_labels(server: tuple[Server, str]) -> None:
    """At a boundary every earlier prediction and every label known before it is out, and no later one."""
    seen, url = server
    sent = await _run(seen, url, _batches(100, 37, 250))
    boundaries = [at for kind, at in seen.events if kind == "boundary"]
    assert boundaries == [1000, 2000, 3000]
    for b in boundaries:
        cut = seen.events.index(("boundary", b))
        before, after = seen.events[:cut], seen.events[cut + 1 :]
        assert all(at < b for kind, at in before if kind != "boundary")
        assert all(at >= b for kind, at in after)
    assert (sent.first_boundary, sent.last_boundary) == (1000, 4000)


async def test_every_row_and_label_is_sent_once(server: tuple[Server, str]) -> None:
    """Rows and labels sent equal what the stream holds; a truth that never comes is not sent."""
    seen, url = server
    sent = await _run(seen, url, _batches(100, 37, 250))
    assert sent.rows == 200
    assert sent.batches == 100
    assert sent.labels == 180 == sum(kind == "label" for kind, _ in seen.events)
    assert not sent.failures


async def test_many_failures_end_the_replay(server: tuple[Server, str]) -> None:
    """A predictor that only fails ends the replay with one line instead of a hundred thousand."""
    seen, url = server
    seen.fail = True
    with pytest.raises(UserError, match=f"more than {MAX_FAILURES} requests failed; the first: .*HTTP 503"):
        await _run(seen, url, _batches(200, 10, 5))


def test_next_boundary_is_the_windows_end() -> None:
    """A boundary itself belongs to the window that begins there."""
    assert [next_boundary(t, 500, 1000) for t in (500, 1499, 1500)] == [1500, 1500, 2500]
