"""``make bench-feedback``: late labels joined to predictions that wait, through real HTTP and real Kafka.

1,000,000 predictions are put on the topic, in batches of 100 rows with 11 features and two probabilities, over six days
of event time. Once all wait and the windows that ended are reported, 1,000,000 labels come in uploads of 1,000, scattered
over all batches, each known from an hour to five days after its prediction and at the end of the six days at the latest.
Then a flush has every window's revised report published, which counts as work for labels too.
The model's profile is in an MLflow registry, which is asked once, in a process that has ended when labels come.
The feedback service is a process of its own, pinned to one core; the broker and the load share the other. A figure is rows
by seconds of the service's processor time, RocksDB's threads included. Beside it a plain dictionary join in one
process on the same topics (``feedback_dictionary.py``), and the service once more with the labels put straight on
``ground-truth``, without HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from contracts.codec import encode, partition_of, prediction_id
from contracts.events import PredictionsMade
from feedback.domain.splitting import split
from feedback.domain.uploads import Labels
from monitor import on_disk, processor, status
from results import Figure, at_least, at_most, seen, write
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer
from servicekit.topics import ensure_topics
from summaries.profile import FieldSpec, Profile

HOUR = 3_600_000
DAY = 24 * HOUR
SPAN = 6 * DAY
BATCH = 100
UPLOAD = 1_000
PARTITIONS = 12
NAMES = [f"x{i}" for i in range(11)]
LABELS_GOAL = 50_000
MEMORY_GOAL = 500


def register(folder: Path) -> str:
    """The profile of version 1 of model m, from rows like those that are predicted; the registry's address."""
    import mlflow

    rng = np.random.default_rng(7)
    columns = {name: rng.normal(size=5_000).round(4).tolist() for name in NAMES}
    scores = rng.random(5_000).round(4)
    profile = Profile.build(
        columns, [FieldSpec(name, "float32") for name in NAMES],
        predictions=["yes" if s > 0.5 else "no" for s in scores],
        probabilities={"no": (1 - scores).tolist(), "yes": scores.tolist()},
        target="y", classes=["no", "yes"], task="classification",
    ).to_dict()  # fmt: skip
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("e", artifact_location=(folder / "artifacts").as_uri())
    run = client.create_run(experiment)
    client.log_dict(run.info.run_id, profile, "profile.json")
    client.create_registered_model("m")
    client.create_model_version("m", (folder / "artifacts").as_uri(), run.info.run_id)
    return uri


def peak(pid: int) -> float:
    """The most memory a process has had resident, MiB."""
    return status(pid, "VmHWM")


async def predict(kafka: str, rows: int) -> None:
    """Fill ``predictions``."""
    rng = np.random.default_rng(5)
    producer = await make_producer(Settings(kafka=kafka), "bench")
    pending = []
    try:
        for n in range(rows // BATCH):
            scores = rng.random(BATCH).round(4)
            event = PredictionsMade(
                batch_id=f"{n:032x}", model="m", version="1",
                event_time=(np.arange(BATCH) + n * (SPAN // (rows // BATCH))).tolist(),
                features={name: rng.normal(size=BATCH).round(4).tolist() for name in NAMES},
                predictions=["yes" if s > 0.5 else "no" for s in scores],
                probabilities={"no": (1 - scores).round(4).tolist(), "yes": scores.tolist()},
            )  # fmt: skip
            value, headers = encode(event, source="bench", ce_id=event.batch_id)
            partition = partition_of(event.batch_id, PARTITIONS)
            pending.append(
                await producer.send(
                    "predictions", value, key=event.batch_id.encode(), partition=partition, headers=headers
                )
            )
            if len(pending) >= 500:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
    finally:
        await producer.stop()


def labels(rows: int) -> list[Labels]:
    """Uploads, each row once, scattered, up to five days late."""
    rng = np.random.default_rng(6)
    order = rng.permutation(rows)
    truth = np.where(rng.random(rows) < 0.5, "yes", "no")
    late = rng.integers(HOUR, 5 * DAY, rows)
    uploads = []
    for at in range(0, rows, UPLOAD):
        chosen = order[at : at + UPLOAD]
        batches, row = chosen // BATCH, chosen % BATCH
        uploads.append(
            Labels(
                [prediction_id(f"{b:032x}", r) for b, r in zip(batches.tolist(), row.tolist(), strict=True)],
                truth[chosen].tolist(),
                np.minimum(row + batches * (SPAN // (rows // BATCH)) + late[chosen], SPAN).tolist(),
            )
        )
    return uploads


class Service:
    """``python -m feedback``, on one core."""

    def __init__(self, kafka: str, registry: str, folder: Path, memory_mb: int) -> None:
        self.port, self.log = free_port(), folder / "feedback.log"
        env = {
            **os.environ, "ATALAIA_KAFKA": kafka, "ATALAIA_FEEDBACK_PORT": str(self.port),
            "ATALAIA_WINDOW_MS": str(HOUR), "ATALAIA_PARTITIONS": str(PARTITIONS),
            "ATALAIA_DATA_DIR": str(folder / "data"), "ATALAIA_MLFLOW": registry,
            "ATALAIA_JOIN_MEMORY_MB": str(memory_mb),
        }  # fmt: skip
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "feedback"], env=env, stdout=out, stderr=out
            )
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self.process.pid, cores[-1:])
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    async def until(self, name: str, rows: int, seconds: float = 600) -> list[tuple[int, float, float]]:
        """Return once a count is so high, with (count, processor time, wall time) on the way."""
        deadline, marks = time.monotonic() + seconds, []
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"the service did not get there: {marks[-1:]}\n{self.log.read_text()[-3000:]}"
                )
            try:
                answer = await self.http.get("/api/v1.0/status")
                count = (answer.json().get(name) or 0) if answer.status_code == 200 else 0
            except httpx.TransportError:
                count = 0
            marks.append((count, processor(self.process.pid), time.monotonic()))
            if count >= rows:
                return marks
            await asyncio.sleep(0.25)

    async def alone(self, seconds: float = 60) -> None:
        """Return once the process that asks the registry has ended."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        async with asyncio.timeout(seconds):
            while children.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.25)

    async def flush(self) -> None:
        """Have all reports published that the labels make."""
        answer = await self.http.post("/api/v1.0/flush", json={"until": SPAN + HOUR})
        assert answer.status_code == 200, answer.text
        await self.until("decided_through", SPAN + HOUR)

    async def stop(self) -> None:
        """End it."""
        await self.http.aclose()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait, 60)


async def post(service: Service, uploads: list[Labels], clients: int) -> None:
    """Send uploads over some connections."""
    waiting = iter([json.dumps({"prediction_id": u.prediction_id, "truth": u.truth, "label_time": u.label_time}) for u in uploads])  # fmt: skip

    async def client() -> None:
        for body in waiting:
            answer = await service.http.post(
                "/api/v1.0/feedback/batch", content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 202, answer.text

    await asyncio.gather(*(client() for _ in range(clients)))


async def put(kafka: str, uploads: list[Labels]) -> None:
    """Put uploads on the topic."""
    producer = await make_producer(Settings(kafka=kafka), "bench")
    try:
        for n, upload in enumerate(uploads):
            sent = []
            for partition, event in split(upload, f"{n:032x}", PARTITIONS):
                value, headers = encode(event, source="bench")
                sent.append(await producer.send("ground-truth", value, partition=partition, headers=headers))
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


def dictionary(script: Path, kafka: str) -> dict[str, Any]:
    """What the plain join of the same topics took."""
    answer = subprocess.run([sys.executable, script, kafka], capture_output=True, text=True, check=True)
    return dict(json.loads(answer.stdout))


async def through_service(rows: int, memory_mb: int, over_http: bool) -> dict[str, Any]:
    """Rows by processor second and by second, of predictions and of labels, and the peak of memory."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry = register(folder)
        os.sched_setaffinity(0, cores[:1])  # the broker's too, which is our child
        with EmbeddedKafka(folder / "kafka") as broker:
            await ensure_topics(Settings(kafka=broker.bootstrap, partitions=PARTITIONS))
            uploads = labels(rows)
            await predict(broker.bootstrap, rows)
            os.sched_setaffinity(0, cores)
            service = Service(broker.bootstrap, registry, folder, memory_mb)
            os.sched_setaffinity(0, cores[:1])
            try:
                marks = await service.until("predicted", rows)
                start = next((m for m in reversed(marks) if m[0] == 0), marks[0])
                pending = rows / (marks[-1][1] - start[1])
                await service.until("decided_through", SPAN - HOUR)
                await service.alone()
                before_cpu, before, memory = (
                    processor(service.process.pid),
                    time.monotonic(),
                    peak(service.process.pid),
                )
                reading = asyncio.create_task(service.until("joined", rows))
                if over_http:
                    await post(service, uploads, 4)
                else:
                    await put(broker.bootstrap, uploads)
                await reading
                wall = time.monotonic() - before
                await service.flush()
                cpu = processor(service.process.pid) - before_cpu
                found = {
                    "pending_cpu": pending, "labels_cpu": rows / cpu, "labels_wall": rows / wall,
                    "memory_pending": memory, "memory": peak(service.process.pid),
                    "state": sum(f.stat().st_size for f in (folder / "data").rglob("*") if f.is_file()),
                    "topics": on_disk(folder / "kafka"),
                }  # fmt: skip
            finally:
                await service.stop()
            if not over_http:
                script = Path(__file__).with_name("feedback_dictionary.py")
                found["dictionary"] = await asyncio.to_thread(dictionary, script, broker.bootstrap)
            os.sched_setaffinity(0, cores)
            return found


async def main(rows: int, memory_mb: int) -> list[Figure]:
    """All runs."""
    topic = await through_service(rows, memory_mb, over_http=False)
    http = await through_service(rows, memory_mb, over_http=True)
    few = await through_service(rows // 5, memory_mb, over_http=True)
    plain = topic["dictionary"]
    assert plain["joined"] == rows
    base_labels, base_pending = rows / plain["labels"], rows / plain["pending"]
    rate, memory = "rows/s of a core", "MiB"
    return [
        at_least(
            f"labels joined, uploads of {UPLOAD:,} over HTTP",
            http["labels_cpu"],
            rate,
            LABELS_GOAL,
            base_labels,
        ),
        seen("labels joined, put on the topic", topic["labels_cpu"], rate, base_labels),
        seen(f"labels joined over HTTP, by the clock, {rows:,}", http["labels_wall"], "rows/s"),
        seen("predictions taken in", topic["pending_cpu"], rate, base_pending),
        at_most(
            f"peak of memory, {rows:,} pending and joined",
            http["memory"],
            memory,
            MEMORY_GOAL,
            plain["memory"],
        ),
        seen(f"peak of memory with {rows:,} pending, before labels", http["memory_pending"], memory),
        seen(f"peak of memory, {rows // 5:,} pending and joined", few["memory"], memory),
        seen("a dictionary in one process: labels joined", base_labels, rate),
        seen("a dictionary in one process: predictions taken in", base_pending, rate),
        seen("a dictionary in one process: peak of memory", plain["memory"], memory),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-mb", type=int, default=128, help="ATALAIA_JOIN_MEMORY_MB")
    given = parser.parse_args()
    figures = asyncio.run(main(given.rows, given.memory_mb))
    for figure in figures:
        print(f"{figure.figure:65} {figure.value:12,.0f} {figure.unit}")
    write("feedback", figures)
