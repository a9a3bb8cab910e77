"""``make bench-predictor``: requests a second of the predictor, all acknowledged by a real Kafka, beside servers without a log.

Three servers in turn, round after round, each alone on one core; the broker and the load have the other: a bare ASGI
function, FastAPI with pydantic, and the predictor (``predictor_servers.py`` says what they are, ``load.py`` what the load is).
A figure is the median of the rounds. Then what was promised is held against the topic: every answer is a row of it, once;
what was sent to be refused is refused, and nothing else; over swaps of the model under load no request fails, and
each record names the version that scored it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from predictor_promises import ids, refusals, swaps
from predictor_run import Bench
from predictor_speed import batches, single, workers
from results import seen, write
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings


async def measure(bench: Bench) -> None:
    """Everything, in its order: what changes the version comes last."""
    with bench.server("bare") as bare, bench.server("fastapi") as fastapi, bench.server("ours") as ours:
        servers = {"bare": bare, "fastapi": fastapi, "ours": ours}
        # A broker that has just started compiles its code for some ten thousand records, which is none of the predictor's.
        await bench.driven(ours, **bench.spec(4, seconds=bench.given.broker_warm_up))
        memory = {"at the start": ours.resident()}
        await single(bench, servers)
        memory["after one row a request"] = ours.resident()
        await batches(bench, servers)
        memory["after many rows a request"] = ours.resident()
        await refusals(bench, ours)
        await ids(bench, ours)
        if "workers" in Settings.model_fields:
            await workers(bench)
        await swaps(bench, ours)
        memory["at the end"] = ours.resident()
    print("resident memory, MiB: " + ", ".join(f"{when} {mib:.0f}" for when, mib in memory.items()))
    bench.figures += [seen(f"resident memory {when}", mib, "MiB") for when, mib in memory.items()]


def main() -> int:
    """Run; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds of each drive")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before them")
    parser.add_argument(
        "--broker-warm-up", type=float, default=12.0, help="seconds of load before the first drive"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn")
    parser.add_argument("--tries", type=int, default=3, help="how often where other programs disturb it")
    given = parser.parse_args()
    *rest, core = sorted(os.sched_getaffinity(0))
    if not rest:
        sys.exit("bench-predictor needs two cores: one for the server, one for the broker and the load")
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(1)
    )  # so that broker and servers end, and the folder goes
    os.sched_setaffinity(0, rest)  # the broker inherits it
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bench"
        made = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("predictor_model.py")), str(folder)]
        )
        if made.returncode:
            return made.returncode
        with EmbeddedKafka(Path(name) / "kafka") as broker:
            bench = Bench(folder, broker, given, core, rest)
            asyncio.run(measure(bench))
    write("predictor", bench.figures)
    return 0 if all(f.met is not False for f in bench.figures) else 1


if __name__ == "__main__":
    sys.exit(main())
