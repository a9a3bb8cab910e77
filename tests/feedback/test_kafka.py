"""The service as a process on real Kafka: nothing is lost or said twice over a kill -9."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from contracts.codec import partition_of, prediction_id
from contracts.events import OutcomesJoined, PredictionsMade, QualityReported
from feedback_on_kafka import HOUR, Service, read_all, read_raw, until
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from servicekit.topics import ensure_topics

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The service beside a broker of its own."""
    broker = await asyncio.to_thread(EmbeddedKafka(tmp_path / "kafka").start)
    running = Service(broker.bootstrap, free_port(), tmp_path / "feedback.log")
    try:
        await ensure_topics(Settings(kafka=broker.bootstrap, partitions=12))
        await running.start()
        yield running
    finally:
        await running.http.aclose()
        if running.process is not None:
            await running.end(signal.SIGKILL)
        await asyncio.to_thread(broker.stop)


async def test_labels_are_joined_once_over_a_kill(service: Service) -> None:
    """Over a kill -9 of the joiner every label is joined once, and each boundary reported once, in order."""
    kafka = service.env["ATALAIA_KAFKA"]
    producer = await make_producer(Settings(kafka=kafka), "test")
    await producer.send_and_wait("predictions", b"no JSON", partition=3)

    async def predict(numbers: range) -> None:
        """Batches of two rows, ten an hour."""
        for n in numbers:
            time_ = n * HOUR // 10
            event = PredictionsMade(
                batch_id=f"{n:032x}",
                model="m",
                version="1",
                event_time=[time_, time_ + 1],
                features={"x": [1.0, 2.0]},
                predictions=["yes", "no"],
                probabilities={"no": [0.2, 0.7], "yes": [0.8, 0.3]},
            )
            partition = partition_of(event.batch_id, 12)
            await publish(
                producer, "predictions", event, source="test", key=event.batch_id, partition=partition
            )

    async def label(numbers: range, truth: str) -> None:
        """Truth of both rows, known half an hour later."""
        rows = [(n, row) for n in numbers for row in (0, 1)]
        answer = await service.http.post(
            "/api/v1.0/feedback/batch",
            json={
                "prediction_id": [prediction_id(f"{n:032x}", row) for n, row in rows],
                "truth": [truth] * len(rows),
                "label_time": [n * HOUR // 10 + HOUR // 2 for n, _ in rows],
            },
        )
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == len(rows)

    def joined(count: int) -> Callable[[], Awaitable[bool]]:
        async def condition() -> bool:
            return bool((await service.status())["joined"] == count)

        return condition

    await label(range(5), "yes")  # before their predictions
    await predict(range(30))
    await label(range(5, 20), "yes")
    await label(range(10), "yes")  # again
    await until(joined(40))
    text = prediction_id(f"{3:032x}", 0)
    state = (await service.http.get(f"/api/v1.0/feedback/{text}")).json()
    assert (state["state"], state["truth"]) == ("joined", "yes")

    async def decided() -> bool:
        return bool((await service.status())["decided_through"] == 2 * HOUR)

    await until(decided)
    await service.end(signal.SIGKILL)
    await predict(range(30, 40))
    await service.start()
    await label(range(3), "no")  # corrected, at the same label_time: the later word wins
    await label(range(20, 40), "no")
    await until(joined(80))
    flushed = await service.http.post("/api/v1.0/flush", json={"until": 5 * HOUR})
    assert flushed.json() == {"decided_through": 5 * HOUR}
    status = await service.status()
    assert (status["duplicates"], status["corrections"], status["pending"]) == (20, 6, 0)
    assert status["labelled_distinct"] == status["joined"] + status["unknown"] + status["held"] == 80
    assert await service.end(signal.SIGTERM) == 0

    outcomes = await read_all(kafka, "outcomes", OutcomesJoined)
    rows = sorted((i, r, t, c) for _, o in outcomes for i, r, t, c in
                  zip(o.prediction_id, o.revision, o.truth, o.corrected_from, strict=True))  # fmt: skip
    assert len({i for i, *_ in rows}) == 80
    assert len({(i, r) for i, r, *_ in rows}) == len(rows) == 86
    assert [(t, c) for _, r, t, c in rows if r == 1] == [("no", "yes")] * 6
    assert len({ce_id for ce_id, _ in outcomes}) == len(outcomes)

    reports = await read_all(kafka, "quality-reports", QualityReported)
    assert len({ce_id for ce_id, _ in reports}) == len(reports)
    own = [r.as_of for _, r in reports if r.as_of == r.window_end]
    assert own == [HOUR * k for k in range(1, 6)]
    last = {r.window_start: r for _, r in reports}
    for start in range(4):
        assert (last[start * HOUR].predicted, last[start * HOUR].labelled) == (20, 20)
        assert last[start * HOUR].final
        assert last[start * HOUR].metrics["accuracy"] == 0.5
    first = [r for _, r in reports if r.window_start == 0]
    assert (first[0].as_of, first[0].labelled) == (HOUR, 10)  # of n < 5, known before the hour was over
    assert [r.revision for r in first] == list(range(len(first)))
    unread = await read_raw(kafka, "predictions.dlq")
    assert [r.value for r in unread] == [b"no JSON"]

    # Whatever the first life was told, a third one finds it in the log and says nothing new.
    await service.start()
    again = await service.status()
    assert {k: again[k] for k in ("joined", "pending", "decided_through", "labelled_distinct")} == {
        k: status[k] for k in ("joined", "pending", "decided_through", "labelled_distinct")
    }
    assert len(await read_all(kafka, "outcomes", OutcomesJoined)) == len(outcomes)
    assert len(await read_all(kafka, "quality-reports", QualityReported)) == len(reports)
    await producer.stop()


async def registry_without_models(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP server that knows no model version."""
    await reader.readuntil(b"\r\n\r\n")
    body = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such version"}'
    writer.write(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()
    writer.close()


async def test_nothing_in_the_log_ends_the_process(service: Service) -> None:
    """Records that cannot be read, labels that cannot be measured and a registry that knows nothing: windows
    are decided, again after a restart, which a registry that nobody answers for does not keep from ending."""
    kafka = service.env["ATALAIA_KAFKA"]
    registry = await asyncio.start_server(registry_without_models, "127.0.0.1", 0)
    await service.end(signal.SIGTERM)
    port = registry.sockets[0].getsockname()[1]
    service.env["ATALAIA_MLFLOW"] = f"http://127.0.0.1:{port}"
    await service.start()
    producer = await make_producer(Settings(kafka=kafka), "test")
    junk: list[tuple[bytes | None, list[tuple[str, bytes | None]]]] = [
        (b'{"x": ' + b"[" * 100_000, []),
        (b'{"batch_id": "\xff"}', []),
        (b"{}", [("ce_type", None)]),
        (None, []),
    ]
    for topic in ("predictions", "ground-truth"):
        for value, headers in junk:
            await producer.send_and_wait(topic, value, key=b"junk", headers=headers)
    event = PredictionsMade(
        batch_id=f"{1:032x}", model="m", version="1", event_time=[1, 2], features={}, predictions=[1, 2]
    )
    await publish(producer, "predictions", event, source="test", partition=partition_of(event.batch_id, 12))
    rows = [prediction_id(event.batch_id, row) for row in (0, 1)]
    body = {"prediction_id": rows, "truth": ["nan", 1e160], "label_time": [3, 3]}
    assert (await service.http.post("/api/v1.0/feedback/batch", json=body)).status_code == 202

    async def joined() -> bool:
        return bool((await service.status())["joined"] == 2)

    await until(joined)
    flushed = await service.http.post("/api/v1.0/flush", json={"until": HOUR})
    assert flushed.json() == {"decided_through": HOUR}
    assert (await service.status())["waits_for_profiles"] == ["m version 1"]
    assert (
        await service.http.get("/health/ready")
    ).status_code == 200  # labels are taken and joined meanwhile
    for topic in ("predictions", "ground-truth"):
        assert len(await read_raw(kafka, f"{topic}.dlq")) == len(junk)
    assert await service.end(signal.SIGTERM) == 0

    registry.close()
    service.env["ATALAIA_MLFLOW"] = "http://127.0.0.1:9"
    await service.start()
    await until(joined)
    assert await service.end(signal.SIGTERM) == 0
    [(_, report)] = await read_all(kafka, "quality-reports", QualityReported)
    assert (report.labelled, report.metrics) == (2, {})
    await producer.stop()


async def test_a_taken_port_is_one_clear_line(shared_kafka: str, tmp_path: Path) -> None:
    """A process whose port another has ends with code 2 and says which port."""

    async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    first = await asyncio.start_server(nobody, "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    second = Service(shared_kafka, port, tmp_path / "feedback.log")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "feedback", env=second.env, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    await second.http.aclose()
    first.close()
    assert process.returncode == 2
    assert f"Port {port}" in said.decode().splitlines()[-1]
