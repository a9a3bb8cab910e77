"""``make bench-scaling``: one predictor, monitor and feedback service against two of each, in one run, on three brokers.

The brokers are one cluster on this machine, each topic on all three; monitors and feedback services get a new one for each
drive, so that no group and no topic is there from the last. In turn, round after round: one worker, two workers; with the
machine to themselves, and each with a fifth of a core (``scaling_shares.py``). A figure is the rounds' median. What does not
come in time is named in a line and counts as a missed goal; the rest goes on.
On a machine of two cores the first way says what two workers do where the cores are not enough for them, their brokers and
their load; the second what they do where cores are not what is short. Beside both, what a row costs each in processor time,
how the rows were split, and how many were lost or came twice.
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

from results import Figure, at_most, seen, write
from scaling_feedback import Feedbacks
from scaling_found import Found, compared, line
from scaling_monitors import ROWS_A_RECORD, Monitors
from scaling_predictors import SHAPES, Predictors, make_model
from scaling_shares import Meter
from scaling_waits import Missing, within
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.topics import ensure_topics

SHARE, REST_SECONDS = 0.2, 10.0
DRIVE_SECONDS = 300.0
WAYS: dict[str, float | None] = {"all cores": None, "a fifth of a core each": SHARE}
Drive = Callable[[int, float | None], Awaitable[Found]]


class Run:
    """What was found, and what did not come to its end."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder, self.given = folder, given
        self.figures: list[Figure] = []
        self.failed: list[str] = []

    async def attempt(self, name: str, work: Awaitable[None]) -> None:
        """Do ``work``; where something is missing, say so in a line, and go on with what comes next."""
        try:
            await work
        except (Missing, UserError) as error:
            print(f"{name}: NOT ENDED: {' '.join(str(error).split())}", flush=True)
            self.failed.append(name)

    async def rounds(self, what: str, drive: Drive) -> None:
        """One and two in turn, both ways."""
        for way, share in WAYS.items():
            name = f"{what}, {way}"
            await self.attempt(name, self._way(name, share, drive))

    async def _way(self, name: str, share: float | None, drive: Drive) -> None:
        one: list[Found] = []
        two: list[Found] = []
        for _ in range(self.given.rounds):
            for workers, each in ((1, one), (2, two)):
                each.append(await within(f"with {workers}", drive(workers, share), DRIVE_SECONDS))
                print(line(name, workers, each[-1]), flush=True)
        self.figures += compared(name, one, two, share is not None)


async def predictors(run: Run) -> None:
    """Requests answered, each acknowledged by two brokers at least."""
    given, folder = run.given, run.folder
    await asyncio.to_thread(make_model, folder)
    with EmbeddedBrokers(given.brokers) as brokers:
        await within("topics", ensure_topics(Settings(kafka=brokers.bootstrap)))
        with Predictors(brokers, folder, 1) as one, Predictors(brokers, folder, 2) as two:
            await one.drive("1 row a request", given.warm_up, None)  # brokers compile their code
            for shape in SHAPES:

                async def drive(count: int, share: float | None, shape: str = shape) -> Found:
                    return await {1: one, 2: two}[count].drive(shape, given.seconds, share)

                await run.rounds(f"predictors, {shape}", drive)
        # now that they have compiled their code
        run.figures.append(seen("brokers at rest, all together", await at_rest(brokers), "share of a core"))


async def monitors(run: Run) -> None:
    """Rows counted into panes, from a backlog."""
    backlog = Monitors(run.given.brokers, run.folder, run.given.rows)
    await run.rounds(f"monitors, {ROWS_A_RECORD} rows a record", backlog.drive)


async def feedbacks(run: Run) -> None:
    """Labels joined, from a backlog."""
    backlog = Feedbacks(run.given.brokers, run.folder, run.given.labels)
    await run.rounds("feedback, labels joined", backlog.drive)


async def at_rest(brokers: EmbeddedBrokers) -> float:
    """What they use of a core while nobody asks them anything: the controllers' own log, and who is alive."""
    await brokers.until_in_sync()
    meter = Meter([], [broker.pid for broker in brokers.brokers])
    await asyncio.sleep(REST_SECONDS)
    wall, _, used, _ = meter.read()
    return used / wall


PARTS = {"predictors": predictors, "monitors": monitors, "feedbacks": feedbacks}


async def measure(run: Run) -> list[Figure]:
    """All parts that were asked for."""
    for part in run.given.parts.split(","):
        await run.attempt(part, PARTS[part](run))
    return [
        seen("cores of the machine", len(os.sched_getaffinity(0)), "cores"),
        seen("brokers of a cluster", run.given.brokers, "brokers"),
        *run.figures,
        at_most("comparisons that did not come to their end", len(run.failed), "comparisons", 0),
    ]


def main() -> int:
    """Run; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured, in turn")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each drive of the predictors")
    parser.add_argument("--warm-up", type=float, default=12.0, help="seconds of load before the first drive")
    parser.add_argument("--rows", type=int, default=600_000, help="of the monitors' backlog")
    parser.add_argument("--labels", type=int, default=100_000, help="to join")
    parser.add_argument("--brokers", type=int, default=3)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that brokers and workers end
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(measure(Run(Path(name), given)))
    write("scaling", figures)
    return 0 if all(f.met is not False for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
