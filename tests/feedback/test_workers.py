"""Several replicas on a real broker: whatever is killed, nothing is lost and nothing is counted twice."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from contracts.codec import partition_of, prediction_id
from contracts.events import (
    GroundTruthReceived,
    LabelsReported,
    OutcomesJoined,
    PredictionsMade,
    QualityReported,
)
from feedback_on_kafka import HOUR, Service, read_all, until
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish, until_acknowledged
from servicekit.topics import ensure_topics
from sklearn import metrics as skm

pytestmark = pytest.mark.kafka
PARTITIONS = 12
BATCHES = 240
ROWS = 5


def made(n: int) -> PredictionsMade:
    """Batch n of ten an hour, each of five rows."""
    rng = random.Random(n)
    scores = [round(rng.random(), 3) for _ in range(ROWS)]
    return PredictionsMade(
        batch_id=f"{n:032x}",
        model="m",
        version="1",
        event_time=[n * HOUR // 10 + i for i in range(ROWS)],
        features={"x": [float(i) for i in range(ROWS)], "where": [rng.choice("ab") for _ in range(ROWS)]},
        predictions=["yes" if s > 0.5 else "no" for s in scores],
        probabilities={"no": [round(1 - s, 3) for s in scores], "yes": scores},
    )


def word(n: int, row: int) -> str:
    """The truth of a row."""
    return random.Random(n * ROWS + row).choice(["yes", "no"])


class World:
    """A broker, replicas, and what a client was told is accepted."""

    def __init__(self, folder: Path, partitions: int = PARTITIONS) -> None:
        self.folder, self.partitions = folder, partitions
        self.broker = EmbeddedKafka(folder / "kafka")
        self.replicas: list[Service] = []
        self.accepted: dict[str, list[str]] = {}  # id: truths in order
        self.random = random.Random(5)

    async def start(self, replicas: int) -> None:
        """All of it."""
        await asyncio.to_thread(self.broker.start)
        await ensure_topics(Settings(kafka=self.broker.bootstrap, partitions=self.partitions))
        for number in range(replicas):
            replica = Service(self.broker.bootstrap, free_port(), self.folder / f"replica{number}" / "log")
            replica.log.parent.mkdir()
            replica.env["ATALAIA_SEGMENTS"] = "where"
            replica.env["ATALAIA_PARTITIONS"] = str(self.partitions)
            self.replicas.append(replica)
        await asyncio.gather(*(replica.start() for replica in self.replicas))

    async def end(self) -> None:
        """Kill what is left."""
        for replica in self.replicas:
            await replica.http.aclose()
            if replica.process is not None:
                await replica.end(signal.SIGKILL)
        await asyncio.to_thread(self.broker.stop)

    async def predict(self, numbers: range) -> None:
        """Put batches on the topic."""
        producer = await make_producer(Settings(kafka=self.broker.bootstrap), "test")
        try:
            for n in numbers:
                event = made(n)
                partition = partition_of(event.batch_id, self.partitions)

                async def send(event: PredictionsMade = event, partition: int = partition) -> None:
                    await publish(
                        producer, "predictions", event, source="test", key=event.batch_id, partition=partition
                    )

                await until_acknowledged("predictions", send)
        finally:
            await producer.stop()

    async def label(self, rows: list[tuple[int, int, str]]) -> None:
        """Upload labels to any replica, again until one has taken them: an answer that was lost means a duplicate."""
        body = {
            "prediction_id": [prediction_id(f"{n:032x}", row) for n, row, _ in rows],
            "truth": [truth for *_, truth in rows],
            "label_time": [n * HOUR // 10 + HOUR // 2 for n, *_ in rows],
        }
        async with asyncio.timeout(120):
            while True:
                replica = self.random.choice(self.replicas)
                try:
                    answer = await replica.http.post("/api/v1.0/feedback/batch", json=body)
                    if answer.status_code == 202:
                        break
                    assert answer.status_code == 503, answer.text
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        for text, truth in zip(body["prediction_id"], body["truth"], strict=True):
            self.accepted.setdefault(text, []).append(truth)

    async def status(self, replica: Service) -> dict[str, Any]:
        """A replica's counts, {} while it cannot say."""
        try:
            answer = await replica.http.get("/api/v1.0/status")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_nothing_is_lost_whoever_is_killed(tmp_path: Path) -> None:
    """Three replicas, each API and joiner, and the broker are killed -9 under labels that come early, late, twice,
    corrected, misplaced and for rows that never were. Every accepted label is joined, pending, unknown or expired; no
    outcome comes twice; the last reports are scikit-learn's; and any replica answers for any id."""
    world = World(tmp_path)
    try:
        await world.start(3)
        await world.label([(n, 0, word(n, 0)) for n in range(10)])  # before their predictions
        ghosts = [(n, 0, "yes") for n in range(900, 910)]
        await world.label(ghosts)

        async def predicting() -> None:
            for at in range(0, BATCHES, 20):
                await world.predict(range(at, at + 20))

        async def labelling() -> None:
            rows = [(n, row, word(n, row)) for n in range(BATCHES) for row in range(ROWS) if row or n >= 10]
            random.Random(1).shuffle(rows)
            unlabelled = rows[:100]
            for at in range(100, len(rows), 40):
                await world.label(rows[at : at + 40])
                if at % 3 == 0:
                    await world.label(rows[at : at + 10])  # twice
            assert len(unlabelled) == 100

        async def killing() -> None:
            for number, after in ((0, 150), (1, 400), (2, 700), (0, 950)):

                async def so_many(after: int = after) -> bool:
                    return len(world.accepted) >= after

                await until(so_many, 120)
                replica = world.replicas[number]
                await replica.end(signal.SIGKILL)
                if number == 1:
                    await asyncio.to_thread(world.broker.kill)
                    await asyncio.to_thread(world.broker.start)
                await replica.start()

        await asyncio.gather(predicting(), labelling(), killing())
        corrected = [n for n in range(BATCHES) if prediction_id(f"{n:032x}", 1) in world.accepted][:20]
        wrong = [(n, 1, "no" if word(n, 1) == "yes" else "yes") for n in corrected]
        producer = await make_producer(Settings(kafka=world.broker.bootstrap), "test")
        for n, row, truth in wrong:  # corrected, by a client with another partitioner
            event = GroundTruthReceived(
                upload_id="u",
                prediction_id=[prediction_id(f"{n:032x}", row)],
                truth=[truth],
                label_time=[n * HOUR // 10 + HOUR],
            )
            elsewhere = (partition_of(f"{n:032x}", PARTITIONS) + 1) % PARTITIONS
            await publish(producer, "ground-truth", event, source="test", partition=elsewhere)
            world.accepted[event.prediction_id[0]].append(truth)
        await producer.stop()

        predicted = {prediction_id(f"{n:032x}", row) for n in range(BATCHES) for row in range(ROWS)}
        labelled = set(world.accepted)
        joined = labelled & predicted

        async def settled() -> bool:
            for replica in world.replicas:
                status = await world.status(replica)
                expected = {"predicted": len(predicted), "joined": len(joined), "corrections": 20}
                if not status or {k: status[k] for k in expected} != expected:
                    return False
            return True

        await until(settled, 180)
        flushed = await world.replicas[0].http.post("/api/v1.0/flush", json={"until": 27 * HOUR})
        assert flushed.status_code == 200, flushed.text
        for replica in world.replicas:
            status = await world.status(replica)
            assert len(labelled) == status["labelled_distinct"]
            kinds = ("joined", "held", "unknown", "expired_labelled")
            assert sum(status[kind] for kind in kinds) == len(labelled)
            assert status["held"] == len(ghosts)
            assert status["pending"] == len(predicted) - len(joined)
        uploads = sum(map(len, world.accepted.values()))
        assert status["duplicates"] >= uploads - len(labelled) - 20  # and those whose answer was lost

        outcomes = await read_all(world.broker.bootstrap, "outcomes", OutcomesJoined)
        found = [
            (text, revision, truth)
            for _, o in outcomes
            for text, revision, truth in zip(o.prediction_id, o.revision, o.truth, strict=True)
        ]
        assert len({(text, revision) for text, revision, _ in found}) == len(found) == len(joined) + 20
        final = {text: truth for text, _, truth in sorted(found)}
        assert final == {text: world.accepted[text][-1] for text in joined}

        reports = {
            r.window_start: r
            for _, r in await read_all(world.broker.bootstrap, "quality-reports", QualityReported)
        }
        for start in range(0, BATCHES * HOUR // 10, HOUR):
            rows = [
                (
                    event.predictions[i],
                    (event.probabilities or {})["yes"][i],
                    text,
                    event.features["where"][i],
                )
                for n in range(BATCHES)
                for event in [made(n)]
                for i, time in enumerate(event.event_time)
                if start <= time < start + HOUR
                for text in [prediction_id(event.batch_id, i)]
            ]
            known = [(p, s, final[text], where) for p, s, text, where in rows if text in final]
            report = reports[start]
            assert (report.predicted, report.labelled) == (len(rows), len(known))
            truth, label = [t for *_, t, _ in known], [p for p, *_ in known]
            assert report.metrics["accuracy"] == pytest.approx(skm.accuracy_score(truth, label))
            scores = [s for _, s, *_ in known]
            y = [t == "yes" for t in truth]
            assert report.metrics["brier"] == pytest.approx(skm.brier_score_loss(y, scores))
            assert abs(report.metrics["auc"] - skm.roc_auc_score(y, scores)) <= report.errors["auc"] + 1e-12
            for value in "ab":
                mine = [(t, p) for p, _, t, where in known if where == value]
                assert report.segments["where"][value].labelled == len(mine)
        by_label = await read_all(world.broker.bootstrap, "label-reports", LabelsReported)
        last = {r.window_start: r for _, r in by_label}
        assert sum(r.labelled for r in last.values()) == len(joined)

        for text in random.Random(2).sample(sorted(predicted), 20):
            told = [(await r.http.get(f"/api/v1.0/feedback/{text}")).json() for r in world.replicas]
            assert told[0] == told[1] == told[2]
            assert told[0]["state"] == ("joined" if text in final else "pending")
            assert told[0].get("truth") == final.get(text)
        parts = [(await world.status(replica))["partitions"] for replica in world.replicas]
        assert sorted(p for part in parts for p in part) == list(range(PARTITIONS))
        assert all(parts)
        for replica in world.replicas:
            assert await replica.end(signal.SIGTERM) == 0
    finally:
        await world.end()


@pytest.mark.timeout(600)
async def test_a_replica_too_many_stands_by(tmp_path: Path) -> None:
    """Three replicas on two partitions: one has none and is healthy, and takes over when another is killed."""
    world = World(tmp_path, partitions=2)

    async def joined(rows: int, idle: int, replicas: list[Service]) -> bool:
        seen = [await world.status(replica) for replica in replicas]
        parts = [status.get("partitions", []) for status in seen]
        whole = sorted(p for part in parts for p in part) == [0, 1] and parts.count([]) == idle
        return whole and all(status and status["joined"] == rows for status in seen)

    try:
        await world.start(3)
        await world.predict(range(20))
        await world.label([(n, row, word(n, row)) for n in range(20) for row in range(ROWS)])
        await until(lambda: joined(20 * ROWS, 1, world.replicas), 180)
        parts = [(await world.status(replica))["partitions"] for replica in world.replicas]
        idle = world.replicas[parts.index([])]
        assert (await idle.http.get("/health/ready")).status_code == 200
        assert all(replica.process and replica.process.returncode is None for replica in world.replicas)

        killed = next(replica for replica in world.replicas if replica is not idle)
        await killed.end(signal.SIGKILL)
        left = [replica for replica in world.replicas if replica is not killed]
        await world.predict(range(20, 40))
        await world.label([(n, row, word(n, row)) for n in range(20, 40) for row in range(ROWS)])
        await until(lambda: joined(40 * ROWS, 0, left), 180)
        for replica in left:
            assert await replica.end(signal.SIGTERM) == 0
    finally:
        await world.end()
