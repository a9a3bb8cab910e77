"""Workers that get a share of a core each, and what the machine did meanwhile.

On two cores that brokers and load use too, two workers cannot have twice the processor time of one. So they are compared
a second time with a fifth of a core each, as if each had a small machine of its own: stopped and continued (``SIGSTOP``,
``SIGCONT``) some twenty times a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence

from predictor_processes import busy, processor

PERIOD_SECONDS = 0.05


@contextlib.contextmanager
def limited(pids: Sequence[int], share: float | None) -> Iterator[None]:
    """Within, each process runs for a ``share`` of the time; None lets it run."""
    if share is None:
        yield
        return
    over = threading.Event()

    def turn(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended, which is not ours to tell
            while not over.wait(PERIOD_SECONDS * (1 - share)):
                os.kill(pid, signal.SIGCONT)
                over.wait(PERIOD_SECONDS * share)
                os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)

    turning = [threading.Thread(target=turn, args=(pid,)) for pid in pids]
    for thread in turning:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in turning:
            thread.join()


class Meter:
    """Processor seconds of workers, of brokers and of everything else, from its making on."""

    def __init__(self, workers: Sequence[Sequence[int]], brokers: Sequence[int]) -> None:
        self._workers, self._brokers = [list(each) for each in workers], list(brokers)
        self._cores = sorted(os.sched_getaffinity(0))
        self._at = self._now()

    def _now(self) -> tuple[float, list[float], float, float, float]:
        own = os.times()
        mine = own.user + own.system + own.children_user + own.children_system
        each = [processor(worker) for worker in self._workers]
        return time.monotonic(), each, processor(self._brokers), mine, busy(self._cores)

    def read(self) -> tuple[float, list[float], float, float]:
        """Wall seconds; processor seconds of each worker, of the brokers; and the share of a core that others had.

        The load is a child of this process, and counted here once it has ended.
        """
        (t0, w0, b0, m0, all0), (t1, w1, b1, m1, all1) = self._at, self._now()
        wall, workers, brokers = t1 - t0, [b - a for a, b in zip(w0, w1, strict=True)], b1 - b0
        others = (all1 - all0) - sum(workers) - brokers - (m1 - m0)
        return wall, workers, brokers, max(0.0, others) / wall
