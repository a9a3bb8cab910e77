"""Numbers through the whole service on real Kafka: whichever way their truths come, the reports are scikit-learn's."""

from __future__ import annotations

import random
import signal
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer
from contracts.codec import partition_of, prediction_id
from contracts.events import (
    Event,
    GroundTruthReceived,
    LabelsReported,
    OutcomesJoined,
    PredictionsMade,
    QualityReported,
)
from feedback_on_kafka import HOUR, Service, read_all, until
from servicekit.broker import free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer, publish
from sklearn import metrics as skm
from summaries.profile import FieldSpec, Profile

pytestmark = pytest.mark.kafka
MODEL = "arrival-delay"
MINUTE = 60_000
BATCHES, ROWS = (
    (24, 12),
    (50, 5),
)  # of each hour; more pairs of labels in the first than are kept for a classification
Row = tuple[str, Any, int]  # id, truth, label_time


def made(hour: int, n: int) -> PredictionsMade:
    """A batch of predicted minutes, a whole number among them."""
    rng = random.Random(100 * hour + n)
    rows = ROWS[hour]
    return PredictionsMade(
        batch_id=f"{0xA000 + 100 * hour + n:032x}",
        model=MODEL,
        version="1",
        event_time=[hour * HOUR + n * MINUTE + i for i in range(rows)],
        features={"distance": [float(rng.randint(100, 2_500)) for _ in range(rows)]},
        predictions=[*(round(rng.gauss(8, 30), 2) for _ in range(rows - 1)), rng.randint(-20, 40)],
    )


def register(folder: Path) -> str:
    """A registry with version 1 of the model, whose profile says that it predicts numbers; its address."""
    import mlflow

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("e", artifact_location=(folder / "artifacts").as_uri())
    profile = Profile.build(
        {"distance": [100.0, 900.0, 2_500.0]}, [FieldSpec("distance", "float32")], predictions=[-3.0, 8.5, 40.0],
        probabilities=None, target="minutes", classes=None, task="regression",
    )  # fmt: skip
    run = client.create_run(experiment)
    client.log_dict(run.info.run_id, profile.to_dict(), "profile.json")
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, folder.as_uri(), run.info.run_id)
    return uri


class Sender:
    """Truths over HTTP and on the topic."""

    def __init__(self, service: Service, producer: AIOKafkaProducer) -> None:
        self.service, self.producer = service, producer

    async def json(self, rows: list[Row]) -> None:
        """Columns."""
        ids, truths, times = map(list, zip(*rows, strict=True))
        columns = {"prediction_id": ids, "truth": truths, "label_time": times}
        await self._post("application/json", msgspec.json.encode(columns), len(rows))

    async def csv(self, rows: list[Row]) -> None:
        """As a spreadsheet has it."""
        lines = ["prediction_id,truth,label_time", *(f"{i},{truth},{time}" for i, truth, time in rows)]
        await self._post("text/csv", "\n".join(lines).encode(), len(rows))

    async def ndjson(self, rows: list[Row]) -> None:
        """A line each."""
        names = ("prediction_id", "truth", "label_time")
        objects = [dict(zip(names, row, strict=True)) for row in rows]
        await self._post("application/x-ndjson", msgspec.json.Encoder().encode_lines(objects), len(rows))

    async def topic(self, rows: list[Row]) -> None:
        """By a client without HTTP."""
        for batch, some in groupby(sorted(rows, key=lambda row: row[0]), key=lambda row: row[0][:32]):
            ids, truths, times = map(list, zip(*some, strict=True))
            await self.publish(
                "ground-truth",
                GroundTruthReceived(upload_id="u", prediction_id=ids, truth=truths, label_time=times),
                batch,
            )

    async def publish(self, topic: str, event: Event, batch: str) -> None:
        """Put an event into its partition."""
        await publish(
            self.producer, topic, event, source="test", key=batch, partition=partition_of(batch, 12)
        )

    async def _post(self, kind: str, body: bytes, rows: int) -> None:
        answer = await self.service.http.post(
            "/api/v1.0/feedback/batch", content=body, headers={"content-type": kind}
        )
        assert (answer.status_code, answer.json().get("accepted")) == (202, rows), answer.text


def expected(rows: list[tuple[float, float]]) -> dict[str, float]:
    """scikit-learn's figures of rows (truth, predicted)."""
    truth, predicted = np.array(rows).T
    return {
        "mae": skm.mean_absolute_error(truth, predicted),
        "rmse": skm.root_mean_squared_error(truth, predicted),
        "mape": skm.mean_absolute_percentage_error(truth, predicted),
        "bias": float(np.mean(predicted - truth)),
        "r2": skm.r2_score(truth, predicted),
    }


async def test_a_regressions_reports_are_scikit_learns(shared_kafka: str, tmp_path: Path) -> None:
    """Truths as JSON, CSV, NDJSON and on the topic, some twice, some corrected, one that is no number, some that never
    come: coverage and status count all of them, and the metrics are those of each row's last truth."""
    service = Service(shared_kafka, free_port(), tmp_path / "feedback.log")
    service.env |= {"ATALAIA_MLFLOW": register(tmp_path), "ATALAIA_MIN_LABELLED": "100"}
    producer = await make_producer(Settings(kafka=shared_kafka), "test")
    send, rng = Sender(service, producer), random.Random(7)
    predicted: list[dict[str, float]] = [{}, {}]  # by hour
    times: dict[str, int] = {}
    try:
        await service.start()
        for hour, many in enumerate(BATCHES):
            for event in (made(hour, n) for n in range(many)):
                await send.publish("predictions", event, event.batch_id)
                ids = [prediction_id(event.batch_id, row) for row in range(ROWS[hour])]
                predicted[hour] |= dict(zip(ids, map(float, event.predictions), strict=True))  # type: ignore[arg-type]
                times |= {text: at + 20 * MINUTE for text, at in zip(ids, event.event_time, strict=True)}
        rows = [
            (text, rng.choice([round(minutes + rng.gauss(2, 12), 1) or 1.0, rng.randint(1, 60)]), times[text])
            for by_id in predicted
            for text, minutes in by_id.items()
        ]
        rows = rows[30:-6]  # some of each hour have none
        rng.shuffle(rows)
        rows[0] = (rows[0][0], "cancelled", rows[0][2])  # labelled, and in no metric
        truths = {text: truth for text, truth, _ in rows}
        parts = [rows[i::4] for i in range(4)]
        wrong = [(text, 999.5, time) for part in parts[:2] for text, _, time in part[1:6]]
        right = [(text, truths[text], time + MINUTE) for text, _, time in wrong]
        await send.json([*wrong[:5], *parts[0][:1], *parts[0][6:]])
        await send.csv([*wrong[5:], *parts[1][:1], *parts[1][6:]])
        await send.ndjson(parts[2])
        await send.topic(parts[3])
        await send.csv(parts[2])  # again
        await send.topic(parts[3][:20])
        await send.ndjson(right[::2])
        await send.topic(right[1::2])

        async def settled() -> bool:
            status = await service.status()
            return (status["joined"], status["corrections"]) == (len(rows), len(wrong))

        async def profile_known() -> bool:
            return (
                f'atalaia_profile_held{{model="{MODEL}",version="1"}} 0.0'
                in (await service.http.get("/metrics")).text
            )

        async def nothing_lags() -> bool:
            text = (await service.http.get("/metrics")).text
            lag = 'atalaia_consumer_lag_records{topic="%s"} 0.0'
            return all(lag % topic in text for topic in ("predictions", "ground-truth"))

        await until(settled)
        await until(profile_known)
        await until(nothing_lags)
        flushed = await service.http.post("/api/v1.0/flush", json={"until": 3 * HOUR})
        assert flushed.json() == {"decided_through": 3 * HOUR}
        assert (await service.status())["unusable_truths"] == 1
        reports = [r for _, r in await read_all(shared_kafka, "quality-reports", QualityReported)]
        by_label = [r for _, r in await read_all(shared_kafka, "label-reports", LabelsReported)]
        outcomes = [o for _, o in await read_all(shared_kafka, "outcomes", OutcomesJoined)]
    finally:
        await producer.stop()
        await service.http.aclose()
        if service.process is not None:
            await service.end(signal.SIGKILL)

    found = [(text, k) for o in outcomes for text, k in zip(o.prediction_id, o.revision, strict=True)]
    assert len(found) == len(set(found)) == len(rows) + len(wrong)
    last = {r.window_start: r for r in reports if r.model == MODEL}
    for hour, by_id in enumerate(predicted):
        report = last[hour * HOUR]
        known = {text for text in by_id if text in truths}
        assert (report.predicted, report.labelled) == (len(by_id), len(known))
        assert report.coverage == len(known) / len(by_id) < 1
        assert report.status == ("ok" if len(known) >= 100 else "insufficient data")
        assert not report.final
        assert (report.confusion, report.classes, report.estimated) == (None, {}, {})
        measured = [(truths[text], by_id[text]) for text in known if truths[text] != "cancelled"]
        assert report.metrics.keys() == expected(measured).keys()
        assert report.metrics == pytest.approx(expected(measured), rel=1e-9)
        low, high = report.intervals["mae"]
        assert low < report.metrics["mae"] < high
    labelled = {r.window_start: r.labelled for r in by_label if r.model == MODEL}
    assert sum(labelled.values()) == len(rows)
    assert [last[hour * HOUR].status for hour in (0, 1)] == ["ok", "insufficient data"]
