"""Where each stage stops: the load at which what cannot be divided further is ``BUSY``, or full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from simulation_costs import Costs
from simulation_sizing import (
    BUSY,
    NETWORK,
    NETWORK_BUSY,
    READERS,
    Demand,
    decided,
    feedback_core,
    flow,
    monitors,
    most_of_a_process,
    owner,
)

ROWS_A_RECORD = (10, 100, 1_000)
PARTITIONS = (12, 24, 48, 96)
FEATURES = (11, 44)
GIB = 2**30
KUBERNETES = Path(__file__).parents[1] / "kubernetes" / "base"
HIGHEST = 1e9


def highest(fits: Callable[[float], bool]) -> float:
    """The highest load that fits, to a thousandth, by halving."""
    low, high = 0.0, HIGHEST
    while high - low > max(1.0, low / 1_000):
        middle = (low * high) ** 0.5 if low else high / 1_000
        if fits(middle):
            low = middle
        else:
            high = middle
        if high < 1.0:
            return 0.0
    return low


def memory_limit(service: str) -> int:
    """Bytes that ``kubernetes/base`` lets a service's container have."""
    for each in yaml.safe_load_all((KUBERNETES / f"{service}.yaml").read_text(encoding="utf-8")):
        if each["kind"] in ("Deployment", "StatefulSet") and each["metadata"]["name"] == service:
            limit = str(each["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"])
            return int(limit[:-2]) * {"Mi": 2**20, "Gi": GIB}[limit[-2:]]
    raise ValueError(f"no {service} in {KUBERNETES}")


def stops(costs: Costs) -> dict[str, list[dict[str, Any]]]:
    """By kind of limit, what it is at."""
    return {
        "predictor": [
            {"rows": rows, "requests a second of a process": BUSY * most_of_a_process(costs, rows)} for rows in (1, 10, 100)
        ],
        "partitions": [
            {"partitions": p, "rows a record": rows, **_by_partitions(costs, p, rows)}
            for rows in ROWS_A_RECORD
            for p in PARTITIONS
        ],
        "owner": [{"partitions": p, "features": f, **_owner(costs, p, f)} for f in FEATURES for p in PARTITIONS],
        "labels": [
            {
                "process": name,
                "labels a second": BUSY / costs[f"{name}: a labelled row"],
                "labels in all": memory_limit(service) / costs[f"{name}: kept of a labelled row"],
                "limit, GiB": memory_limit(service) / GIB,
            }
            for name, service in (("owner", "drift-monitor"), ("trainer", "trainer"))
        ],
        "network": [{"rows a record": rows, "predictions a second": _network(costs, rows)} for rows in ROWS_A_RECORD],
    }  # fmt: skip


def _by_partitions(costs: Costs, partitions: int, rows: int) -> dict[str, float]:
    """Predictions a second with as many workers as there are partitions, which is as many as can share them."""
    return {
        "monitor": highest(
            lambda n: monitors(costs, Demand(n), partitions, rows, partitions)["monitor"] <= BUSY
        ),
        "feedback": highest(lambda n: feedback_core(costs, Demand(n), partitions, rows, partitions) <= BUSY),
    }


def _owner(costs: Costs, partitions: int, features: int) -> dict[str, float]:
    """What deciding takes though few rows come: the panes of full chunks, and a window."""
    demand = Demand(partitions * 1_000.0, features=features)
    shares = owner(costs, demand, partitions, partitions, demand.rate / 10)
    return {
        "share for panes": shares["panes"],
        "panes, bytes a second": flow(costs, demand, partitions, partitions, 10)["panes"],
        "seconds to decide a window": decided(costs, features, partitions),
    }


def _network(costs: Costs, rows: int, brokers: int = 3) -> float:
    """Predictions a second whose bytes a broker's card can send, of so many brokers with three copies."""

    def fits(rate: float) -> bool:
        demand = Demand(rate)
        flows = flow(costs, demand, 12, 12, rows)
        out = (
            sum(flows[topic] * (demand.copies - 1 + readers) for topic, readers in READERS.items()) / brokers
        )
        return max(out, sum(flows.values()) * demand.copies / brokers) <= NETWORK * NETWORK_BUSY

    return highest(fits)
