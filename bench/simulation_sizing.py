"""From a demand to a deployment: how many of each service, how busy they are, and what the brokers carry.

Processes are added until none has more than ``BUSY`` of what it can do. What a process costs comes from :mod:`simulation_costs`; how many rows a record gets, and so how many records there are, from
the simulated predictor. Assumed, not measured: the cores are like the one that was measured, followers append at what a
leader does, and a broker's network card has ``NETWORK`` bytes a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from drift_monitor.consumes.predictions import CHUNK_RECORDS, CHUNK_SECONDS
from simulation_costs import Costs
from simulation_partitions import Worker, share
from simulation_predictor import Process, open_loop, poisson

BUSY = 0.7  # as the Kubernetes base's autoscaler has it
NETWORK = 1.25e9  # 10 Gbit/s
NETWORK_BUSY = 0.6
PARTITIONS = (12, 24, 48, 96, 192)
LEAST = {"predictors": 2, "monitors": 2, "feedbacks": 2, "brokers": 3}  # one may go
READERS = {"predictions": 2, "panes": 1, "outcomes": 2, "ground-truth": 1}
REQUESTS = 20_000  # a simulated process answers
DAY = 86_400
HORIZONS = 2  # of labels that a row stays on feedback's disk (ADR 0013)


@dataclass(frozen=True)
class Demand:
    """Predictions a second, rows a request, labels a second; numeric features; copies of each record; seconds of a window."""

    rate: float
    rows: int = 1
    labels: float = 10.0
    features: int = 11
    copies: int = 3
    window: float = 3_600.0


@dataclass
class Plan:
    """A deployment for a demand."""

    demand: Demand
    predictors: int
    partitions: int
    monitors: int
    feedbacks: int
    brokers: int
    rows_a_record: float
    records: float  # a second
    busy: dict[str, float]  # of a core: of each kind the busiest process
    cores: dict[str, float]  # of each kind all processes together
    network: dict[str, float]  # bytes a second of the busiest broker, in and out
    disk: dict[str, float]  # bytes a day in all copies, and feedback's state a day of its horizon of labels
    memory: dict[str, float]  # MiB of all processes of a kind, and bytes a day that grow for ever

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def most_of_a_process(costs: Costs, rows: int) -> float:
    """Requests a second that a predictor process can answer, its records as large as they may be.

    Its core is busy long before: idle time goes into more and smaller records, which is sooner answered. So
    processor time says nothing of what is left.
    """
    process = Process.measured(costs, rows)
    return 1.0 / (process.request + rows * (process.row + process.record / process.most_rows))


def monitor_worker(costs: Costs, demand: Demand, beside: float = 0.0) -> Worker:
    """What counting costs a worker. Beyond the 11 features that were measured each costs what a value costs."""
    more = (demand.features - 11) * costs["monitor: a value of a row"]
    pane = costs.line("monitor: a pane written, {} features", 11, 44, demand.features)
    of_eleven = costs["monitor: a pane written, 11 features"]
    over_kafka = max(
        0.0, costs["monitor: a pane written over Kafka"] - of_eleven
    )  # its bytes' way, which grow as they do
    return Worker(
        record=costs["monitor: a record"],
        row=costs["monitor: a row"] + more,
        pane=pane + over_kafka * pane_bytes(costs, demand) / costs["panes: a record, 11 features"],
        round_trip=costs["acknowledgement of a lone record, p50"],
        beside=beside,
    )


def pane_bytes(costs: Costs, demand: Demand) -> float:
    """A pane's record, full of counts."""
    return costs.line("panes: a record, {} features", 11, 44, demand.features)


def chunks(records: float) -> float:
    """Chunks a second of a worker that reads so many records a second."""
    return max(min(1.0 / CHUNK_SECONDS, records), records / CHUNK_RECORDS)


def panes(records: float, partitions: int, workers: int) -> float:
    """Panes a second that all workers write: each chunk one for every partition of the worker that is in it."""
    of_worker, held = records / workers, partitions / workers
    per_second = chunks(of_worker)
    touched = held * (1.0 - (1.0 - 1.0 / max(held, 1.0)) ** (of_worker / per_second)) if held > 1 else 1.0
    return workers * per_second * touched


def owner(costs: Costs, demand: Demand, partitions: int, workers: int, records: float) -> dict[str, float]:
    """Shares of a core that the worker which decides has beside its partitions: one process, however many workers there are."""
    read = costs.line("owner: a pane read, {} features", 11, 44, demand.features)
    fetched = costs["owner: a pane fetched and read"] - costs["owner: a pane read, 11 features"]
    a_pane = read + max(fetched, 0.0) * pane_bytes(costs, demand) / costs["panes: a record, 11 features"]
    return {
        "panes": panes(records, partitions, workers) * a_pane,
        "windows": decided(costs, demand.features, partitions) / demand.window,
        "labels": demand.labels * costs["owner: a labelled row"],
    }


def decided(costs: Costs, features: int, partitions: int) -> float:
    """Seconds in which the owner decides a window: so much a feature, and so much a feature and partition."""
    low, high = (
        costs.line(f"owner: a window decided, {n} features, {{}} partitions", 12, 96, partitions)
        for n in (11, 44)
    )
    return low + (high - low) * (features - 11) / 33


def monitors(costs: Costs, demand: Demand, partitions: int, rows: float, workers: int) -> dict[str, float]:
    """Shares of a core of the busiest worker that only counts, and of the one that decides too."""
    records = demand.rate / rows
    worker = monitor_worker(costs, demand)
    part = share(partitions, workers) / partitions
    pane_work = panes(records, partitions, workers) * part * worker.pane
    counting = part * (records * worker.record + demand.rate * worker.row) + pane_work
    rest = costs["monitor: at rest"]
    return {"monitor": counting + rest, "owner": counting + rest + sum(owner(costs, demand, partitions, workers, records).values())}  # fmt: skip


def feedback_core(costs: Costs, demand: Demand, partitions: int, rows: float, workers: int) -> float:
    """Share of a core of the busiest feedback process. Records of 100 rows were measured; what smaller ones cost more is
    taken to be what they cost the monitor more, whose reader is the same."""
    smaller = max(0.0, costs["monitor: a record"] * (1.0 / rows - 1.0 / 100))
    a_row = costs["feedback: a prediction taken in"] + smaller
    work = demand.rate * a_row + demand.labels * costs["feedback: a label joined, over HTTP"]
    return share(partitions, workers) / partitions * work


def plan(costs: Costs, demand: Demand) -> Plan:
    """The least deployment for a demand; raises ``ValueError`` where no number of partitions and workers does."""
    brokers = LEAST["brokers"]
    while True:
        made = _with_brokers(costs, demand, brokers)
        if max(made.network.values()) <= NETWORK * NETWORK_BUSY:
            return made
        brokers += 1


def _with_brokers(costs: Costs, demand: Demand, brokers: int) -> Plan:
    requests = demand.rate / demand.rows
    predictors = max(LEAST["predictors"], ceil(requests / (BUSY * most_of_a_process(costs, demand.rows))))
    process = Process.measured(costs, demand.rows, demand.copies, brokers)
    each = requests / predictors
    served = open_loop(poisson(each, REQUESTS / each, np.random.default_rng(2)), process)
    rows = float(np.mean(served.records))
    records = demand.rate / rows
    for partitions in PARTITIONS:
        workers = _least_workers(
            lambda n, p=partitions: max(monitors(costs, demand, p, rows, n).values()), "monitors", partitions
        )
        feedbacks = _least_workers(
            lambda n, p=partitions: feedback_core(costs, demand, p, rows, n), "feedbacks", partitions
        )
        if workers and feedbacks:
            break
    else:
        raise ValueError(f"no number of partitions and workers does for {demand}")
    busy = monitors(costs, demand, partitions, rows, workers)
    feedback_busy = feedback_core(costs, demand, partitions, rows, feedbacks)
    flows = flow(costs, demand, partitions, workers, rows)
    broker_cores = broker_work(costs, demand, records, flows)
    total = sum(flows.values())
    out = sum(flows[topic] * (demand.copies - 1 + readers) for topic, readers in READERS.items())
    decides = owner(costs, demand, partitions, workers, records)
    return Plan(
        demand, predictors, partitions, workers, feedbacks, brokers, rows, records,
        busy={
            "predictor": served.busy / served.seconds, **busy, "feedback": feedback_busy,
            "trainer": demand.labels * costs["trainer: a labelled row"], "broker": broker_cores / brokers,
        },
        cores={
            "predictor": predictors * served.busy / served.seconds,
            "monitor": workers * busy["monitor"] * (partitions / workers / share(partitions, workers)) + sum(decides.values()),
            "feedback": feedbacks * feedback_busy * (partitions / feedbacks / share(partitions, feedbacks)),
            "broker": broker_cores,
        },
        network={"in": total * demand.copies / brokers, "out": out / brokers},
        disk={
            "predictions a day": flows["predictions"] * demand.copies * DAY,
            "feedback's state a day": HORIZONS * demand.rate * costs["feedback: state on disk of a row"] * DAY,
        },
        memory={
            "predictor": predictors * costs["predictor: resident memory"],
            "monitor": workers * costs["monitor: resident memory"],
            "feedback": feedbacks * costs["feedback: resident memory"],
            "owner a day": demand.labels * costs["owner: kept of a labelled row"] * DAY,
            "trainer a day": demand.labels * costs["trainer: kept of a labelled row"] * DAY,
        },
    )  # fmt: skip


def _least_workers(busy: Callable[[int], float], kind: str, partitions: int) -> int:
    """The least number that is not too busy; 0 where none is."""
    return next((n for n in range(LEAST[kind], partitions + 1) if busy(n) <= BUSY), 0)


def flow(costs: Costs, demand: Demand, partitions: int, workers: int, rows: float) -> dict[str, float]:
    """Bytes a second that are written to the topics that grow with rows, before copies."""
    values = demand.features / 11  # a row is its features, nearly
    return {
        "predictions": demand.rate / rows * costs["predictions: a record"] + demand.rate * costs["predictions: a row"] * values,
        "panes": panes(demand.rate / rows, partitions, workers) * pane_bytes(costs, demand),
        "outcomes": demand.labels * costs["outcomes: a labelled row"] * values,
        "ground-truth": demand.labels * costs["ground-truth: a label"],
    }  # fmt: skip


def broker_work(costs: Costs, demand: Demand, records: float, flows: dict[str, float]) -> float:
    """Cores of all brokers together: each copy is written, each reader and each follower is served."""
    copies, readers = demand.copies, READERS["predictions"]
    of_records = records * (
        copies * costs["broker, in: a record"] + (copies - 1 + readers) * costs["broker, out: a record"]
    )
    megabytes = sum(
        flows[t]
        / 1e6
        * (copies * costs["broker, in: a megabyte"] + (copies - 1 + n) * costs["broker, out: a megabyte"])
        for t, n in READERS.items()
    )
    return float(of_records + megabytes)
