"""The predictor's stages, from drives of ``bench-predictor``: what a record, a request and a row cost it, and what a drive saw.

Requests that arrive together are one record, so the cost of a request falls as load grows. From drives with different
numbers of requests and rows a record the costs of each are fitted (``stages_fit.py``); the drives' own rates and latencies stand
beside them, for the simulation to be held against.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import monitor
import numpy as np
from predictor_processes import Server
from predictor_run import Bench
from results import Figure, seen
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings
from servicekit.topics import ensure_topics

CONNECTIONS = (1, 10, 64, 256)
BATCH_ROWS = (10, 100, 1_000)
BATCH_CONNECTIONS = 4
WARM_RECORDS = 15_000
REST_SECONDS = 3.0


async def _drive(bench: Bench, server: Server) -> list[dict[str, Any]]:
    rows = [body[body.index(":") + 1 : -1] for body in bench.single]  # {"features": ROW} without its shell
    cases = [(1, n, bench.spec(n)) for n in CONNECTIONS]
    for size in BATCH_ROWS:
        many = (rows * (3 * size // len(rows) + 1))[: 3 * size]
        bench.batch = ['{"rows":[' + ",".join(many[i : i + size]) + "]}" for i in range(0, len(many), size)]
        cases.append((size, BATCH_CONNECTIONS, bench.spec(BATCH_CONNECTIONS, batch=True)))
    # The broker compiles its code while it is first used: by records, not by seconds, which a busy machine takes away.
    await monitor.fill(bench.settings, 1, WARM_RECORDS, np.random.default_rng(0))
    await bench.driven(server, **bench.spec(64))
    began, cpu, of_broker = time.monotonic(), server.processor(), monitor.processor(bench.broker)
    await asyncio.sleep(REST_SECONDS)
    rest = (server.processor() - cpu) / (time.monotonic() - began)
    broker_rest = (monitor.processor(bench.broker) - of_broker) / (time.monotonic() - began)
    found = []
    for size, n, spec in cases:
        each = await bench.driven(server, size, **spec)
        if each["failed"] or each["wrong"]:
            raise SystemExit(
                f"{n} connections, {size} rows: {each['failed']} failed, {each['wrong']} wrong rows"
            )
        print(size, n, {k: round(v, 3) for k, v in each.items() if isinstance(v, float)}, flush=True)
        found.append(each | {"size": size, "connections": n, "rest": rest, "broker rest": broker_rest})
    return found


def _figures(found: list[dict[str, Any]]) -> list[Figure]:
    """What each drive saw. The processor time of doing nothing, which a slow drive has more of, is taken off."""
    figures = [
        seen("predictor: at rest", found[0]["rest"], "share of a core"),
        seen("broker: at rest", found[0]["broker rest"], "share of a core"),
    ]
    for each in found:
        requests = each["batched"] / each["size"]  # a record
        a_request = 1e6 / each["core"]
        seconds = a_request / each["server"]  # of the clock, so many microseconds a request
        name = f"drive, {each['size']} rows a request, {each['connections']} connections"
        figures += [
            seen(f"{name}: requests", each["rate"], "1/s"),
            seen(f"{name}: p50", each["p50"], "ms"),
            seen(f"{name}: p99", each["p99"], "ms"),
            seen(f"{name}: requests a record", requests, ""),
            seen(f"{name}: the server's processor time of a request", a_request - each["rest"] * seconds, "us"),
            seen(f"{name}: the load's processor time of a request", 1e6 * each["load"] / each["rate"], "us"),
            seen(f"{name}: the broker's processor time of a record",
                 max(requests * seconds * (each["broker"] - each["broker rest"]), 1.0), "us"),
            seen(f"{name}: others' share of a core", each["others"], ""),
        ]  # fmt: skip
    return figures


def predictor(seconds: float) -> list[Figure]:
    """Build the wine tree, serve it alone on one core, and drive it."""
    given = argparse.Namespace(seconds=seconds, warm_up=0.5)
    cores = sorted(os.sched_getaffinity(0))
    *rest, core = cores
    if not rest:
        sys.exit("bench-stages needs two cores: one for the server, one for the broker and the load")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bench"
        subprocess.run(
            [sys.executable, str(Path(__file__).with_name("predictor_model.py")), str(folder)], check=True
        )
        os.sched_setaffinity(0, rest)
        try:
            with EmbeddedKafka(Path(name) / "kafka") as broker:
                asyncio.run(ensure_topics(Settings(kafka=broker.bootstrap)))
                bench = Bench(folder, broker, given, core, rest)
                with bench.server("ours") as server:
                    found = asyncio.run(_drive(bench, server))
                    return [*_figures(found), seen("predictor: resident memory", server.resident(), "MiB")]
        finally:
            os.sched_setaffinity(0, cores)
