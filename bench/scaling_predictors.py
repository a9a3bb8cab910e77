"""One predictor and two, each with a load of its own, on the same brokers."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import predictor_topic as topic
from predictor_processes import Running, Server, family, good
from predictor_run import BATCH, SINGLE
from scaling_found import Found
from scaling_shares import Meter, limited
from scaling_waits import Missing, within
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings

SHAPES = {"1 row a request": (1, 64), "100 rows a request": (100, 8)}  # rows, connections of each predictor
MODEL = "m"
LOAD_SECONDS = 60.0  # it may take so much longer than it was told to


class Predictors:
    """``count`` of them, a context manager; each has a data folder of its own, as a replica has."""

    def __init__(self, brokers: EmbeddedBrokers, folder: Path, count: int) -> None:
        self._brokers, self._folder, self.count = brokers, folder, count
        self._stack = ExitStack()
        self.servers: list[Server] = []

    def __enter__(self) -> Predictors:
        cores = sorted(os.sched_getaffinity(0))
        try:
            for number in range(self.count):
                env = {
                    "ATALAIA_KAFKA": self._brokers.bootstrap, "ATALAIA_MODEL": MODEL,
                    "ATALAIA_DATA_DIR": str(self._folder / f"predictor-{number}"),
                }  # fmt: skip
                self.servers.append(self._stack.enter_context(Server("ours", self._folder, cores, **env)))
        except BaseException as error:
            self._stack.close()
            if isinstance(error, SystemExit):  # it does not serve
                raise Missing(str(error)) from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def drive(self, shape: str, seconds: float, share: float | None) -> Found:
        """What they answer under load, each its own; every answer is looked for on the topic."""
        rows, connections = SHAPES[shape]
        settings = Settings(kafka=self._brokers.bootstrap)
        before = await within("the topic's ends", topic.ends(settings))
        pids = [family(server.process.pid) for server in self.servers]
        meter = Meter(pids, [broker.pid for broker in self._brokers.brokers])
        with limited([server.process.pid for server in self.servers], share):
            loads = [
                Running(self._own(number), port=server.port, **self._spec(rows, connections, seconds))
                for number, server in enumerate(self.servers)
            ]
            found: list[dict[str, Any]] = await asyncio.gather(
                *(asyncio.to_thread(_found, load, seconds + LOAD_SECONDS) for load in loads)
            )
        wall, cpu, brokers, others = meter.read()
        answered = [rows * good(each) for each in found]
        counted = await within("rows of the topic", topic.count(settings, before))
        refused = sum(sum(each["sent"].values()) - good(each) for each in found)
        return Found(
            rate=sum(rows * each["rate"] for each in found), rows=answered, cpu=cpu, brokers=brokers, wall=wall, others=others,
            lost=max(0, sum(answered) + counted.repeated - counted.rows),
            twice=counted.repeated + max(0, counted.rows - counted.repeated - sum(answered)), refused=refused,
            records=counted.rows / max(1, counted.records),
        )  # fmt: skip

    def _own(self, number: int) -> Path:
        folder = self._folder / f"load-{number}"
        folder.mkdir(exist_ok=True)
        return folder

    def _spec(self, rows: int, connections: int, seconds: float) -> dict[str, Any]:
        each = json.loads((self._folder / "rows.json").read_text(encoding="utf-8"))
        if rows == 1:
            bodies, path = [json.dumps({"features": row}) for row in each], SINGLE
        else:
            turning = itertools.cycle(each)
            bodies = [json.dumps({"rows": list(itertools.islice(turning, rows))}) for _ in range(20)]
            path = BATCH
        requests = [{"kind": "valid", "path": path, "bodies": bodies}]
        return {"requests": requests, "connections": connections, "seconds": seconds, "warm_up": 1.0}


def _found(load: Running, seconds: float) -> dict[str, Any]:
    """What a load found; one that takes longer is ended."""
    try:
        load.process.wait(seconds)
        return load.found()
    except subprocess.TimeoutExpired:
        load.process.kill()
        load.process.wait()
        raise Missing(f"the load has not ended after {seconds:.0f} s") from None
    except SystemExit as error:
        raise Missing(str(error)) from None


def make_model(folder: Path) -> None:
    """The version that is served."""
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("scaling_model.py")), str(folder)], check=True
    )
