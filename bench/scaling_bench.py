"""``make bench-scaling``: one predictor, monitor and feedback service against two of each, in one run, on three brokers.

The brokers are one cluster on this machine, each topic on all three. In turn, round after round: one worker, two workers;
with the machine to themselves, and each with a fifth of a core (``scaling_shares.py``). A figure is the rounds' median.
On a machine of two cores the first says what two workers do where the cores are not enough for them, their brokers and
their load; the second what they do where cores are not what is short. Beside both, what a row costs each in processor time, and
how the rows were split.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from results import Figure, seen, write
from scaling_feedback import Feedbacks
from scaling_found import Found, compared, line
from scaling_monitors import ROWS_A_RECORD, Monitors
from scaling_predictors import SHAPES, Predictors, make_model
from scaling_shares import Meter
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings
from servicekit.topics import ensure_topics

SHARE, REST_SECONDS = 0.2, 10.0
WAYS: dict[str, float | None] = {"all cores": None, "a fifth of a core each": SHARE}
Drive = Callable[[int, float | None], Awaitable[Found]]


async def rounds(what: str, count: int, drive: Drive) -> list[Figure]:
    """One and two in turn, both ways."""
    figures: list[Figure] = []
    for way, share in WAYS.items():
        name = f"{what}, {way}"
        one: list[Found] = []
        two: list[Found] = []
        for _ in range(count):
            for workers, each in ((1, one), (2, two)):
                each.append(await drive(workers, share))
                print(line(name, workers, each[-1]), flush=True)
        figures += compared(name, one, two, share is not None)
    return figures


async def predictors(brokers: EmbeddedBrokers, folder: Path, given: argparse.Namespace) -> list[Figure]:
    """Requests answered, each acknowledged by two brokers at least."""
    await asyncio.to_thread(make_model, folder)
    figures: list[Figure] = []
    with Predictors(brokers, folder, 1) as one, Predictors(brokers, folder, 2) as two:
        await one.drive("1 row a request", given.warm_up, None)  # brokers compile their code
        for shape in SHAPES:

            async def drive(count: int, share: float | None, shape: str = shape) -> Found:
                return await {1: one, 2: two}[count].drive(shape, given.seconds, share)

            figures += await rounds(f"predictors, {shape}", given.rounds, drive)
    return figures


async def monitors(brokers: EmbeddedBrokers, folder: Path, given: argparse.Namespace) -> list[Figure]:
    """Rows counted into panes, from a backlog."""
    backlog = Monitors(brokers, folder, given.rows)
    await backlog.fill()
    return await rounds(f"monitors, {ROWS_A_RECORD} rows a record", given.rounds, backlog.drive)


async def feedbacks(brokers: EmbeddedBrokers, folder: Path, given: argparse.Namespace) -> list[Figure]:
    """Labels joined, from a backlog."""
    backlog = Feedbacks(brokers, folder, given.labels)
    await backlog.fill()
    return await rounds("feedback, labels joined", given.rounds, backlog.drive)


async def at_rest(brokers: EmbeddedBrokers) -> float:
    """What they use of a core while nobody asks them anything: the controllers' own log, and who is alive."""
    await brokers.until_in_sync()
    meter = Meter([], [broker.pid for broker in brokers.brokers])
    await asyncio.sleep(REST_SECONDS)
    wall, _, used, _ = meter.read()
    return used / wall


PARTS = {"predictors": predictors, "monitors": monitors, "feedbacks": feedbacks}


async def measure(brokers: EmbeddedBrokers, folder: Path, given: argparse.Namespace) -> list[Figure]:
    """All parts that were asked for."""
    await ensure_topics(brokers.bootstrap, Settings().partitions)
    figures = [
        seen("cores of the machine", len(os.sched_getaffinity(0)), "cores"),
        seen("brokers of the cluster", len(brokers.brokers), "brokers"),
    ]
    for part in given.parts.split(","):
        figures += await PARTS[part](brokers, folder, given)
    # last, when they have compiled their code
    return [*figures, seen("brokers at rest, all together", await at_rest(brokers), "share of a core")]


def main() -> int:
    """Run; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each drive of the predictors")
    parser.add_argument("--warm-up", type=float, default=12.0, help="seconds of load before the first drive")
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the monitors' backlog")
    parser.add_argument("--labels", type=int, default=300_000, help="to join")
    parser.add_argument("--brokers", type=int, default=3)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that brokers and workers end
    with (
        tempfile.TemporaryDirectory() as name,
        EmbeddedBrokers(given.brokers, Path(name) / "kafka") as brokers,
    ):
        figures = asyncio.run(measure(brokers, Path(name), given))
    write("scaling", figures)
    return 0 if all(f.met is not False for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
