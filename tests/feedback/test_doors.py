"""Feedback's HTTP, door by door, against a hand-written join and Kafka."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from contracts.codec import prediction_id
from feedback.consumes.http import Elsewhere, Unready, make_app
from feedback.consumes.http.forwarding import FORWARDED, Reply
from feedback.consumes.http.problems import OwnerAway
from feedback.domain.uploads import Labels
from servicekit import metrics
from servicekit.http import Health

NOW = 1_700_000_000_000
ONE, BATCH = "/api/v1.0/feedback/", "/api/v1.0/feedback/batch"
NDJSON, CSV = {"content-type": "application/x-ndjson"}, {"content-type": "text/csv"}
LINES = {"accept": "application/x-ndjson"}


def name(n: int) -> str:
    """A prediction_id."""
    return prediction_id(f"{n:032x}", 0)


class Replica:
    """One replica: the application, the ids that it holds, and what Kafka got from it."""

    def __init__(self, url: str, others: dict[str, Replica] | None = None) -> None:
        self.url, self.sent, self.blocks = url, Labels([], [], []), 0
        self.held: dict[str, str] = {}  # state by id
        self.elsewhere: dict[str, str] = {}  # replica by id
        self.down: Callable[[], bool] = lambda: False
        self.wait: Callable[[], Any] | None = None
        self.unready = ""
        self.replicas = others if others is not None else {}
        self.replicas[url] = self
        self.forwarded = 0
        self.app = make_app(self, self.send, Health(), max_body_bytes=500_000, now=lambda: NOW, ask=self.ask)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=url)

    async def send(self, labels: Labels, upload_id: str, block: int = 0) -> None:
        """Kafka."""
        if self.wait is not None:
            await self.wait()
        if self.down():
            raise ConnectionError("no broker")
        assert block == self.blocks
        self.blocks += 1
        self.sent.prediction_id += labels.prediction_id
        self.sent.truth += labels.truth
        self.sent.label_time += labels.label_time

    async def ask(self, method: str, url: str, body: bytes, seconds: float) -> Reply:
        """The way to another replica."""
        self.forwarded += 1
        owner = next((other for base, other in self.replicas.items() if url.startswith(base)), None)
        if owner is None:
            raise OwnerAway(f"{url} does not answer")
        answer = await owner.http.request(method, url, content=body, headers={FORWARDED: "1"})
        return Reply(answer.status_code, dict(answer.headers), answer.content)

    def _check(self, key: str) -> None:
        if self.unready:
            raise Unready(self.unready)
        if key in self.elsewhere:
            raise Elsewhere(self.elsewhere[key])

    async def state(self, prediction_id: str) -> dict[str, Any]:
        """The join's answer."""
        self._check(prediction_id)
        return {"state": self.held.get(prediction_id, "unknown")}

    async def status(self) -> dict[str, Any]:
        """The join's answer."""
        self._check("")
        return {"decided_through": None}

    async def flush(self, until: int | None, seconds: float) -> int | None:
        """The join's answer."""
        self._check("flush")
        if until is not None and until > NOW:
            raise ValueError("until lies too far ahead")
        return until


@pytest.fixture
def site() -> Replica:
    """A replica alone."""
    return Replica("http://one")


@pytest.fixture
def two() -> tuple[Replica, Replica]:
    """Two replicas."""
    replicas: dict[str, Replica] = {}
    return Replica("http://one", replicas), Replica("http://two", replicas)


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until a condition holds; whoever calls has a deadline."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def ndjson(*truths: Any) -> bytes:
    """A label on each line."""
    rows = [{"prediction_id": name(n), "truth": truth} for n, truth in enumerate(truths)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def csv(*truths: str) -> bytes:
    """A header and a label on each line."""
    rows = [f"{name(n)},{truth}" for n, truth in enumerate(truths)]
    return "\r\n".join(["prediction_id,truth", *rows]).encode()


async def test_ndjson_and_csv_are_taken_like_json(site: Replica) -> None:
    """The same labels in three forms: the same columns in Kafka, 202 with their number."""
    body = {"prediction_id": [name(0), name(1)], "truth": ["late", 5]}
    for content, headers in (
        (json.dumps(body).encode(), {"content-type": "application/json"}),
        (ndjson("late", 5), NDJSON),
        (csv("late", "5"), CSV),
    ):
        site.sent, site.blocks = Labels([], [], []), 0
        answer = await site.http.post(BATCH, content=content, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
        assert site.sent == Labels([name(0), name(1)], ["late", 5], [NOW, NOW])


async def test_a_bad_line_is_named_and_the_rest_goes_on(site: Replica) -> None:
    """422 says which lines are no labels; all others are in Kafka, and the answer counts them."""
    content = ndjson(*range(70_000)) + b"{}\n" + ndjson("last")
    answer = await site.http.post(BATCH, content=content, headers=NDJSON)
    said = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (said["accepted"], said["rejected"], said["lines"]) == (70_001, 1, 70_002)
    assert said["rejections"] == [
        {"line": 70_001, "field": "prediction_id", "detail": "prediction_id is missing"}
    ]
    assert said["bytes"] == len(content)
    assert len(site.sent.truth) == 70_001
    assert site.blocks > 1


async def test_a_strict_upload_ends_at_the_first_bad_line(site: Replica) -> None:
    """With strict=true what stands above the bad line is accepted, nothing below it, and the answer says so."""
    content = ndjson("a", "b") + b"\n?\n" + ndjson("c") + b"?\n"
    for headers, body in ((NDJSON, content), (CSV, csv("a", "b", "", "c", ""))):
        site.sent, site.blocks = Labels([], [], []), 0
        answer = await site.http.post(f"{BATCH}?strict=true", content=body, headers=headers)
        said = answer.json()
        assert answer.status_code == 422
        assert (said["accepted"], said["rejected"], said["lines"]) == (2, 1, 4)
        assert said["rejections"][0]["line"] == 4
        assert said["bytes"] == len(b"\n".join(body.split(b"\n")[:4])) + 1
        assert site.sent.truth == ["a", "b"]
    answer = await site.http.post(f"{BATCH}?strict=perhaps", content=content, headers=NDJSON)
    assert (answer.status_code, answer.json()["field"]) == (422, "strict")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A body in parts."""
    for part in parts:
        yield part


async def test_progress_is_told_as_kafka_acknowledges_it(site: Replica) -> None:
    """Asked for NDJSON, the answer is 200: counts that grow, then a last line with the upload's status."""
    answer = await site.http.post(BATCH, content=ndjson(*range(30_000)), headers=NDJSON | LINES)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert len(lines) > 2
    assert [line["accepted"] for line in lines] == sorted(line["accepted"] for line in lines)
    assert all("status" not in line for line in lines[:-1])
    last = lines[-1]
    assert (last["status"], last["accepted"], last["lines"]) == (202, 30_000, 30_000)
    assert last["upload_id"]


async def test_progress_of_an_upload_that_fails_ends_with_its_problem(site: Replica) -> None:
    """What fails before the first block is answered as ever; what fails later is told in the last line."""
    site.down = lambda: site.blocks == 1
    answer = await site.http.post(BATCH, content=ndjson(*range(30_000)), headers=NDJSON | LINES)
    last = json.loads(answer.text.splitlines()[-1])
    assert (answer.status_code, last["status"]) == (200, 503)
    assert last["accepted"] == len(site.sent.truth) > 0
    site.down = lambda: True
    answer = await site.http.post(BATCH, content=ndjson(1), headers=NDJSON | LINES)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_requests_with_labels_are_counted_by_what_became_of_them(site: Replica) -> None:
    """By route and status; of an upload whose answer began with 200 the status that its last line tells."""

    def counted(route: str) -> dict[str, float]:
        samples = next(iter(metrics.LABEL_REQUESTS.collect())).samples
        return {
            s.labels["status"]: s.value
            for s in samples
            if s.labels["route"] == route and s.name.endswith("_total")
        }

    def grown(route: str, before: dict[str, float]) -> dict[str, float]:
        return {s: n - before.get(s, 0) for s, n in counted(route).items() if n != before.get(s, 0)}

    one, many = counted(ONE), counted(BATCH)
    label = {"prediction_id": name(1), "truth": 1}
    await site.http.post(ONE, json=label)
    await site.http.post(ONE, json={"truth": 1})
    await site.http.post(ONE, content=b"?", headers=CSV)
    for content, down_after, accept in (
        (ndjson(*range(30_000)), 100, LINES),
        (ndjson(1), 100, {}),
        (ndjson(*range(30_000)), 1, LINES),
    ):
        site.blocks = 0
        site.down = lambda most=down_after: site.blocks >= most
        await site.http.post(BATCH, content=content, headers=NDJSON | accept)
    await site.http.post(ONE, json=label)
    await site.http.get(f"/api/v1.0/feedback/{name(1)}")
    assert grown(ONE, one) == {"202": 1, "422": 1, "415": 1, "503": 1}
    assert grown(BATCH, many) == {"202": 2, "503": 1}


async def test_what_kafka_has_stays_accepted_when_it_goes_away(site: Replica) -> None:
    """503 says how many labels, and up to which line, are in Kafka."""
    site.down = lambda: site.blocks == 2
    answer = await site.http.post(BATCH, content=ndjson(*range(40_000)), headers=NDJSON)
    said = answer.json()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert said["accepted"] == said["lines"] == len(site.sent.truth) > 0
    assert f"up to line {said['lines']}" in said["detail"]


def scope(kind: bytes) -> dict[str, Any]:
    """A request for progress as a server hands it over."""
    return {
        "type": "http", "method": "POST", "path": BATCH, "query_string": b"", "http_version": "1.1", "scheme": "http",
        "headers": [(b"content-type", kind), (b"accept", b"application/x-ndjson")], "root_path": "",
        "server": ("one", 80), "client": ("two", 1), "asgi": {"version": "3.0"}, "raw_path": BATCH.encode(),
    }  # fmt: skip


async def test_a_body_that_breaks_off_keeps_what_was_acknowledged(site: Replica) -> None:
    """Whole lines that came are in Kafka; the line within which it broke off is not guessed at."""
    messages = iter([{"type": "http.request", "body": csv("late", "on time"), "more_body": True}])

    async def receive() -> dict[str, Any]:
        if (message := next(messages, None)) is not None:
            return message
        await until(lambda: bool(site.sent.truth))
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    async with asyncio.timeout(10):
        await site.app(scope(b"text/csv"), receive, send)  # type: ignore[arg-type]
    assert site.sent.truth == ["late"]


async def test_a_caller_that_reads_no_progress_is_not_held_up(site: Replica) -> None:
    """While the first line of the answer waits to be read, the whole upload goes on; the last line is told all the same."""
    told: list[dict[str, Any]] = []
    pieces = [ndjson(*range(10_000)) for _ in range(8)]
    messages = iter(
        [{"type": "http.request", "body": piece, "more_body": piece is not pieces[-1]} for piece in pieces]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await until(lambda: len(site.sent.truth) == 80_000)
            told.append(json.loads(message["body"]))

    async with asyncio.timeout(30):
        await site.app(scope(b"application/x-ndjson"), receive, send)  # type: ignore[arg-type]
    assert told[0]["accepted"] < 80_000
    assert (told[-1]["status"], told[-1]["accepted"]) == (202, 80_000)
    assert len(told) < site.blocks


async def test_labels_that_trickle_in_are_not_kept_waiting(site: Replica) -> None:
    """A slow upload's labels are in Kafka before the upload has ended."""
    more = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield ndjson("first")
        await more.wait()
        yield ndjson("second")

    async with asyncio.timeout(10):
        posting = asyncio.create_task(site.http.post(BATCH, content=slowly(), headers=NDJSON))
        await until(lambda: bool(site.sent.truth))
        more.set()
        assert (await posting).json()["accepted"] == 2


async def test_compressed_bodies_are_inflated_as_they_arrive(site: Replica) -> None:
    """gzip, in several members too; one that ends too early or is none is 422, another encoding 415."""
    first, second = gzip.compress(ndjson("a", "b")), gzip.compress(ndjson("c"))
    zipped = NDJSON | {"content-encoding": "gzip"}
    answer = await site.http.post(BATCH, content=first + second, headers=zipped)
    assert (answer.status_code, site.sent.truth) == (202, ["a", "b", "c"])
    for content in (first + second[:-9], b"plain"):
        answer = await site.http.post(BATCH, content=content, headers=zipped)
        assert answer.status_code == 422
    answer = await site.http.post(BATCH, content=first, headers=NDJSON | {"content-encoding": "br"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
    small = gzip.compress(b" " * 1_000_000)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert (await site.http.post(BATCH, content=small, headers=headers)).status_code == 413


@pytest.mark.parametrize("path", ["", "batch"])
async def test_another_content_type_is_told_which_are_taken(site: Replica, path: str) -> None:
    """415, with the types in the header Accept and in words."""
    answer = await site.http.post(
        f"/api/v1.0/feedback/{path}", content=b"x", headers={"content-type": "text/xml"}
    )
    assert answer.status_code == 415
    assert "application/json" in answer.headers["accept"]
    assert "application/json" in answer.json()["detail"]
    latin = {"content-type": "text/csv; charset=iso-8859-1"}
    assert (await site.http.post(BATCH, content=csv("a"), headers=latin)).status_code == 415


async def test_a_body_without_a_type_is_json(site: Replica) -> None:
    """Nothing named, bytes, or a type that is made of JSON."""
    body = json.dumps({"prediction_id": [name(0)], "truth": ["late"]}).encode()
    for kind in (
        {},
        {"content-type": "application/octet-stream"},
        {"content-type": "application/vnd.x+json"},
    ):
        site.blocks = 0
        assert (await site.http.post(BATCH, content=body, headers=kind)).status_code == 202
    assert site.sent.truth == ["late"] * 3


async def test_a_browsers_file_field_is_read(site: Replica) -> None:
    """The first file of a form, whatever fields stand before it; its name says whether it is CSV or NDJSON."""
    for file in (
        ("labels.csv", csv("late", "on time"), "application/vnd.ms-excel"),
        ("l.jsonl", ndjson("late", "on time")),
    ):
        site.sent, site.blocks = Labels([], [], []), 0
        answer = await site.http.post(BATCH, data={"comment": "x" * 100_000}, files={"file": file})
        assert answer.status_code == 202, answer.text
        assert site.sent.truth == ["late", "on time"]
    answer = await site.http.post(BATCH, files={"file": ("labels.xls", b"x")})
    assert answer.status_code == 415
    answer = await site.http.post(BATCH, files={"comment": (None, "x")})
    assert (answer.status_code, answer.json()["detail"]) == (422, "the form holds no file")
    form = {"content-type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    site.sent, site.blocks = Labels([], [], []), 0
    answer = await site.http.post(BATCH, content=start + csv("late", "on ti"), headers=form)
    assert (answer.status_code, site.sent.truth) == (422, [])


async def test_an_upload_without_labels_is_refused(site: Replica) -> None:
    """An empty body, blank lines, or a header alone."""
    for content, headers in ((b"", NDJSON), (b"\n\n", NDJSON), (b"", CSV), (b"prediction_id,truth\n", CSV)):
        answer = await site.http.post(BATCH, content=content, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (422, 0)


async def test_any_replica_tells_the_state(two: tuple[Replica, Replica]) -> None:
    """The one that does not hold the id asks the one that does; the caller sees no difference."""
    one, other = two
    other.held[name(7)] = "joined"
    one.elsewhere[name(7)] = other.url
    for replica in two:
        answer = await replica.http.get(f"/api/v1.0/feedback/{name(7)}")
        assert answer.json() == {"prediction_id": name(7), "state": "joined"}
    assert (one.forwarded, other.forwarded) == (1, 0)


async def test_two_replicas_that_disagree_do_not_loop(two: tuple[Replica, Replica]) -> None:
    """A forwarded question is not forwarded again: 503, ask again."""
    for replica, other in (two, two[::-1]):
        replica.elsewhere |= {name(7): other.url, "flush": other.url}
    for request in (
        ("GET", f"/api/v1.0/feedback/{name(7)}"),
        ("POST", "/api/v1.0/flush"),
        ("POST", "/api/v1.0/feedback/states"),
    ):
        body = {"prediction_id": [name(7)]} if request[1].endswith("states") else None
        answer = await two[0].http.request(*request, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (two[0].forwarded, two[1].forwarded) == (3, 0)


async def test_an_owner_that_is_away_is_503(site: Replica) -> None:
    """The answer names it and says when to ask again; so it is while nobody holds the partition."""
    site.elsewhere[name(7)] = "http://gone"
    answer = await site.http.get(f"/api/v1.0/feedback/{name(7)}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "http://gone" in answer.json()["detail"]
    site.unready = "the state is being rebuilt"
    for path in (f"feedback/{name(7)}", "status"):
        answer = await site.http.get(f"/api/v1.0/{path}")
        assert (answer.status_code, answer.json()["detail"]) == (503, "the state is being rebuilt")


async def test_many_states_are_asked_of_each_owner_once(two: tuple[Replica, Replica]) -> None:
    """They come back in the order of the request, with ids that are asked for twice."""
    one, other = two
    ids = [name(n) for n in range(500)]
    for n, text in enumerate(ids):
        (other if n % 2 else one).held[text] = "joined" if n % 3 else "pending"
        if n % 2:
            one.elsewhere[text] = other.url
    answer = await one.http.post("/api/v1.0/feedback/states", json={"prediction_id": [*ids, ids[1]]})
    states = answer.json()["states"]
    assert [state["prediction_id"] for state in states] == [*ids, ids[1]]
    assert [state["state"] for state in states[:4]] == ["pending", "joined", "joined", "pending"]
    assert one.forwarded == 1
    for bad in ({"prediction_id": []}, {"prediction_id": ["x"]}, {}, {"prediction_id": [ids[0]] * 10_001}):
        answer = await one.http.post("/api/v1.0/feedback/states", json=bad)
        assert (answer.status_code, answer.json()["field"]) == (422, "prediction_id")


async def test_a_flush_goes_to_who_decides(two: tuple[Replica, Replica]) -> None:
    """Forwarded like a state; one too far ahead is 422 from wherever it is asked."""
    one, other = two
    one.elsewhere["flush"] = other.url
    for replica in two:
        assert (await replica.http.post("/api/v1.0/flush", json={"until": 5})).json() == {
            "decided_through": 5
        }
        answer = await replica.http.post("/api/v1.0/flush", json={"until": NOW + 1})
        assert (answer.status_code, answer.json()["field"]) == (422, "until")
    assert (await one.http.post("/api/v1.0/flush")).json() == {"decided_through": None}


async def test_no_page_of_another_site_flushes(site: Replica) -> None:
    """403, whatever type the body says it has; labels are no concern of it."""
    foreign = {"origin": "https://evil.example"}
    answer = await site.http.post("/api/v1.0/flush", json={"until": 5}, headers=foreign)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    answer = await site.http.post(BATCH, content=ndjson("late"), headers=NDJSON | foreign)
    assert answer.status_code == 202


async def test_paths_for_posts_alone_are_no_ids(site: Replica) -> None:
    """GET of /feedback/batch is 405, not a malformed id."""
    for path in ("batch", "states"):
        answer = await site.http.get(f"/api/v1.0/feedback/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
