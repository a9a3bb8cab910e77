"""``make bench-monitor``: rows a second through the drift-monitor's Faust worker, from a real Kafka.

The topic is filled first; then the worker, a process of its own, reads it to its end, counting rows of 11 features
into panes that it writes and acknowledges. A figure is rows by seconds of the worker's own processor time, between
a tenth and nine tenths of the topic. Beside it a bare aiokafka consumer, which only fetches, and one that also
decodes each record, on the same topic in the same run.
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
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from contracts.codec import decode, encode
from contracts.events import PredictionsMade
from results import Figure, at_least, at_most, seen, write
from servicekit.broker import EmbeddedKafka, free_port
from servicekit.config import Settings
from servicekit.kafka import make_producer
from servicekit.topic_log import read_whole
from servicekit.topics import ensure_topics
from summaries.profile import FieldSpec, Profile

NAMES = [f"x{i}" for i in range(11)]
WINDOW = 60_000
WINDOWS = 40
PARTITIONS = 4
GOALS = {1: None, 10: 80_000, 100: 300_000, 1000: 500_000}
TICKS = os.sysconf("SC_CLK_TCK")


def rows(n: int, generator: np.random.Generator) -> dict[str, list[float]]:
    """Columns of four decimals, as measured values have."""
    return {name: generator.normal(size=n).round(4).tolist() for name in NAMES}


def profile(generator: np.random.Generator) -> dict[str, Any]:
    """A reference of 2,000 rows, features and predictions."""
    reference = rows(2000, generator)
    schema = [FieldSpec(name, "float32") for name in NAMES]
    return Profile.build(reference, schema, reference["x0"], None, "y", None, "regression").to_dict()


async def fill(settings: Settings, size: int, records: int, generator: np.random.Generator) -> int:
    """Write ``records`` records of ``size`` rows, in order of event time over ``WINDOWS`` windows."""
    features = [rows(size, generator) for _ in range(min(records, 50))]
    producer = await make_producer(settings, "bench")
    pending = []
    try:
        for i in range(records):
            start = i * WINDOWS * WINDOW // records
            columns = features[i % len(features)]
            event = PredictionsMade(
                batch_id=f"{i:032x}", model="m", version="1", event_time=[start] * size, features=columns,
                predictions=columns["x0"],
            )  # fmt: skip
            value, headers = encode(event, source="bench", ce_id=event.batch_id)
            pending.append(
                await producer.send("predictions", value, key=event.batch_id.encode(), headers=headers)
            )
            if len(pending) >= 500:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return records * size


def processor(pid: int) -> float:
    """Seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Resident memory, MiB."""
    return status(pid, "VmRSS")


def status(pid: int, name: str) -> float:
    """What the kernel says of a process's memory by a name of ``/proc/PID/status``, MiB."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) / 1024


def on_disk(folder: Path) -> dict[str, int]:
    """Bytes of each topic's log in a broker's folder: what a replica writes, and a reader fetches."""
    found: dict[str, int] = {}
    for log in folder.rglob("*.log"):
        topic, _, partition = log.parent.name.rpartition("-")
        if partition.isdigit():
            found[topic] = found.get(topic, 0) + log.stat().st_size
    return found


def counted(port: int) -> int:
    """Rows the worker says it has counted."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return int(sum(float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith("atalaia_rows_counted_total{")))


def through_monitor(settings: Settings, total: int, folder: Path, every: float = 0.2) -> dict[str, Any]:
    """Rows by processor second and by second, and resident memory at quarters of the topic.

    The worker is asked ``every`` so many seconds how far it is, which is work for it too.
    """
    port = free_port()
    env = {
        **os.environ, "ATALAIA_KAFKA": settings.kafka, "ATALAIA_MODEL": "m", "ATALAIA_PARTITIONS": str(PARTITIONS),
        "ATALAIA_WINDOW_MS": str(WINDOW), "ATALAIA_GRACE_MS": "0", "ATALAIA_DRIFT_MONITOR_PORT": str(port),
        "ATALAIA_DATA_DIR": str(folder),
    }  # fmt: skip
    script = Path(__file__).with_name("monitor_worker.py")
    with (folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, script, folder / "profile.json"], env=env, stdout=log, stderr=log
        )
    marks: list[tuple[int, float, float]] = []
    memory: dict[int, float] = {}
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and worker.poll() is None:
            n = counted(port)
            marks.append((n, processor(worker.pid), time.monotonic()))
            for quarter in (1, 2, 3, 4):
                if n >= total * quarter // 4 and quarter not in memory:
                    memory[quarter] = resident(worker.pid)
            if n >= total:
                break
            time.sleep(every)
        else:
            raise SystemExit(
                f"the worker did not read its topic: {(folder / 'worker.log').read_text()[-2000:]}"
            )
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
    inside = [m for m in marks if 0.1 * total <= m[0] <= 0.9 * total] or marks[-2:]
    (n0, cpu0, wall0), (n1, cpu1, wall1) = inside[0], inside[-1]
    if n1 == n0:
        (n0, cpu0, wall0), (n1, cpu1, wall1) = next(m for m in reversed(marks) if m[0] == 0), marks[-1]
    return {"cpu": (n1 - n0) / max(cpu1 - cpu0, 1e-9), "wall": (n1 - n0) / (wall1 - wall0), "memory": memory}


async def bare(settings: Settings, size: int, decoded: bool) -> float:
    """Rows by processor second of this process, only fetching, or decoding too."""
    began, n = time.process_time(), 0
    async for batch in read_whole(settings, "predictions"):
        n += len(batch) * size
        if decoded:
            for record in batch:
                decode(PredictionsMade, record.value, record.headers)
    return n / (time.process_time() - began)


def testing(generator: np.random.Generator) -> dict[tuple[str, int], float]:
    """Milliseconds to judge a window of so many rows, both scales; the least of twenty.

    ``quiet``: as the reference; ``drifted``: each number is another one, and one in fifty is missing.
    """
    from drift_monitor.domain.decision import Rule, judge

    made = Profile.from_dict(profile(generator))
    rule = Rule(alpha=1e-3, correction="bh", min_effect=0.05, min_rows=50, alert_windows=1)
    detector = made.detector()
    found = {}
    for how in ("quiet", "drifted"):
        for n in (500, 50_000, 5_000_000):
            counts: dict[int, dict[str, Any]] = {}
            for scale in (1, 2):
                counts[scale] = {}
                for name, known in made.monitored().items():
                    share = known.counts / known.counts.sum()
                    if how == "drifted":
                        share[:-1] = 0.98 * np.roll(share[:-1], len(share) // 20)
                        share[-1] = 0.02
                    counts[scale][name] = generator.multinomial(scale * n, share)
            took = []
            for _ in range(20):
                began = time.perf_counter()
                judge(detector, counts, rule)
                took.append(1000 * (time.perf_counter() - began))
            found[how, n] = min(took)
    return found


def main() -> int:
    """Run; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=2_000_000, help="rows a topic holds, fewer for small records"
    )
    total_rows = parser.parse_args().rows
    generator = np.random.default_rng(0)
    figures: list[Figure] = []
    for (how, n), ms in testing(generator).items():
        print(f"judging a {how:>7} window of {n:>9,} rows: {ms:6.2f} ms", flush=True)
        figures.append(at_most(f"judging a {how} window of {n:,} rows", ms, "ms", 5.0))
    print(
        f"\n{'rows a record':>13} {'monitor':>10} {'(by wall)':>10} {'bare':>11} {'decoding':>10}   rows a core-second"
    )
    for size in GOALS:
        with tempfile.TemporaryDirectory() as name, EmbeddedKafka(Path(name) / "kafka") as broker:
            folder = Path(name)
            (folder / "profile.json").write_text(json.dumps(profile(generator)))
            settings = Settings(kafka=broker.bootstrap, partitions=PARTITIONS)
            asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap, partitions=PARTITIONS)))
            total = asyncio.run(fill(settings, size, max(12_000, min(total_rows // size, 60_000)), generator))
            fetched = asyncio.run(bare(settings, size, False))
            decoding = asyncio.run(bare(settings, size, True))
            got = through_monitor(settings, total, folder)
        print(
            f"{size:13,} {got['cpu']:10,.0f} {got['wall']:10,.0f} {fetched:11,.0f} {decoding:10,.0f}",
            flush=True,
        )
        unit = "rows a core-second"
        goal = GOALS[size]
        what = f"{size} rows a record"
        figures.append(
            at_least(what, got["cpu"], unit, goal, decoding)
            if goal
            else seen(what, got["cpu"], unit, decoding)
        )
        figures.append(seen(f"{what}, by wall clock", got["wall"], "rows/s", decoding))
        figures.append(seen(f"{what}, bare consumer", fetched, unit))
        memory = got["memory"]
        if size == 1000 and {1, 4} <= memory.keys():
            figures.append(
                at_most(
                    "memory at the topic's end, to that at its first quarter",
                    memory[4] / memory[1],
                    "ratio",
                    1.1,
                )
            )
            figures += [seen(f"memory at quarter {q} of {total:,} rows", m, "MiB") for q, m in memory.items()]
    write("monitor", figures)
    return 0 if all(f.met is not False for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
