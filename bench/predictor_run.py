"""What the parts of ``bench-predictor`` share: requests, servers on their cores, figures, and one drive of the load."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import predictor_topic as topic
from predictor_processes import Server, good, load
from results import Figure, at_most
from servicekit.broker import EmbeddedKafka
from servicekit.config import Settings

MODEL = "wine-quality"
SINGLE, BATCH = "/api/v1.0/predict/", "/api/v1.0/predict/batch"
ROWS, BATCHES = 1000, 4  # rows a batch request, connections that send such
Found = dict[str, Any]
SHARES = ("server", "load", "broker", "others")
DISTURBED = 0.1  # of a core, by others: a drive that is repeated
HEAD = (
    f"{'':>22} {'1/s':>8} {'least':>8} {'most':>8} {'p50 ms':>8} {'p99 ms':>8} {'1/core-s':>9} "
    f"{' '.join(f'{share:>6}' for share in SHARES)} {'rows a record':>14}"
)


class Bench:
    """``folder`` holds the versions; servers run on ``core``, all else, this process too, on ``rest``."""

    def __init__(
        self, folder: Path, broker: EmbeddedKafka, given: argparse.Namespace, core: int, rest: list[int]
    ) -> None:
        self.folder, self.broker, self.given = folder, broker.pid, given
        self.settings = Settings(kafka=broker.bootstrap)
        self.core, self.rest = [core], rest
        self.figures: list[Figure] = []
        rows: list[dict[str, float]] = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        self.names = list(rows[0])
        self.classes: list[str] = json.loads((folder / "1/models/classes.json").read_text(encoding="utf-8"))
        self.single = [_body({"features": row}) for row in rows]
        self.lacking = [
            _body({"features": {n: v for n, v in row.items() if n != name}})
            for row, name in zip(rows, itertools.cycle(self.names), strict=False)
        ]
        many = list(itertools.islice(itertools.cycle(rows), 3 * ROWS))
        self.batch = [_body({"rows": many[i : i + ROWS]}) for i in range(0, len(many), ROWS)]

    def server(self, which: str, cores: list[int] | None = None, **env: str) -> Server:
        """A server, to be entered."""
        given = {
            "ATALAIA_KAFKA": self.settings.kafka, "ATALAIA_MODEL": MODEL, "ATALAIA_DATA_DIR": str(self.folder / "data"),
        }  # fmt: skip
        return Server(which, self.folder, cores or self.core, **given | env)

    def spec(self, connections: int, batch: bool = False, **more: Any) -> Found:
        """What the load is told."""
        kind, path, bodies = ("batch", BATCH, self.batch) if batch else ("valid", SINGLE, self.single)
        given = {
            "requests": [{"kind": kind, "path": path, "bodies": bodies}], "connections": connections,
            "seconds": self.given.seconds, "warm_up": self.given.warm_up, "cores": self.rest,
        }  # fmt: skip
        return given | more

    async def driven(self, server: Server, rows: int = 1, **spec: Any) -> Found:
        """Drive a server; ``failed`` answers are not 200.

        Of ours, ``wrong`` rows are those that only the answers or only the topic has, or has twice.
        """
        ours = server.which == "ours"
        before = await topic.ends(self.settings) if ours else {}
        found = await asyncio.to_thread(load, self.folder, server, self.broker, **spec)
        found |= {"failed": sent(found) - good(found), "wrong": 0}
        if ours:
            counted = await topic.count(self.settings, before)
            found["wrong"] = abs(counted.rows - rows * good(found)) + counted.repeated
            found["batched"] = counted.rows / max(counted.records, 1)
            if found["wrong"]:
                print(f"{rows * good(found)} rows were answered, the topic has {counted}", flush=True)
        return found

    async def undisturbed(self, server: Server, rows: int = 1, **spec: Any) -> Found:
        """As :meth:`driven`, repeated while other programs disturb it, ``tries`` times at most: the least disturbed drive.

        ``failed`` and ``wrong`` are of all of them.
        """
        each: list[Found] = []
        while not each or (each[-1]["others"] > DISTURBED and len(each) < self.given.tries):
            each.append(await self.driven(server, rows, **spec))
        best = min(each, key=lambda found: found["others"])
        return best | {what: sum(found[what] for found in each) for what in ("failed", "wrong")}

    def none(self, name: str, count: float, unit: str) -> None:
        """A figure that has to be 0."""
        self.figures.append(at_most(name, count, unit, 0))


def _body(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def sent(found: Found) -> int:
    """Requests sent."""
    return sum(found["sent"].values())


def middle(each: Sequence[Found], figure: str) -> float:
    """The median of the rounds."""
    return float(median(found[figure] for found in each))


def line(name: str, each: Sequence[Found]) -> str:
    """A line under :data:`HEAD`."""
    rates = [found["rate"] for found in each]
    shares = " ".join(f"{middle(each, share):6.2f}" for share in SHARES)
    record = f"{middle(each, 'batched'):14.1f}" if "batched" in each[0] else ""
    return (
        f"{name:>22} {median(rates):8,.0f} {min(rates):8,.0f} {max(rates):8,.0f} {middle(each, 'p50'):8.2f} "
        f"{middle(each, 'p99'):8.2f} {middle(each, 'core'):9,.0f} {shares} {record}"
    )
