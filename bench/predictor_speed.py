"""Requests a second and their latencies: one row a request, many rows a request, several workers."""

from __future__ import annotations

import os
from statistics import median

from predictor_processes import Server
from predictor_run import BATCHES, DISTURBED, HEAD, ROWS, SHARES, Bench, Found, line, middle
from results import at_least, at_most, seen

CONNECTIONS = (1, 10, 64, 256)
WORKERS_SECONDS = 4.0  # until the second serves too
UNITS = {"rate": "requests/s", "p50": "ms", "p99": "ms", "core": "requests a core-second"}


async def single(bench: Bench, servers: dict[str, Server]) -> None:
    """One row a request, over numbers of connections, the servers in turn."""
    found: dict[tuple[int, str], list[Found]] = {(n, s): [] for n in CONNECTIONS for s in servers}
    for which in servers:  # the broker compiles its code while it is first used
        await bench.driven(servers[which], **bench.spec(64))
    for _ in range(bench.given.rounds):
        for (n, which), each in found.items():
            each.append(await bench.undisturbed(servers[which], **bench.spec(n)))
    print(f"\none row a request, by connections\n{HEAD}")
    for (n, which), each in found.items():
        print(line(f"{n} {which}", each), flush=True)
        for figure, unit in UNITS.items():
            ceiling = middle(found[n, "bare"], figure) if which != "bare" else None
            bench.figures.append(
                seen(f"{which}, {n} connections, {figure}", middle(each, figure), unit, ceiling)
            )
        bench.figures += [
            seen(f"{which}, {n} connections, {share}", middle(each, share), "share of a core")
            for share in SHARES
        ]

    def ratio(which: str, n: int, figure: str) -> float:
        rounds = zip(found[n, which], found[n, "bare"], strict=True)  # each with its own round's ceiling
        return float(median(one[figure] / bare[figure] for one, bare in rounds))

    ours = "ours to the bare ceiling"
    above = median(a["p50"] - b["p50"] for a, b in zip(found[1, "ours"], found[1, "bare"], strict=True))
    bench.figures += [
        at_least(f"{ours}, 64 connections: requests/s", ratio("ours", 64, "rate"), "ratio", 1.0),
        at_most(f"{ours}, 64 connections: p99", ratio("ours", 64, "p99"), "ratio", 2.0),
        at_most("ours above the bare ceiling, 1 connection: p50", above, "ms", 0.6),
    ]
    for which in ("ours", "fastapi"):
        for n in CONNECTIONS:
            name = f"{which} to the bare ceiling, {n} connections"
            if (which, n) != ("ours", 64):  # that one has a goal
                bench.figures.append(seen(f"{name}: requests/s", ratio(which, n, "rate"), "ratio"))
            bench.figures.append(seen(f"{name}: by processor time", ratio(which, n, "core"), "ratio"))
    print(
        "to the bare ceiling, by connections: "
        + "; ".join(
            f"{n}: {ratio('ours', n, 'rate'):.2f}, by processor time {ratio('ours', n, 'core'):.2f}, "
            f"fastapi {ratio('fastapi', n, 'rate'):.2f}"
            for n in CONNECTIONS
        )
    )
    everything = [f for each in found.values() for f in each]
    others = median(f["others"] for f in everything)
    if others > DISTURBED:
        print(f"Other programs had {others:.2f} of a core meanwhile: rates and latencies say little.")
    _as_promised(bench, "one row a request", everything)


async def batches(bench: Bench, servers: dict[str, Server]) -> None:
    """Many rows a request."""
    found: dict[str, list[Found]] = {"bare": [], "ours": []}
    for _ in range(bench.given.rounds):
        for which, each in found.items():
            each.append(await bench.undisturbed(servers[which], ROWS, **bench.spec(BATCHES, batch=True)))
    print(f"\n{ROWS:,} rows a request, {BATCHES} connections\n{HEAD}")
    for which, each in found.items():
        print(line(which, each), flush=True)
    rows = {which: ROWS * middle(each, "rate") for which, each in found.items()}
    what = f"{ROWS:,} rows a request"
    bench.figures += [
        at_least(f"{what}, published", rows["ours"], "rows/s", 300_000, rows["bare"]),
        seen(f"{what}, by processor time", ROWS * middle(found["ours"], "core"), "rows a core-second"),
        seen(f"{what}, p99", middle(found["ours"], "p99"), "ms", middle(found["bare"], "p99")),
    ]
    _as_promised(bench, what, [f for each in found.values() for f in each])


async def workers(bench: Bench) -> None:
    """One and two worker processes, every core open to everybody: what one more adds here."""
    cores = sorted(bench.core + bench.rest)
    for thread in os.listdir(f"/proc/{bench.broker}/task"):
        os.sched_setaffinity(int(thread), cores)
    print(f"\nworkers, all of {len(cores)} cores open to all\n{HEAD}")
    alone: dict[str, float] = {}
    for n in (1, 2):
        with bench.server("ours", cores, ATALAIA_WORKERS=str(n)) as ours:
            await bench.driven(ours, **bench.spec(64, seconds=WORKERS_SECONDS, cores=cores))
            for what, rows, spec in (
                ("64 connections", 1, bench.spec(64, cores=cores)),
                (f"{ROWS:,} rows a request", ROWS, bench.spec(BATCHES, batch=True, cores=cores)),
            ):
                found = await bench.undisturbed(ours, rows, **spec)
                print(line(f"{n}, {what}", [found]), flush=True)
                name = f"{n} worker{'s' * (n > 1)}, {what}"
                bench.figures.append(seen(name, rows * found["rate"], "rows/s", alone.get(what)))
                alone.setdefault(what, rows * found["rate"])
                _as_promised(bench, name, [found])
            bench.figures.append(
                seen(f"{n} worker{'s' * (n > 1)}, resident memory", ours.resident(), "MiB", alone.get("MiB"))
            )
            alone.setdefault("MiB", ours.resident())
    for thread in os.listdir(f"/proc/{bench.broker}/task"):
        os.sched_setaffinity(int(thread), bench.rest)


def _as_promised(bench: Bench, what: str, each: list[Found]) -> None:
    bench.none(f"{what}: answers that are not 200", sum(f["failed"] for f in each), "answers")
    wrong = sum(f["wrong"] for f in each)
    bench.none(f"{what}: rows that only the answers or only the topic has, or has twice", wrong, "rows")
