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

WINDOW, GRACE = 1000, 50


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

        async def hold(boundary: int) -> None:
            server.events.append(("hold", boundary))

        async def pass_time(until: int) -> None:
            server.events.append(("pass", until))

        replay = Replay(
            session,
            url,
            url,
            origin=0,
            window=WINDOW,
            grace=GRACE,
            upload_every=300,
            hold=hold,
            pass_time=pass_time,
            upload_rows=7,
        )
        return await replay.run(batches)


def _at(times: list[int], delay: int = 250) -> list[Any]:
    return [make_batch([t], [{"x": t}], ["yes"], [t + delay]) for t in times]


async def test_event_time_is_held_at_the_first_row_past_the_grace(server: tuple[Server, str]) -> None:
    """What a boundary decides is served from the second row past the grace on: nothing else goes out meanwhile."""
    seen, url = server
    await _run(seen, url, _batches(100, 37, 250))
    holds = [at for kind, at in seen.events if kind == "hold"]
    assert holds == [1000, 2000, 3000, 4000]
    for b in holds[:-1]:
        before = [at for kind, at in seen.events[: seen.events.index(("hold", b))] if kind == "predict"]
        assert sorted(before) == [t for t in range(0, 3700, 37) if t < b + GRACE + 37]
    assert seen.events[-2:] == [("pass", 4000 + GRACE), ("hold", 4000)]


async def test_labels_known_before_a_boundary_are_there_before_any_row_is_past_it(
    server: tuple[Server, str],
) -> None:
    """The monitor and feedback cannot decide a boundary before every label that counts as of it is uploaded."""
    seen, url = server
    await _run(seen, url, _batches(100, 37, 250))
    for b in (1000, 2000, 3000):
        past = next(i for i, (kind, at) in enumerate(seen.events) if kind == "predict" and at >= b)
        labels = [at for kind, at in seen.events[:past] if kind == "label"]
        assert sum(at < b for at in labels) == sum(at < b for kind, at in seen.events if kind == "label")
        assert all(at < b for kind, at in seen.events[:past] if kind == "predict")


async def test_a_row_in_the_grace_holds_nothing(server: tuple[Server, str]) -> None:
    """Nobody can decide before the grace is over, so rows in it go out like others."""
    seen, url = server
    await _run(seen, url, _at([900, 1000, 1049, 1050, 1060]))
    held = seen.events.index(("hold", 1000))
    assert sorted(at for kind, at in seen.events[:held] if kind == "predict") == [900, 1000, 1049, 1050]


async def test_windows_without_rows_are_decided_one_after_the_other(server: tuple[Server, str]) -> None:
    """A promotion at the end of one window is known at the end of the next, however far off the next row is."""
    seen, url = server
    await _run(seen, url, _at([100, 3200, 3300]))
    kinds = [event for event in seen.events if event[0] != "label"]
    assert kinds == [
        ("predict", 100),
        ("pass", 1050),
        ("hold", 1000),
        ("pass", 2050),
        ("hold", 2000),
        ("predict", 3200),
        ("hold", 3000),
        ("predict", 3300),
        ("pass", 4050),
        ("hold", 4000),
    ]


async def test_a_stream_that_ends_in_the_grace_leaves_no_window_open(server: tuple[Server, str]) -> None:
    """At the end both the window before and the last one are decided, in turn, with all labels given."""
    seen, url = server
    await _run(seen, url, _at([900, 1010]))
    assert seen.events[-4:] == [("pass", 1050), ("hold", 1000), ("pass", 2050), ("hold", 2000)]
    assert sum(kind == "label" for kind, _ in seen.events[:-4]) == 2


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
        await _run(seen, url, _batches(50, 10, 5))
    assert not seen.events


def test_next_boundary_is_the_windows_end() -> None:
    """A boundary itself belongs to the window that begins there."""
    assert [next_boundary(t, 500, 1000) for t in (500, 1499, 1500)] == [1500, 1500, 2500]
