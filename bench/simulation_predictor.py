"""One predictor process: requests are read as they come, gathered while others are under way, answered once acknowledged.

A queue with bulk service whose batches are what has gathered (Bailey 1954), of the shape that ADR 0012 decides: at most
one batch under way below ``enough`` rows, at most ``at_most`` above. A batch costs the core ``record`` seconds and
``row`` seconds a row, a request ``request``: half of it when it is read, half when it is answered. A process has one core and
shares nothing with others, so behind a proxy that splits the requests each can be looked at alone, exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from predictor.domain.gathering import AT_MOST, ENOUGH_ROWS
from predictor.domain.record import MAX_RECORD_ROWS
from simulation_core import Calendar, Core, Then, Wire
from simulation_costs import Costs

Z90 = 1.2816  # of the normal law


@dataclass(frozen=True)
class Process:
    """What a predictor process costs, and how it gathers. ``round_trips``: median and spread (of the logarithm) of one,
    and how many follow each other until a record is acknowledged: two where followers have to fetch it first."""

    record: float
    request: float
    row: float = 0.0
    rows: int = 1  # of a request
    median: float = 0.0
    spread: float = 0.0
    round_trips: int = 1
    brokers: int = 1
    enough: int = ENOUGH_ROWS
    at_most: int = AT_MOST
    most_rows: int = MAX_RECORD_ROWS

    @classmethod
    def measured(cls, costs: Costs, rows: int, replicas: int = 1, brokers: int = 1) -> Process:
        """As the stages were measured."""
        p50 = costs["acknowledgement of a lone record, p50"]
        p90 = costs["acknowledgement of a lone record, p90"]
        single = rows == 1
        return cls(
            record=costs["predictor: a record"],
            request=costs[f"predictor: a request of {'one row' if single else 'many rows'}"],
            row=0.0 if single else costs["predictor: a row of many"],
            rows=rows,
            median=p50,
            spread=log(p90 / p50) / Z90,
            round_trips=min(replicas, 2),
            brokers=brokers,
        )


@dataclass
class Served:
    """What came of it: seconds of each answered request, rows of each record, the share of the core."""

    latencies: list[float] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    busy: float = 0.0
    seconds: float = 0.0

    def quantile(self, q: float) -> float:
        """Of the latencies, seconds."""
        return float(np.quantile(self.latencies, q))


class Predictor:
    """A process in a simulation; ``take`` a request, and ``then`` is called when it is answered."""

    def __init__(
        self,
        calendar: Calendar,
        process: Process,
        rng: np.random.Generator,
        broker: Core | None = None,
        of_broker: float = 0.0,
    ) -> None:
        self.core, self.served = Core(calendar), Served()
        self._calendar, self._process, self._rng = calendar, process, rng
        self._broker, self._of_broker = broker, of_broker
        self._wires = [Wire(calendar, self._over) for _ in range(process.brokers)]
        self._gathered: deque[tuple[float, Then]] = deque()
        self._under_way = 0
        self._called = False

    def take(self, then: Then = lambda: None) -> None:
        """A request has arrived."""
        came = self._calendar.now
        self.core.do(self._process.request / 2, lambda: self._read(came, then))

    def _read(self, came: float, then: Then) -> None:
        self._gathered.append((came, then))
        self._call()

    def _may(self) -> bool:
        rows = len(self._gathered) * self._process.rows
        full = self._under_way < self._process.at_most and rows >= self._process.enough
        return bool(self._gathered) and (not self._under_way or full)

    def _call(self) -> None:
        """In the loop's next turn: what waits to be read is read before."""
        if not self._called and self._may():
            self._called = True
            self.core.do(0.0, self._start)

    def _start(self) -> None:
        self._called = False
        if not self._may():
            return
        p = self._process
        most = max(1, p.most_rows // p.rows)
        batch = [self._gathered.popleft() for _ in range(min(most, len(self._gathered)))]
        self._under_way += 1
        rows = len(batch) * p.rows
        self.served.records.append(rows)
        wire = self._wires[int(self._rng.integers(p.brokers))] if p.brokers > 1 else self._wires[0]
        self.core.do_next(p.record + p.row * rows, lambda: wire.send(lambda: self._safe(batch)))
        self._call()

    def _over(self, records: int, then: Then) -> None:
        """To the broker and back."""
        p = self._process
        if not p.median:
            took = 0.0
        else:
            took = sum(p.median * exp(p.spread * float(self._rng.normal())) for _ in range(p.round_trips))
        now = self._calendar
        if self._broker is None:
            now.at(now.now + took, then)
        else:
            self._broker.do(records * self._of_broker, lambda: now.at(now.now + took, then))

    def _safe(self, batch: Iterable[tuple[float, Then]]) -> None:
        each = list(batch)
        self.core.do(len(each) * self._process.request / 2, lambda: self._answered(each))

    def _answered(self, batch: list[tuple[float, Then]]) -> None:
        self._under_way -= 1
        for came, then in batch:
            self.served.latencies.append(self._calendar.now - came)
            then()
        self._call()


def open_loop(arrivals: NDArray[np.float64], process: Process, seed: int = 0) -> Served:
    """Requests at times that do not depend on answers, as independent callers send them. All are answered."""
    calendar = Calendar()
    predictor = Predictor(calendar, process, np.random.default_rng(seed))
    times = iter(arrivals.tolist())

    def arrive() -> None:
        predictor.take()
        following = next(times, None)
        if following is not None:
            calendar.at(following, arrive)

    first = next(times, None)
    if first is not None:
        calendar.at(first, arrive)
    calendar.run()
    return _ended(predictor, calendar)


def closed_loop(
    connections: int, process: Process, load: float, of_broker: float, seconds: float = 2.0, seed: int = 0
) -> Served:
    """``bench/load.py``: connections with always one request under way, the load and the broker sharing the other core."""
    calendar = Calendar()
    other = Core(calendar)
    # The lone round trip was measured with the broker's work in it.
    process = replace(process, median=max(process.median - of_broker, 0.0))
    predictor = Predictor(calendar, process, np.random.default_rng(seed), other, of_broker)

    def ask() -> None:
        other.do(load, lambda: predictor.take(ask))

    for _ in range(connections):
        ask()
    calendar.run(seconds)
    return _ended(predictor, calendar)


def _ended(predictor: Predictor, calendar: Calendar) -> Served:
    served = predictor.served
    served.busy, served.seconds = predictor.core.busy, calendar.now
    return served


def poisson(rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Times of independent callers."""
    return np.sort(rng.random(rng.poisson(rate * seconds))) * seconds


def bursts(
    rate: float,
    seconds: float,
    rng: np.random.Generator,
    times: float = 3.0,
    share: float = 0.1,
    length: float = 0.2,
) -> NDArray[np.float64]:
    """As :func:`poisson` with the same mean, but for ``length`` seconds now and then, ``share`` of all time, ``times`` the rate."""
    calm = (1 - times * share) / (1 - share)
    period = length / share
    starts = np.arange(0.0, seconds, period)
    parts = [start + poisson(times * rate, length, rng) for start in starts]
    parts += [start + length + poisson(calm * rate, period - length, rng) for start in starts]
    every = np.sort(np.concatenate(parts))
    return every[every < seconds]


Split = Callable[[NDArray[np.float64], int, np.random.Generator], NDArray[np.float64]]


def at_random(every: NDArray[np.float64], processes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """What one of them gets where the proxy draws lots."""
    return every[rng.integers(processes, size=len(every)) == 0]


def in_turn(every: NDArray[np.float64], processes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """What one of them gets where the proxy goes round."""
    return every[::processes]
