"""The simulation behind docs/scaling.md, held against formulas that are known, and against what ADR 0011 and 0012 decide."""

from __future__ import annotations

import doctest
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
MODULES = ("checks", "core", "costs", "partitions", "predictor", "sizing", "stops", "tables")


@pytest.fixture(scope="module")
def sim() -> Iterator[Any]:
    """Its modules by the second half of their names; ``bench`` is no package."""
    sys.path.insert(0, str(BENCH))
    try:
        yield SimpleNamespace(
            **{m: importlib.import_module(f"simulation_{m}") for m in MODULES},
            fit=importlib.import_module("stages_fit"),
        )
    finally:
        sys.path.remove(str(BENCH))


def lone(sim: Any, **given: Any) -> Any:
    """A process that gathers nobody and waits for no acknowledgement: a plain queue with one server."""
    return sim.predictor.Process(request=0.0, at_most=1, most_rows=1, **given)


@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_a_process_that_gathers_nobody_is_an_m_d_1_queue(sim: Any, busy: float) -> None:
    """Poisson arrivals and one length of service wait as Pollaczek and Khinchine say."""
    service, rng = 0.001, np.random.default_rng(0)
    times = sim.predictor.poisson(busy / service, 150.0, rng)
    served = sim.predictor.open_loop(times, lone(sim, record=service))
    expected = service + busy * service / (2 * (1 - busy))
    assert np.mean(served.latencies) == pytest.approx(expected, rel=0.04)
    assert served.busy / served.seconds == pytest.approx(busy, rel=0.02)
    assert len(served.latencies) == len(times) == len(served.records)


@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_a_worker_that_takes_single_records_is_an_m_d_1_queue(sim: Any, busy: float) -> None:
    """Lindley's recursion gives the same mean as the formula."""
    service, rng = 0.001, np.random.default_rng(1)
    times = sim.predictor.poisson(busy / service, 150.0, rng)
    worker = sim.partitions.Worker(record=service, row=0.0, most=1, within=0.0)
    delays = sim.partitions.read(times, 1.0, 1, worker).delays
    assert np.mean(delays) == pytest.approx(service + busy * service / (2 * (1 - busy)), rel=0.04)


def test_a_proxy_that_goes_round_makes_nobody_wait_longer(sim: Any) -> None:
    """Arrivals in turn are more even than arrivals by lot, so the same process waits less."""
    rng, service = np.random.default_rng(2), 0.001
    every = sim.predictor.poisson(4 * 0.8 / service, 40.0, rng)
    waits = [
        np.mean(sim.predictor.open_loop(split(every, 4, rng), lone(sim, record=service)).latencies)
        for split in (sim.predictor.at_random, sim.predictor.in_turn)
    ]
    assert waits[1] < 0.7 * waits[0]


def test_gathering_serves_more_than_a_record_a_request_could(sim: Any) -> None:
    """What waits becomes one record: at three times what single records would bear, the core is not full."""
    process = sim.predictor.Process(record=0.001, request=0.0001, median=0.0005, spread=0.3)
    times = sim.predictor.poisson(3_000.0, 5.0, np.random.default_rng(3))
    served = sim.predictor.open_loop(times, process)
    assert sum(served.records) == len(times) == len(served.latencies)
    assert np.mean(served.records) > 2
    assert served.busy / served.seconds < 0.95
    work = len(served.records) * process.record + len(times) * process.request
    assert served.busy == pytest.approx(work)


def test_a_lone_request_waits_for_nobody(sim: Any) -> None:
    """Far apart, a request takes its own work and one round trip."""
    process = sim.predictor.Process(record=0.001, request=0.0002, median=0.0005)
    served = sim.predictor.open_loop(np.arange(10.0), process)
    assert served.latencies == pytest.approx([0.0017] * 10)
    assert served.records == [1] * 10


def test_a_closed_loop_obeys_littles_law(sim: Any) -> None:
    """Connections are as many as requests that are under way: rate times time between."""
    process = sim.predictor.Process(record=0.0005, request=0.00005, median=0.0005)
    served = sim.predictor.closed_loop(16, process, load=0.00002, of_broker=0.0001, seconds=4.0)
    rate = len(served.latencies) / served.seconds
    beside = 16 / rate - np.mean(served.latencies)  # at the load, and waiting for it
    assert 0.00002 <= beside < 0.002


def test_bursts_have_the_mean_they_are_asked_for(sim: Any) -> None:
    """Three times the rate in a tenth of the time, and the same in all."""
    rng = np.random.default_rng(4)
    times = sim.predictor.bursts(1_000.0, 60.0, rng)
    assert len(times) == pytest.approx(60_000, rel=0.02)
    assert (np.diff(times) >= 0).all()
    inside = ((times % 2.0) < 0.2).mean()
    assert inside == pytest.approx(0.3, rel=0.05)


def test_a_worker_falls_behind_by_what_it_cannot_do(sim: Any) -> None:
    """At one and a half times its rate a third of what comes stays, and grows with time."""
    worker = sim.partitions.Worker(record=0.001, row=0.0)
    times = sim.predictor.poisson(1_500.0, 60.0, np.random.default_rng(5))
    counted = sim.partitions.read(times, 1.0, 12, worker)
    behind = counted.behind(times, np.array([30.0, 60.0]))
    assert behind[1] == pytest.approx(30_000, rel=0.1)
    assert behind[1] == pytest.approx(2 * behind[0], rel=0.1)


def test_a_worker_more_helps_only_where_the_busiest_has_a_partition_less(sim: Any) -> None:
    """Of 12 partitions seven workers are no better than six: one has two all the same."""
    shares = [sim.partitions.share(12, workers) for workers in (5, 6, 7, 11, 12, 13)]
    assert shares == [3, 2, 2, 2, 1, 1]


def test_keys_drawn_at_random_skew_by_chance_only(sim: Any) -> None:
    """Of a million records the heaviest of twelve workers has a hundredth above its share at most."""
    heavy = sim.partitions.heaviest(12, 12, 1e6, np.random.default_rng(6))
    assert 1.0 < heavy < 1.01


def test_what_the_owner_reads_grows_with_partitions_and_not_with_rows(sim: Any) -> None:
    """Ten times the rows in as many records are as many panes; four times the partitions are four times as many."""
    panes = sim.sizing.panes
    assert panes(60_000.0, 48, 48) == pytest.approx(4 * panes(15_000.0, 12, 12))
    assert panes(12 * 400.0, 12, 12) == pytest.approx(12 * 5)  # a chunk each 0.2 seconds
    assert panes(12 * 8_000.0, 12, 12) == pytest.approx(12 * 8)  # or of a thousand records


def test_a_plan_keeps_every_process_below_its_target(sim: Any) -> None:
    """Whatever the demand, nobody is busier than planned, and no worker is without a partition."""
    costs = sim.costs.Costs()
    made = sim.sizing.plan(costs, sim.sizing.Demand(10_000.0, rows=100))
    assert max(made.busy["monitor"], made.busy["owner"], made.busy["feedback"]) <= sim.sizing.BUSY
    assert made.demand.rate / 100 / made.predictors <= sim.sizing.BUSY * sim.sizing.most_of_a_process(
        costs, 100
    )
    assert max(made.monitors, made.feedbacks) <= made.partitions
    assert made.brokers >= made.demand.copies


def test_costs_are_those_of_the_run_and_in_seconds(sim: Any, tmp_path: Path) -> None:
    """A figure in microseconds is read as seconds, and one that is not there is named."""
    path = tmp_path / "stages.json"
    path.write_text(
        json.dumps(
            [{"figure": "a", "value": 5.0, "unit": "us"}, {"figure": "b", "value": 7.0, "unit": "bytes"}]
        )
    )
    costs = sim.costs.Costs(path)
    assert costs["a"] == pytest.approx(5e-6)
    assert costs["b"] == 7.0
    with pytest.raises(KeyError, match="monitor: a row"):
        costs["monitor: a row"]


def test_of_several_runs_the_least_disturbed_holds(sim: Any) -> None:
    """A time is the least of all runs, a drive is one run's as a whole, and what is no time is the last run's."""
    figure = importlib.import_module("results").seen
    drive = "drive, 1 rows a request, 64 connections: "

    def run(own: float, requests: float, pane: float, memory: float) -> list[Any]:
        return [
            figure(f"{drive}{sim.fit.OWN}", own, "us"), figure(f"{drive}requests a record", requests, ""),
            figure("owner: a pane read", pane, "us"), figure("memory", memory, "MiB"),
        ]  # fmt: skip

    found = {f.figure: f.value for f in sim.fit.least([run(50.0, 30.0, 9.0, 1.0), run(90.0, 40.0, 7.0, 2.0)])}
    assert found == {
        f"{drive}{sim.fit.OWN}": 50.0, f"{drive}requests a record": 30.0, "owner: a pane read": 7.0, "memory": 2.0,
    }  # fmt: skip


def test_the_examples_in_the_modules_hold(sim: Any) -> None:
    """Each doctest, which pytest does not collect in ``bench``."""
    for module in (sim.fit, sim.tables, sim.checks):
        failed, tried = doctest.testmod(module)
        assert not failed
        assert tried
