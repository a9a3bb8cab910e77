"""HTTP answers: 202 after Kafka has the labels, and problems that name field and row."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from contracts.codec import decode, encode, partition_of, prediction_id
from contracts.events import (
    Event,
    GroundTruthReceived,
    Label,
    ModelChanged,
    OutcomesJoined,
    PredictionsMade,
    QualityReported,
)
from feedback.bootstrap import in_thread, observe
from feedback.consumes.http import make_app
from feedback.domain.quality_windows import Task
from feedback.domain.splitting import split
from feedback.domain.uploads import Labels
from feedback.domain.windows import Windows
from feedback.faust_reader import Received, make_faust
from feedback.joiner import Joiner
from feedback.joiner_answers import MAX_EMPTY_WINDOWS, JoinerAnswers
from feedback.tasks import Fetch, Tasks
from predictor.domain.request import Invalid, check
from prometheus_client import REGISTRY
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.http import Health

NOW = 1_700_000_000_000
PARTITIONS = 3
ID = prediction_id(f"{7:032x}", 0)


class FakeLog:
    """Kafka as lists: what is published is kept, what was appended is replayed."""

    def __init__(self) -> None:
        self.topics: dict[str, list[list[Received]]] = {}

    def append(self, topic: str, event: Event | bytes, partition: int = 0) -> Received:
        """One more record."""
        value, headers = (event, []) if isinstance(event, bytes) else encode(event, source="test")
        records = self.topics.setdefault(topic, [[] for _ in range(PARTITIONS)])[partition]
        records.append(Received(partition, len(records), None, value, headers))
        return records[-1]

    async def publish_outcomes(self, partition: int, events: Sequence[OutcomesJoined]) -> None:
        for event in events:
            self.append("outcomes", event, partition)

    async def publish_report(self, report: QualityReported) -> None:
        self.append("quality-reports", report)

    async def unreadable(self, topic: str, record: Any, reason: str) -> None:
        origin = f"{topic}/{record.partition}/{record.offset}".encode()
        records = self.topics.setdefault(f"{topic}.dlq", [[] for _ in range(PARTITIONS)])[0]
        records.append(Received(0, len(records), None, record.value, [("dlq_origin", origin)]))

    async def ends(self, *topics: str) -> dict[tuple[str, int], int]:
        return {(t, p): len(r) for t in topics for p, r in enumerate(self.topics.get(t, []))}

    async def replay(self, topic: str) -> AsyncIterator[Sequence[Any]]:
        for records in self.topics.get(topic, []):
            yield list(records)

    def reports(self) -> list[QualityReported]:
        """What quality-reports holds."""
        records = [r for part in self.topics.get("quality-reports", []) for r in part]
        return [decode(QualityReported, r.value, r.headers) for r in records]

    def size(self, topic: str) -> int:
        """How many records a topic has."""
        return sum(map(len, self.topics.get(topic, [])))


async def no_registry(model: str, version: str) -> Task:
    """A registry that is away."""
    raise ConnectionError("nobody answers")


def make_joiner(kafka: FakeLog, fetch: Fetch = no_registry, windows: Windows | None = None) -> Joiner:
    """A joiner on a fake log."""
    return Joiner(
        kafka,
        windows=windows or Windows(1000, 1000),
        grace=0,
        horizon=10_000,
        partitions=PARTITIONS,
        tasks=Tasks(fetch, observe, retry_seconds=0.01),
        observe=observe,
    )


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let others run until a condition holds; fails at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Site:
    """The application on a fake Kafka."""

    def __init__(self) -> None:
        self.kafka = FakeLog()
        self.joiner = make_joiner(self.kafka)
        self.joiner.ready = True
        self.sent: list[Labels] = []
        self.down = False
        app = make_app(
            JoinerAnswers(self.joiner), self.send, Health(), max_body_bytes=10_000, now=lambda: NOW
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://feedback")

    async def send(self, labels: Labels, upload_id: str, block: int = 0) -> None:
        if self.down:
            raise ConnectionError("no broker")
        self.sent.append(labels)


@pytest.fixture
def site() -> Site:
    """A fresh application."""
    return Site()


async def test_one_label_is_accepted_and_known_now(site: Site) -> None:
    """A label without label_time became known at the moment of the request."""
    answer = await site.http.post("/api/v1.0/feedback/", json={"prediction_id": ID, "truth": "late"})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert site.sent == [Labels([ID], ["late"], [NOW])]


@pytest.mark.parametrize(
    "body",
    [
        {
            "labels": [
                {"prediction_id": ID, "truth": 1, "label_time": 5},
                {"prediction_id": ID, "truth": True},
            ]
        },
        {"prediction_id": [ID, ID], "truth": [1, True], "label_time": ["1970-01-01T00:00:00.005Z", None]},
    ],
)
async def test_many_labels_come_as_rows_or_as_columns(site: Site, body: dict[str, Any]) -> None:
    """Both forms of a batch mean the same; times are milliseconds or ISO 8601."""
    answer = await site.http.post("/api/v1.0/feedback/batch", json=body)
    assert answer.json()["accepted"] == 2
    assert site.sent == [Labels([ID, ID], [1, True], [5, NOW])]


@pytest.mark.parametrize(
    ("path", "body", "field", "row"),
    [
        ("", {"truth": 1}, "prediction_id", None),
        ("", {"prediction_id": ID}, "truth", None),
        ("", {"prediction_id": ID, "truth": None}, "truth", None),
        ("", {"prediction_id": ID, "truth": [1]}, "truth", None),
        ("", {"prediction_id": ID.upper()[:-1] + "x", "truth": 1}, "prediction_id", None),
        ("", {"prediction_id": 5, "truth": 1}, "prediction_id", None),
        ("", {"prediction_id": ID, "truth": 1, "label_time": "yesterday"}, "label_time", None),
        ("", {"prediction_id": ID, "truth": 1, "label_time": "2020-01-01T00:00:00"}, "label_time", None),
        ("", {"prediction_id": ID, "truth": "x" * 1001}, "truth", None),
        ("", {"prediction_id": ID, "truth": 2**63}, "truth", None),
        ("", {"prediction_id": ID, "truth": 1, "label_time": NOW + 400_000}, "label_time", None),
        ("", {"prediction_id": ID, "truth": 1, "label_time": True}, "label_time", None),
        ("", {"prediction_id": ID, "truth": 1, "colour": "red"}, "colour", None),
        ("batch", {"labels": [{"prediction_id": ID, "truth": 1}, {"prediction_id": ID}]}, "truth", 1),
        ("batch", {"labels": [{"prediction_id": "x", "truth": 1}]}, "prediction_id", 0),
        ("batch", {"labels": []}, "labels", None),
        ("batch", {"prediction_id": [ID]}, "truth", None),
        ("batch", {"prediction_id": [ID, "y"], "truth": [1, 2]}, "prediction_id", 1),
        ("batch", {"prediction_id": [ID, ID], "truth": [1]}, "truth", None),
        ("batch", {"prediction_id": [ID], "truth": [1], "label_time": [None, None]}, "label_time", None),
        ("batch", {"prediction_id": [], "truth": []}, "prediction_id", None),
    ],
)
async def test_bad_labels_are_refused_by_field_and_row(
    site: Site, path: str, body: dict[str, Any], field: str, row: int | None
) -> None:
    """422 is a problem document naming the field, and the row of a batch; nothing is sent."""
    answer = await site.http.post(f"/api/v1.0/feedback/{path}", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json().get("field"), answer.json().get("row")) == (field, row)
    assert site.sent == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"{",
        b'{"prediction_id": "x", "truth": NaN}',
        b'{"prediction_id": "x", "truth": 1e400}',
        b'{"prediction_id": "\xff"}',
        b"[" * 9_000,
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(site: Site, body: bytes) -> None:
    """What cannot be parsed is 422, never 500."""
    for path in ("feedback/", "feedback/batch", "flush"):
        if body or path != "flush":
            answer = await site.http.post(f"/api/v1.0/{path}", content=body)
            assert answer.status_code == 422


async def test_a_time_without_offset_is_refused_as_the_predictor_refuses_it(site: Site) -> None:
    """The predictor and feedback tell what a time must be in the same words."""
    with pytest.raises(Invalid) as predictor:
        check([{}], "2020-01-01T00:00:00", [], now=NOW, required=False, single=True)
    body = {"prediction_id": ID, "truth": 1, "label_time": "2020-01-01T00:00:00"}
    answer = await site.http.post("/api/v1.0/feedback/", json=body)
    assert answer.json()["detail"] == f"label_time {predictor.value.errors[0]['message']}"


async def test_a_text_that_spells_nan_is_a_class_like_any_other(site: Site) -> None:
    """HTTP knows no task: what "nan" and "inf" mean is settled where quality is measured."""
    for word in ("nan", "inf"):
        answer = await site.http.post("/api/v1.0/feedback/", json={"prediction_id": ID, "truth": word})
        assert answer.status_code == 202


async def test_a_label_that_kafka_does_not_take_is_not_accepted(site: Site) -> None:
    """Without Kafka's acknowledgement the answer is 503; too large a body gets 413, an unknown path 404."""
    site.down = True
    answer = await site.http.post("/api/v1.0/feedback/", json={"prediction_id": ID, "truth": "late"})
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    answer = await site.http.post("/api/v1.0/feedback/batch", content=b" " * 20_000)
    assert answer.status_code == 413
    answer = await site.http.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_the_state_of_an_id_is_told(site: Site) -> None:
    """unknown, then pending, then joined with its truth; a malformed id is 422, and 503 while restoring."""
    path = f"/api/v1.0/feedback/{ID}"
    assert (await site.http.get(path)).json()["state"] == "unknown"
    await site.joiner.take_predictions([site.kafka.append("predictions", batch())])
    assert (await site.http.get(path)).json()["state"] == "pending"
    await site.joiner.take_ground_truth([site.kafka.append("ground-truth", truth("yes"))])
    answer = (await site.http.get(path)).json()
    assert answer == {"prediction_id": ID, "state": "joined", "truth": "yes", "label_time": 10, "revision": 0}
    assert (await site.http.get("/api/v1.0/feedback/x.1")).status_code == 422
    site.joiner.ready = False
    assert (await site.http.get(path)).status_code == 503


def batch(number: int = 7, time: int = 5, version: str = "1") -> PredictionsMade:
    """One row."""
    return PredictionsMade(
        batch_id=f"{number:032x}",
        model="m",
        version=version,
        event_time=[time],
        features={"x": [1.0]},
        predictions=["yes"],
        probabilities={"no": [0.25], "yes": [0.75]},
    )


def truth(word: Label, number: int = 7, time: int = 10) -> GroundTruthReceived:
    """One label."""
    text = prediction_id(f"{number:032x}", 0)
    return GroundTruthReceived(upload_id="u", prediction_id=[text], truth=[word], label_time=[time])


async def test_a_flush_decides_what_a_replay_left_open(site: Site) -> None:
    """Flush reports the windows up to `until`, though no newer prediction came; a bad body is 422."""
    await site.joiner.take_predictions([site.kafka.append("predictions", batch())])
    await site.joiner.take_ground_truth([site.kafka.append("ground-truth", truth("yes"))])
    with running(site.joiner.run):
        answer = await site.http.post("/api/v1.0/flush", json={"until": 2500})
        assert answer.json() == {"decided_through": 2000}
        assert (await site.http.post("/api/v1.0/flush", json={"until": "x"})).status_code == 422
    assert (await site.http.get("/api/v1.0/status")).json()["decided_through"] == 2000
    assert site.kafka.size("quality-reports") == 2


async def test_a_flush_far_ahead_is_refused(site: Site) -> None:
    """A flush reaches 10,000 windows beyond the newest row, as the drift-monitor's does; microseconds do not
    pass for milliseconds."""
    await site.joiner.take_predictions([site.kafka.append("predictions", batch())])
    answer = await site.http.post("/api/v1.0/flush", json={"until": 5 + 10_000 * 1000 + 1})
    assert (answer.status_code, answer.json()["field"]) == (422, "until")
    assert answer.json()["detail"] == f"until lies more than {MAX_EMPTY_WINDOWS} windows after the newest row"
    assert not await site.joiner.advance()


async def test_a_flush_before_the_first_row_decides_nothing(site: Site) -> None:
    """Without rows there is nothing to flush, and what comes later is not decided ahead of its time."""
    answer = await site.http.post("/api/v1.0/flush", json={"until": NOW})
    assert answer.json() == {"decided_through": None}
    await site.joiner.take_predictions([site.kafka.append("predictions", batch())])
    assert not await site.joiner.advance()


@contextmanager
def running(function: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run a coroutine function beside the block."""
    task = asyncio.ensure_future(function())
    try:
        yield
    finally:
        task.cancel()


async def test_a_restart_on_the_same_log_publishes_nothing_twice() -> None:
    """A second life finds outcomes, reports and dead letters in the log; it adds only what was missing."""
    kafka = FakeLog()
    first = make_joiner(kafka)
    await first.restore()
    await first.take_predictions([kafka.append("predictions", e) for e in (batch(), batch(8, 1500), b"?")])
    await first.take_ground_truth([kafka.append("ground-truth", truth("yes"))])
    while await first.advance():
        pass
    assert first.status()["decided_through"] == 1000
    kafka.append("ground-truth", truth("no", 8, 1600), 1)  # acknowledged, then the joiner died
    sizes = {t: kafka.size(t) for t in ("outcomes", "quality-reports", "predictions.dlq")}
    second = make_joiner(kafka)
    await second.restore()
    while await second.advance():
        pass
    assert kafka.size("outcomes") == sizes["outcomes"] + 1
    assert kafka.size("quality-reports") == sizes["quality-reports"]
    assert kafka.size("predictions.dlq") == sizes["predictions.dlq"] == 1
    assert second.status()["decided_through"] == 1000
    again = [r for records in kafka.topics["predictions"] for r in records]
    await second.take_predictions(again)  # the group had committed less: below the position, skipped
    assert second.status()["predicted"] == 2
    assert second.status()["repeated_batches"] == 0


async def test_the_serving_version_comes_from_model_events() -> None:
    """The window that ends at a boundary is reported for the version that model-events names."""
    kafka = FakeLog()
    joiner = make_joiner(kafka)
    await joiner.take_predictions([kafka.append("predictions", e) for e in (batch(), batch(8, 2500))])
    event = ModelChanged(
        model="m", version="2", previous_version="1", action="promoted", artifact_uri="", sha256="",
        effective_from=0, reason="",
    )  # fmt: skip
    record = kafka.append("model-events", event)
    for _ in range(10):
        await joiner.advance()
    assert joiner.status()["decided_through"] is None  # model-events is not read to its end yet
    await joiner.take_model_events([record])
    while await joiner.advance():
        pass
    assert joiner.status()["decided_through"] == 2000
    assert {r.version for r in kafka.reports() if r.window_end == r.as_of} == {"1", "2"}
    assert joiner.serving.at(0) == {"m": "1"}


async def test_a_crash_between_two_reports_of_a_boundary_loses_none() -> None:
    """Where an older version's report came through and the serving one's did not, the boundary is decided
    again after the restart: what is missing is published, and nothing is said twice."""
    kafka = FakeLog()
    promoted = ModelChanged(
        model="m", version="2", previous_version="1", action="promoted", artifact_uri="", sha256="",
        effective_from=500, reason="",
    )  # fmt: skip

    async def run(joiner: Joiner) -> None:
        await joiner.restore()
        await advance(joiner)

    kafka.append("model-events", promoted)
    for event in (batch(1, 5, "1"), batch(2, 900, "2"), batch(3, 1500, "2")):
        kafka.append("predictions", event)
    publish = kafka.publish_report

    async def crash(report: QualityReported) -> None:
        if report.version == "2":
            raise ConnectionError("the process ends here")
        await publish(report)

    kafka.publish_report = crash  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await run(make_joiner(kafka))
    kafka.publish_report = publish  # type: ignore[method-assign]
    await run(make_joiner(kafka))
    assert [(r.version, r.as_of, r.revision) for r in kafka.reports()] == [("1", 1000, 0), ("2", 1000, 0)]
    await run(make_joiner(kafka))
    assert len(kafka.reports()) == 2


def test_labels_are_split_by_the_partition_of_their_prediction() -> None:
    """Each record holds the labels of one partition, and together they hold all."""
    ids = [prediction_id(f"{n:032x}", r) for n in range(50) for r in range(2)]
    events = split(Labels(ids, [True] * 100, list(range(100))), "u", 12)
    for partition, event in events:
        assert {partition_of(text[:32], 12) for text in event.prediction_id} == {partition}
    assert sorted(i for _, e in events for i in e.prediction_id) == sorted(ids)
    many = split(Labels([ids[0]] * 30_000, ["late"] * 30_000, [0] * 30_000), "u", 12)
    assert len(many) > 1
    assert all(len(encode(event, source="feedback")[0]) < 900_000 for _, event in many)


def number(predicted: float, number: int, time: int, version: str = "1") -> PredictionsMade:
    """One row of a regression: its record does not show what the version predicts."""
    return PredictionsMade(
        batch_id=f"{number:032x}",
        model="m",
        version=version,
        event_time=[time],
        features={},
        predictions=[predicted],
    )


async def advance(joiner: Joiner) -> None:
    """Decide what can be decided."""
    while await joiner.advance():
        pass


@pytest.mark.parametrize("word", ["nan", "inf", 1e160, 1e-12])
async def test_no_label_ends_the_process(word: Any) -> None:
    """Whatever a regression's truth says, boundaries are decided, also after a restart on the same log."""

    async def regression(model: str, version: str) -> Task:
        return Task("regression")

    kafka = FakeLog()
    first = make_joiner(kafka, regression)
    events = [number(1e150, 1, 5), number(1e150, 2, 6), number(2.0, 3, 1500)]
    await first.take_predictions([kafka.append("predictions", e) for e in events])
    await first.take_ground_truth([kafka.append("ground-truth", truth(word, 1))])
    await first.take_ground_truth([kafka.append("ground-truth", truth(0.0, 2))])
    await advance(first)
    assert first.status()["decided_through"] == 1000
    second = make_joiner(kafka, regression)
    await second.restore()
    await second.take_predictions([kafka.append("predictions", number(2.0, 4, 2500))])
    await advance(second)
    assert second.status()["decided_through"] == 2000
    assert second.status()["unusable_truths"] == (0 if word == 1e-12 else 1)


async def test_labels_that_cannot_be_measured_are_counted_in_the_metrics() -> None:
    """Unusable truths and unknown classes are results of labels in Prometheus's counts."""

    def counted() -> list[float]:
        return [
            REGISTRY.get_sample_value("atalaia_labels_total", {"result": result}) or 0.0
            for result in ("unusable_truth", "unknown_class")
        ]

    before = counted()
    kafka = FakeLog()

    async def regression(model: str, version: str) -> Task:
        return Task("regression")

    joiner = make_joiner(kafka, regression)
    events = [number(1.0, 1, 5, "2"), batch(2), batch(3, 1500)]
    await joiner.take_predictions([kafka.append("predictions", e) for e in events])
    await joiner.take_ground_truth([kafka.append("ground-truth", truth("nan", n)) for n in (1, 2)])
    await advance(joiner)
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1]


@pytest.mark.parametrize(
    "value",
    [
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"batch_id": "\xff"}',
        b'{"upload_id": "\xff"}',
        b"",
        None,
    ],
)
async def test_a_record_that_cannot_be_read_is_buried_and_ends_nothing(value: bytes | None) -> None:
    """Lists within lists, text that is not UTF-8 and no value at all go to the dead letters."""
    kafka = FakeLog()
    joiner = make_joiner(kafka)
    takes = {"predictions": joiner.take_predictions, "ground-truth": joiner.take_ground_truth}
    for topic, take in takes.items():
        await take([kafka.append(topic, b"")._replace(value=value)])
        assert kafka.size(f"{topic}.dlq") == 1


async def test_a_header_without_value_ends_nothing() -> None:
    """A ce_type that is null makes its record unreadable; a dead letter without origin is passed over."""
    kafka = FakeLog()
    joiner = make_joiner(kafka)
    record = kafka.append("predictions", batch())._replace(headers=[("ce_type", None)])  # type: ignore[list-item]
    await joiner.take_predictions([record])
    assert kafka.size("predictions.dlq") == 1
    kafka.topics["predictions.dlq"][0][0] = record._replace(headers=[("dlq_origin", None)])  # type: ignore[list-item]
    await make_joiner(kafka).restore()


async def test_a_registry_that_is_away_holds_up_nothing_but_metrics() -> None:
    """While a version's profile is missing, its reports count and others' measure; readiness and status name
    it. Once the registry answers, the next boundary brings the metrics, of a regression with whole numbers."""
    back = asyncio.Event()

    async def fetch(model: str, version: str) -> Task:
        if not back.is_set():
            raise ConnectionError("nobody answers")
        return Task("regression")

    kafka = FakeLog()
    joiner = make_joiner(kafka, fetch)
    joiner.ready = True
    events = [number(1, 1, 5, "1"), number(2, 2, 5, "1"), batch(3, 5, "2"), batch(4, 1500, "2")]
    await joiner.take_predictions([kafka.append("predictions", e) for e in events])
    for n, word in ((1, 3), (2, 2), (3, "yes")):
        await joiner.take_ground_truth([kafka.append("ground-truth", truth(word, n))])
    await advance(joiner)
    away, other = kafka.reports()
    assert (away.version, away.labelled, away.metrics, away.final) == ("1", 2, {}, False)
    assert (other.version, other.metrics["accuracy"]) == ("2", 1.0)
    assert joiner.status()["waits_for_profiles"] == ["m version 1"]
    health = Health(profiles=lambda: not joiner.tasks.missing)
    assert await health.get() == {"profiles": False}
    held = {"model": "m", "version": "1"}
    assert REGISTRY.get_sample_value("atalaia_profile_held", held) == 1

    back.set()
    await until(lambda: not joiner.tasks.missing)
    assert REGISTRY.get_sample_value("atalaia_profile_held", held) == 0
    await joiner.take_predictions([kafka.append("predictions", batch(5, 2500, "2"))])
    await advance(joiner)
    known = [r for r in kafka.reports() if r.version == "1"][-1]
    assert (known.as_of, known.metrics["mae"], known.confusion, known.final) == (2000, 1.0, None, True)
    assert joiner.status()["waits_for_profiles"] == []


async def test_a_boundary_waits_for_the_registrys_first_answer() -> None:
    """However slow the registry is within reason, the first report of a version bears its metrics."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def fetch(model: str, version: str) -> Task:
        asked.set()
        await answer.wait()
        return Task("regression")

    kafka = FakeLog()
    joiner = make_joiner(kafka, fetch)
    events = [number(1, 1, 5), number(2, 2, 1500)]
    await joiner.take_predictions([kafka.append("predictions", e) for e in events])
    await joiner.take_ground_truth([kafka.append("ground-truth", truth(3, 1))])
    deciding = asyncio.create_task(advance(joiner))
    await asyncio.wait_for(asked.wait(), 10)
    assert kafka.size("quality-reports") == 0
    answer.set()
    await asyncio.wait_for(deciding, 10)
    assert kafka.reports()[0].metrics["mae"] == 2.0


async def test_a_registry_that_never_answers_is_waited_for_once() -> None:
    """After its patience a boundary goes on without, and the next ones wait no more."""

    async def fetch(model: str, version: str) -> Task:
        await asyncio.Event().wait()
        raise AssertionError

    tasks = Tasks(fetch, patience=0.01)
    tasks.see(number(1, 1, 5))
    await asyncio.wait_for(tasks.settle(), 10)
    assert tasks.missing == {("m", "1")}
    with pytest.raises(StopIteration):
        tasks.settle().send(None)  # returns at once


async def test_another_grid_of_windows_is_one_clear_line() -> None:
    """Reports that were made with other windows are not gone on from: the start says what differs."""
    kafka = FakeLog()
    first = make_joiner(kafka)
    await first.take_predictions([kafka.append("predictions", e) for e in (batch(), batch(8, 3500))])
    await advance(first)
    for windows in (Windows(1000, 1000, 1), Windows(2000, 1000), Windows(1000, 500)):
        with pytest.raises(UserError, match="ATALAIA_WINDOW_MS") as error:
            await make_joiner(kafka, windows=windows).restore()
        assert "\n" not in str(error.value)
    await make_joiner(kafka).restore()


def test_faust_keeps_its_folder_under_the_data_folder(tmp_path: Path) -> None:
    """Nothing appears in the working directory, and the data folder need not exist."""
    settings = Settings(data_dir=tmp_path / "new" / "data")
    assert make_faust(settings).conf.datadir == settings.data_dir / "feedback"
    assert settings.data_dir.is_dir()


async def test_a_thread_that_hangs_is_not_waited_for() -> None:
    """What is asked of the registry runs in a daemon's thread; its answer and its error come through."""
    assert await in_thread(lambda: 5) == 5
    assert await in_thread(lambda: threading.current_thread().daemon)
    with pytest.raises(KeyError):
        await in_thread(lambda: {}["x"])


async def test_the_documentation_loads_nothing_from_elsewhere(site: Site) -> None:
    """Both pages are the ones that need no internet, over a document that is there."""
    for page in ("/docs", "/redoc"):
        assert "default-src 'none'" in (await site.http.get(page)).headers["content-security-policy"]
    assert "/api/v1.0/feedback/" in (await site.http.get("/openapi.json")).json()["paths"]
