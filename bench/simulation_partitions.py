"""Workers that read partitions in chunks: how far behind they are, and when a window can be decided.

A worker takes what has come, up to ``CHUNK_RECORDS`` or ``CHUNK_SECONDS`` after the first, works on it and takes again: a
queue with bulk service, of which Lindley's recursion (1952) gives each chunk's end. A worker has its share of the
partitions, the busiest ``ceil(P / M)`` of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drift_monitor.consumes.predictions import CHUNK_RECORDS, CHUNK_SECONDS
from numpy.typing import NDArray

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Worker:
    """What a worker's chunk costs: ``record`` and ``row`` for what is in it, ``pane`` for each partition that is, a
    ``round_trip`` in which its core is idle. ``beside``: the share of its core that other work has."""

    record: float
    row: float
    pane: float = 0.0
    round_trip: float = 0.0
    beside: float = 0.0
    most: int = CHUNK_RECORDS
    within: float = CHUNK_SECONDS


@dataclass
class Counted:
    """Of each chunk its end and how many records it had; of each record how long it took to be counted."""

    ends: Times
    sizes: NDArray[np.int64]
    delays: Times
    busy: float

    def behind(self, arrivals: Times, at: Times) -> NDArray[np.int64]:
        """Records that have come and are not counted, at some times."""
        came = np.searchsorted(arrivals, at, side="right")
        done = np.concatenate([[0], np.cumsum(self.sizes)])
        return np.asarray(came - done[np.searchsorted(self.ends, at, side="right")], dtype=np.int64)


def read(arrivals: Times, rows: NDArray[np.float64] | float, partitions: int, worker: Worker) -> Counted:
    """Records that arrive at sorted times on ``partitions`` partitions, with so many rows each, through one worker.

    ``beside`` shares the core as the loop of one process does: everything takes 1 / (1 - beside) times as long.
    """
    sums = np.concatenate([[0.0], np.cumsum(np.broadcast_to(rows, arrivals.shape))])
    slower = 1.0 / (1.0 - worker.beside)
    ends, sizes, busy = [], [], 0.0
    free, i, n = 0.0, 0, len(arrivals)
    while i < n:
        begins = max(free, arrivals[i])
        until = begins + worker.within
        last = min(i + worker.most, n)
        if last - i == worker.most:
            until = min(until, max(begins, arrivals[last - 1]))
        j = min(max(int(np.searchsorted(arrivals, until, side="right")), i + 1), last)
        touched = partitions * (1.0 - (1.0 - 1.0 / partitions) ** (j - i))
        work = (j - i) * worker.record + (sums[j] - sums[i]) * worker.row + touched * worker.pane
        free = until + slower * work + worker.round_trip
        busy += work
        ends.append(free)
        sizes.append(j - i)
        i = j
    counts = np.array(sizes, dtype=np.int64)
    return Counted(np.array(ends), counts, np.repeat(ends, counts) - arrivals, busy)


def share(partitions: int, workers: int) -> int:
    """Partitions of the busiest worker."""
    return -(-partitions // workers)


def heaviest(partitions: int, workers: int, records: float, rng: np.random.Generator) -> float:
    """How many times its even share of some records the heaviest worker gets, where keys are drawn at random.

    Keys are random ids, so partitions differ by chance alone: as the root of the records.
    """
    each = rng.multinomial(int(records), np.full(partitions, 1 / partitions))
    of = [each[i::workers].sum() for i in range(workers)]
    return float(max(of) / (records / workers))
