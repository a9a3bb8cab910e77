"""The model held against measured runs: what the fit says of the runs it was fitted to, and the simulation of what it was not.

A drive of ``bench/load.py`` gives the processor time of a request, to which the costs are fitted, and beside it the rate,
the latency and how many requests became one record: these the simulation has to find by itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from servicekit.config import Settings
from simulation_costs import Costs
from simulation_predictor import Process, closed_loop
from simulation_sizing import Demand, monitor_worker, owner, panes
from stages_fit import DRIVE, OWN, TOGETHER, fitted

README = Path(__file__).with_name("README.md")
QUIET = re.compile(
    r"^\| (\d+) \|[^|]*\|[^|]*\| \**([\d,]+) / ([\d,]+)\**; ([\d.]+), [\d.]+ / ([\d.]+), [\d.]+ ms \|", re.M
)
DISTURBED = 0.2  # of a core, by others: then rates and latencies are not the server's


def checks(costs: Costs) -> dict[str, list[dict[str, Any]]]:
    """By kind: measured, modelled and their ratio."""
    drives = _drives(costs)
    return {
        "processor time": [*_predictor(costs), *_monitor(costs), *_together(costs)],
        "drives": drives,
        "quiet": _quiet(drives),
    }


def quiet_runs(page: str) -> dict[int, tuple[float, float]]:
    """By connections: requests a second and the median latency in seconds of bench-predictor's two quiet runs, their means.

    Out of the table that bench/README.md has of them.

    >>> quiet_runs("| 64 | 1 / 2; 3, 4 / 5, 6 ms | 4,838 / 4,655 | **23,000 / 17,000**; 2.6, 4.9 / 3.4, 7 ms | 1 |")
    {64: (20000.0, 0.003)}
    """
    found = {}
    for n, *pairs in QUIET.findall(page):
        one, two, p50, other = (float(text.replace(",", "")) for text in pairs)
        found[int(n)] = ((one + two) / 2, (p50 + other) / 2 / 1_000)
    return found


def _quiet(drives: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the simulation has for a drive, beside the quiet runs of other days: by the clock, which a busy machine has no say in."""
    modelled = {e["what"]: e["modelled"] for e in drives}
    found = []
    for n, (rate, p50) in quiet_runs(README.read_text(encoding="utf-8")).items():
        drive = f"drive, 1 rows a request, {n} connections: "
        for what, measured in (("requests", rate), ("p50", p50)):
            if drive + what in modelled:
                found.append(_beside(f"{n} connections, quiet: {what}", measured, modelled[drive + what]))
    return found


def _beside(what: str, measured: float, modelled: float, **more: Any) -> dict[str, Any]:
    return {"what": what, "measured": measured, "modelled": modelled, "ratio": modelled / measured, **more}


def _predictor(costs: Costs) -> list[dict[str, Any]]:
    found = []
    for name, measured in costs.named("drive, ").items():
        if not name.endswith(OWN):
            continue
        drive = DRIVE.match(f"drive, {name}")
        assert drive is not None
        rows, requests = int(drive[1]), costs[f"{drive[0]}requests a record"]
        process = Process.measured(costs, rows)
        modelled = process.record / requests + process.request + process.row * rows
        found.append(_beside(f"predictor, {name.removesuffix(': ' + OWN)}: a request, s", measured, modelled))
    return found


def _monitor(costs: Costs) -> list[dict[str, Any]]:
    """Each size of record foretold by the three others."""
    sizes = {
        int(match[1]): value
        for name, value in costs.named("monitor: a record of ").items()
        if (match := re.fullmatch(r"(\d+) rows", name))
    }
    found = []
    for size, measured in sizes.items():
        rest = {s: v for s, v in sizes.items() if s != size}
        record, row = fitted([[1.0, s] for s in rest], list(rest.values()))
        found.append(_beside(f"monitor, a record of {size} rows, s", measured, record + row * size))
    return found


def _together(costs: Costs) -> list[dict[str, Any]]:
    """What ``bench-scaling`` saw one and two of a kind use, in another run on three brokers, which nothing was fitted to."""
    figures, found = costs.named(TOGETHER), []
    for name, measured in figures.items():
        run, _, what = name.partition(": ")
        rows = int(re.findall(r"(\d+) rows?", run)[0])
        if not what.endswith("a row"):
            continue
        if run.startswith("monitors"):
            modelled = _monitors(costs, figures[f"{run}: {what[:3]}"], rows, 1 + what.startswith("two"))
        else:
            process = Process.measured(costs, rows)
            modelled = (
                process.record / figures[f"{run}: rows a record, one"] + process.request / rows + process.row
            )
        found.append(_beside(f"{run}, {what.removesuffix(', a row')}: a row, s", measured, modelled))
    return found


def _monitors(costs: Costs, rate: float, rows: int, workers: int) -> float:
    """Seconds a row of all workers together at the rate that was seen: the panes of each chunk are shared by its rows."""
    demand = Demand(rate, labels=0.0)
    written = panes(rate / rows, Settings().partitions, workers)
    worker, decides = (
        monitor_worker(costs, demand),
        owner(costs, demand, Settings().partitions, workers, rate / rows),
    )
    return worker.record / rows + worker.row + (written * worker.pane + decides["panes"]) / rate


def _drives(costs: Costs) -> list[dict[str, Any]]:
    """Rate, latency and gathering of each drive, simulated with the load and the broker on the other core."""
    found = []
    for name in costs.named("drive, "):
        drive = DRIVE.match(f"drive, {name}")
        if drive is None or not name.endswith(OWN):
            continue
        rows, connections, of = int(drive[1]), int(drive[2]), drive[0]
        others = costs[f"{of}others' share of a core"]  # seconds a second
        served = closed_loop(
            connections, Process.measured(costs, rows),
            costs[f"{of}the load's processor time of a request"], costs[f"{of}the broker's processor time of a record"],
        )  # fmt: skip
        for what, modelled in (
            ("requests", len(served.latencies) / served.seconds),
            ("p50", served.quantile(0.5)),
            ("requests a record", float(np.mean(served.records)) / rows),
        ):
            found.append(
                _beside(
                    f"{of}{what}", costs[f"{of}{what}"], modelled, others=others, counts=others <= DISTURBED
                )
            )
    return found
