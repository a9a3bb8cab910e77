"""``make bench-simulation``: what it takes for 10,000, 100,000 and 1,000,000 predictions a second, and where it stops.

Reads what ``bench/stages.py`` measured, sizes a deployment for each rate, simulates it, and holds the simulation against
formulas and against measured runs. With ``--write`` the run's stages and what came of them are kept in
``docs/scaling/``, and the tables of ``docs/scaling.md`` are written anew; tests hold all three together.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from simulation_checks import checks
from simulation_costs import KEPT, Costs
from simulation_partitions import heaviest, read, share
from simulation_predictor import Process, at_random, bursts, in_turn, open_loop, poisson
from simulation_sizing import BUSY, Demand, Plan, monitor_worker, owner, plan
from simulation_stops import stops
from simulation_tables import PAGE, written

RATES = (10_000, 100_000, 1_000_000)
ROWS = (1, 100)
FOUND = KEPT.with_name("simulation.json")
LATENCY_REQUESTS = 40_000
LAG_RECORDS = 100_000
LAG_SECONDS = MINUTE = 60.0


def latencies(costs: Costs, made: Plan) -> list[dict[str, Any]]:
    """Of one predictor process of a plan: how long answers take, by arrivals and by how the proxy splits them."""
    demand, found = made.demand, []
    process = Process.measured(costs, demand.rows, demand.copies, made.brokers)
    requests = demand.rate / demand.rows
    seconds = max(2.0, LATENCY_REQUESTS * made.predictors / requests)
    for arrivals in (poisson, bursts):
        for split in (at_random, in_turn):
            rng = np.random.default_rng(3)
            served = open_loop(split(arrivals(requests, seconds, rng), made.predictors, rng), process)
            found.append({
                "rate": demand.rate, "rows": demand.rows, "arrivals": arrivals.__name__, "split": split.__name__,
                "busy": served.busy / served.seconds, "p50": served.quantile(0.5), "p99": served.quantile(0.99),
                "rows a record": float(np.mean(served.records)),
            })  # fmt: skip
    return found


def lags(costs: Costs, made: Plan) -> list[dict[str, Any]]:
    """Of the monitor's busiest worker and of the one that decides: how far they are behind, even and in bursts."""
    demand, found = made.demand, []
    beside = sum(owner(costs, demand, made.partitions, made.monitors, made.records).values())
    rng = np.random.default_rng(4)
    held = share(made.partitions, made.monitors)
    heavy = heaviest(made.partitions, made.monitors, made.records * LAG_SECONDS, rng)
    records = made.records * held / made.partitions
    seconds = min(LAG_SECONDS, LAG_RECORDS / records)
    for who, other in (("monitor", 0.0), ("owner", beside)):
        for arrivals in (poisson, bursts):
            times = arrivals(records, seconds, rng)
            counted = read(times, made.rows_a_record, held, monitor_worker(costs, demand, other))
            found.append({
                "rate": demand.rate, "rows": demand.rows, "worker": who, "arrivals": arrivals.__name__,
                "p50": float(np.quantile(counted.delays, 0.5)), "p99": float(np.quantile(counted.delays, 0.99)),
                "busy": counted.busy / counted.ends[-1] + other, "heaviest": heavy,
            })  # fmt: skip
    return found


def overload(costs: Costs) -> list[dict[str, float]]:
    """A worker at ``BUSY`` while for a minute some times as much comes: how late it gets, and how long until that is over."""
    worker = monitor_worker(costs, Demand(0.0))
    rows, found = 100.0, []
    rate = BUSY / (worker.record + rows * worker.row)
    for times in (1.5, 2.0, 3.0):
        rng = np.random.default_rng(5)
        spans = ((0.0, MINUTE, 1.0), (MINUTE, 2 * MINUTE, times), (2 * MINUTE, 10 * MINUTE, 1.0))
        every = [begin + poisson(rate * more, end - begin, rng) for begin, end, more in spans]
        arrivals = np.concatenate(every)
        counted = read(arrivals, rows, 1, worker)
        usual = np.quantile(counted.delays[arrivals < MINUTE], 0.99)
        late = arrivals[counted.delays > 2 * usual]
        found.append({
            "times": times, "usual p99": float(usual), "worst": float(counted.delays.max()),
            "late for": float(late.max() - MINUTE) if len(late) else 0.0,
        })  # fmt: skip
    return found


def simulated(costs: Costs) -> dict[str, Any]:
    """Everything that docs/scaling.md tells."""
    plans = [plan(costs, Demand(rate, rows)) for rate in RATES for rows in ROWS]
    return {
        "plans": [made.as_dict() for made in plans],
        "latencies": [each for made in plans for each in latencies(costs, made)],
        "lags": [each for made in plans for each in lags(costs, made)],
        "overload": overload(costs),
        "stops": stops(costs),
        "checks": checks(costs),
    }


def main() -> None:
    """Simulate, print, and with ``--write`` keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", type=Path, default=KEPT, help="a run of bench/stages.py")
    parser.add_argument(
        "--write", action="store_true", help="keep the run and write the tables of docs/scaling.md"
    )
    given = parser.parse_args()
    found = simulated(Costs(given.stages))
    text = json.dumps(found, indent=1)
    if given.write:
        KEPT.parent.mkdir(exist_ok=True)
        if given.stages.resolve() != KEPT.resolve():
            shutil.copyfile(given.stages, KEPT)
        FOUND.write_text(text + "\n", encoding="utf-8")
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), found, Costs(KEPT)), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
