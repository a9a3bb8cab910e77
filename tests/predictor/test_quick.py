"""The quick way in answers as FastAPI does, byte for byte but for date and ids, however a request comes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from predictor.consumes.http import make_app, quick
from predictor.consumes.http.quick import QuickProtocol
from predictor.domain.service import Predictor
from predictor_models import NOW, Kafka, people
from servicekit.http import Health, bind, serve

MODEL = people()
GOOD = {"age": 50, "children": 1, "income": None, "town": "A", "member": True}
PATH = "/api/v1.0/predict/"


class Slow(Kafka):
    """A log that takes its time when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.held = asyncio.Event()
        self.held.set()
        self.asked = 0

    async def publish(self, event: Any) -> None:
        """As the real one."""
        self.asked += 1
        await self.held.wait()
        await super().publish(event)


class Served:
    """A served predictor, and how often the quick way took a request."""

    def __init__(self, port: int, kafka: Slow, stop: asyncio.Event) -> None:
        self.port, self.kafka, self.stop = port, kafka, stop
        self.quick = 0

    async def exchange(self, *segments: bytes, whole: bool = False) -> bytes:
        """All that comes back for bytes sent one after the other, and for a last request that ends the connection.

        ``whole``: each is a request, and its answer is waited for.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        found = b""
        with contextlib.suppress(ConnectionError):
            # what is sent to a connection that is being closed resets it, and the answer may be lost
            closing = any(word in segments[-1] for word in (b"onnection: close", b"HTTP/1.0", b"upgrade"))
            for segment in segments if closing else (*segments, GOODBYE):
                writer.write(segment)
                await writer.drain()
                if whole and segment is not GOODBYE:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(rb"content-length: (\d+)", head)
                    assert length is not None
                    found += head + await reader.readexactly(int(length[1]))
                else:
                    await asyncio.sleep(0.002)  # so that they are segments, most of the time
            try:
                async with asyncio.timeout(1):
                    while part := await reader.read(65_536):
                        found += part
            except TimeoutError:  # it took the goodbye for a body, and waits for the rest
                writer.write_eof()
                found += await reader.read()
        writer.close()
        return found


@contextlib.asynccontextmanager
async def served(hot: bool = True, limit: int = 100_000) -> AsyncIterator[Served]:
    """A predictor on a port of its own."""
    kafka, stop, sock = Slow(), asyncio.Event(), bind("127.0.0.1", 0)
    predictor = Predictor(kafka)
    predictor.swap(MODEL)
    app = make_app(
        predictor, Health(), max_body_bytes=limit, event_time_required=False, clock=lambda: NOW, hot=hot
    )
    found = Served(sock.getsockname()[1], kafka, stop)
    if hot:
        begin = app.protocol.keywords["begin"]

        def counted(body: bytes, done: Any) -> bool:
            taken: bool = begin(body, done)
            found.quick += taken
            return taken

        app.protocol.keywords["begin"] = counted
    running = asyncio.create_task(serve(app, "", 0, stop, sock=sock))
    try:
        yield found
    finally:
        stop.set()
        kafka.held.set()
        await running


def request(
    content: Any = None, *more: str, path: str = PATH, version: str = "1.1", body: bytes | None = None,
    length: int | str | None = None,
) -> bytes:  # fmt: skip
    """The bytes of a request."""
    body = json.dumps(content).encode() if body is None else body
    lines = [f"POST {path} HTTP/{version}", "host: x", *more]
    if length != "none":
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def same(found: bytes) -> bytes:
    """Without what differs from answer to answer."""
    found = re.sub(rb"date: [^\r]*\r\n", b"", found)
    return re.sub(rb'"prediction_id":"[0-9a-f]{32}\.\d+"', b"", found)


ONE = request({"features": GOOD})
LAST = request({"features": GOOD}, "Connection: close")
GOODBYE = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
# What is sent, and whether any of it goes the quick way; None: the last does, unless it comes before the others are done.
CASES: dict[str, tuple[bool | None, tuple[bytes, ...]]] = {
    "plain": (True, (ONE,)),
    "names in capitals": (True, (ONE.replace(b"content-length", b"Content-Length").replace(b"host", b"Host"),)),
    "with an event time": (True, (request({"features": GOOD, "event_time": "2020-01-01T00:00:00Z"}),)),
    "other headers": (True, (request({"features": GOOD}, "accept: */*", "x-a: b, c", "connection: keep-alive"),)),
    "connection close": (False, (LAST,)),
    "HTTP/1.0": (False, (request({"features": GOOD}, version="1.0"),)),
    "one after the other": (True, (ONE, ONE, ONE)),
    "two at once": (False, (ONE + ONE,)),
    "two at once, then one": (None, (ONE + ONE, ONE)),
    "head and body apart": (False, (ONE[:-40], ONE[-40:])),
    "then a plain one": (None, (ONE[:-40], ONE[-40:], ONE)),
    "a byte too many": (False, (ONE + b"x",)),
    "cut off": (False, (ONE[:-1],)),
    "no length": (False, (request({"features": GOOD}, length="none"),)),
    "two lengths": (False, (request({"features": GOOD}, "content-length: 3"),)),
    "a length with a sign": (False, (request({"features": GOOD}, length="+12"),)),
    "chunked": (
        False,
        (request(body=b"5\r\n{\"fea\r\n0\r\n\r\n", length="none").replace(b"host: x", b"host: x\r\ntransfer-encoding: chunked"),),
    ),
    "chunked and a length": (False, (request({"features": GOOD}, "Transfer-Encoding: chunked"),)),
    "expects to be asked": (False, (request({"features": GOOD}, "expect: 100-continue"),)),
    "an upgrade": (False, (request({"features": GOOD}, "connection: upgrade", "upgrade: h2c"),)),
    "compressed, it says": (False, (request({"features": GOOD}, "content-encoding: gzip"),)),
    "a folded header": (False, (request({"features": GOOD}, "x-a: b\r\n c"),)),
    "a header with a blank in its name": (False, (request({"features": GOOD}, "x a: b"),)),
    "no host": (False, (ONE.replace(b"host: x\r\n", b""),)),
    "a field is missing": (None, (request({"features": {"age": 1}}), ONE)),
    "not JSON": (None, (request(body=b"{"), ONE)),
    "no body": (None, (request(body=b""), ONE)),
    "too large": (False, (request({"features": GOOD | {"town": "x" * 100_000}}),)),
    "another path": (None, (request({}, path="/nowhere"), ONE)),
    "a query": (False, (request({"features": GOOD}, path=PATH + "?x=1"),)),
    "a batch": (None, (request({"rows": [GOOD, GOOD]}, path="/api/v1.0/predict/batch"), ONE)),
    "nonsense": (False, (b"nonsense\r\n\r\n",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_it_answers_as_fastapi_does(case: str) -> None:
    """Status, headers and body are the same, and what is plain and well-formed does go the quick way."""
    goes, segments = CASES[case]
    async with served() as quickly, served(hot=False) as slowly:
        ours = await quickly.exchange(*segments, whole=goes is True)
        theirs = await slowly.exchange(*segments, whole=goes is True)
        assert same(ours) == same(theirs)
        assert ours
        assert goes is None or (quickly.quick > 0) == goes
        recorded = [sum(len(e.predictions) for e in side.kafka.published) for side in (quickly, slowly)]
        assert recorded[0] == recorded[1] >= ours.count(b"prediction_id")


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(1, 3 * len(ONE) - 1), max_size=4))
def test_however_the_bytes_are_cut_each_request_has_its_answer(cuts: list[int]) -> None:
    """Three requests in a row, in any segments: three answers of 200, in order."""
    bodies = [{**GOOD, "age": age} for age in (1, 60, 140)]
    whole = b"".join(request({"features": body}) for body in bodies)
    edges = [0, *sorted(set(cuts)), len(whole)]

    async def story() -> tuple[bytes, int]:
        async with served() as found:
            answer = await found.exchange(*[whole[a:b] for a, b in itertools.pairwise(edges) if a < b])
            return answer, len(found.kafka.published)

    answer, _ = asyncio.run(story())
    said = [json.loads(body)["probabilities"]["yes"] for body in re.findall(rb"\r\n\r\n(\{.*?\}\})", answer)]
    expected = [MODEL.score({n: [b[n]] for n in b}, 1)[1]["yes"][0] for b in bodies]  # type: ignore[index]
    assert said == expected


async def test_what_comes_behind_one_under_way_waits_for_it() -> None:
    """A second request on the same connection is answered after the first, and the third goes the quick way again."""
    async with served() as found:
        found.kafka.held.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(ONE)
        while not found.kafka.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        writer.write(request({"features": {"age": 1}}))
        await asyncio.sleep(0.01)
        found.kafka.held.set()
        assert b"200 OK" in await reader.readuntil(b"}}")
        assert b"422" in await reader.readuntil(b"}]}")
        writer.write(ONE)
        assert b"200 OK" in await reader.readuntil(b"}}")
        assert found.quick == 2
        writer.close()


async def test_a_client_that_has_gone_disturbs_nobody() -> None:
    """Its request is recorded like the others; there is nobody to answer."""
    async with served() as found:
        found.kafka.held.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(ONE)
        while not found.kafka.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        writer.transport.abort()
        other = asyncio.create_task(found.exchange(ONE))
        await asyncio.sleep(0.02)
        found.kafka.held.set()
        assert b"200 OK" in await other
        assert len([n for e in found.kafka.published for n in e.predictions]) == 2


async def test_at_the_end_what_is_under_way_is_answered() -> None:
    """And the answer says that the connection ends with it."""
    async with served() as found:
        found.kafka.held.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(ONE)
        while not found.kafka.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        found.stop.set()
        head = b""
        while b"connection: close" not in head:  # the server has not begun to end
            asking, asked = await asyncio.open_connection("127.0.0.1", found.port)
            asked.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await asking.readuntil(b"}")
            asked.close()
        found.kafka.held.set()
        async with asyncio.timeout(20):
            answer = await reader.read()  # to its end: the connection is closed
        assert b"200 OK" in answer
        assert b"connection: close" in answer
        writer.close()


async def test_a_failure_after_the_beginning_is_a_problem() -> None:
    """What the log refuses is the same 503 as elsewhere, and the connection goes on."""
    async with served() as found, served(hot=False) as slowly:
        found.kafka.broken = slowly.kafka.broken = True
        assert same(await found.exchange(ONE)) == same(await slowly.exchange(ONE))
        assert found.quick == 1
        found.kafka.broken = False
        assert b"200 OK" in await found.exchange(ONE)


def test_the_heads_that_are_remembered_are_few() -> None:
    """A client that sends a new header each time costs no memory."""
    protocol = QuickProtocol.__new__(QuickProtocol)
    for n in range(3 * quick._HEADS):
        assert protocol._body(request({"features": GOOD}, f"x-request-id: {n}")) is not None
    assert len(QuickProtocol._plain) <= quick._HEADS


@pytest.mark.parametrize("line", [b"x:" + b" " * 60_000 + b"\0", b"x:" + b" a" * 30_000 + b"\0"])
def test_a_header_is_looked_at_in_time_that_grows_with_it(line: bytes) -> None:
    """Sixty thousand spaces and an odd byte are no header, which is found in milliseconds and not in many seconds."""
    started = time.perf_counter()
    assert not quick._plain(b"host: x\r\n" + line)
    assert time.perf_counter() - started < 3
