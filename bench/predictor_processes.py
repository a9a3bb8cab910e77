"""The servers and the load as child processes, each on its cores, and what they cost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from servicekit.broker import free_port

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60.0


def _stat(pid: int | str) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the state on; none where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    parents = {int(p.name): stat[1] for p in Path("/proc").glob("[0-9]*") if (stat := _stat(p.name))}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == str(each)]
    return found


def processor(pids: list[int]) -> float:
    """Seconds of processor time that processes have used so far."""
    stats = [stat for pid in pids if (stat := _stat(pid))]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICKS


class Server:
    """One of ``predictor_servers.py``; a context manager."""

    def __init__(self, which: str, folder: Path, cores: list[int], **env: str) -> None:
        self.which, self.port, self.cores = which, free_port(), cores
        self.log = folder / f"{which}-{self.port}.log"
        command = [
            sys.executable, str(HERE / "predictor_servers.py"), which, str(folder), str(self.port),
            ",".join(map(str, cores)),
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **env}, stdout=log, stderr=log)

    def __enter__(self) -> Self:
        """Wait until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise SystemExit(f"{self.which} does not serve: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        if self.which == "ours":
            return self.version() is not None
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def version(self) -> str | None:
        """The version that serves, as ours says it; None where none does yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1.0/model", timeout=5) as answer:
                return str(json.load(answer)["version"])
        except OSError:
            return None

    def processor(self) -> float:
        """Seconds of processor time used so far, its children's too."""
        return processor(family(self.process.pid))

    def resident(self) -> float:
        """Resident memory, MiB, its children's too."""
        total = 0
        for pid in family(self.process.pid):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return total / 1024


class Running:
    """A load that is under way."""

    def __init__(self, folder: Path, **spec: Any) -> None:
        path = folder / "load.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "load.py"), str(path)], stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> None:
        """Let it send no more."""
        self.process.send_signal(signal.SIGTERM)

    def found(self) -> dict[str, Any]:
        """Wait for its end."""
        out, _ = self.process.communicate()
        if self.process.returncode:
            raise SystemExit(f"the load ended with {self.process.returncode}")
        result: dict[str, Any] = json.loads(out)
        return result


def busy(cores: list[int]) -> float:
    """Seconds some cores have been busy with anything, or taken by another machine on the same host."""
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            total += user + nice + system + irq + softirq + steal
    return total / TICKS


def load(folder: Path, server: Server, broker: int, **spec: Any) -> dict[str, Any]:
    """Drive ``server``. Beside what the load says:

    ``core``, requests by second of the server's processor time; ``server``, ``broker`` and ``others``, the shares of a core
    that these had over the whole drive. Others are all but the server, the broker, the load and this process.
    """
    cores = sorted({*server.cores, *spec["cores"]})

    def used() -> dict[str, float]:
        mine = os.times()  # the load's come to its children's when it has ended
        own = mine.user + mine.system + mine.children_user + mine.children_system
        return {"all": busy(cores), "own": own, "server": server.processor(), "broker": processor([broker])}

    began, before = time.monotonic(), used()
    found = Running(folder, port=server.port, **spec).found()
    took, now = time.monotonic() - began, used()
    of = {what: now[what] - before[what] for what in now}
    others = of.pop("all") - sum(of.values())
    answered = sum(n for statuses in found["answered"].values() for n in statuses.values())
    return found | {
        "core": answered / max(of["server"], 1 / TICKS), "server": of["server"] / took, "broker": of["broker"] / took,
        "others": max(0.0, others) / took,
    }  # fmt: skip


def good(found: dict[str, Any], status: str = "200") -> int:
    """How many answers had a status."""
    return sum(statuses.get(status, 0) for statuses in found["answered"].values())
