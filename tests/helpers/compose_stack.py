"""A composed platform of its own for tests: its own project name, ports, and volumes, which go at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from servicekit.broker import free_port

ROOT = Path(__file__).parents[2]
# vendors' images with pages that not every machine can pull; all else must come up
OPTIONAL = ("grafana",)
PORTS = (
    "PREDICTOR", "FEEDBACK", "DRIFT_MONITOR", "TRAINER", "WATCH", "MLFLOW", "PROMETHEUS", "GRAFANA", "KAFKA", "KAFKA_2", "KAFKA_3",
)  # fmt: skip
UP_SECONDS = 600


def engine_missing() -> str:
    """Why nothing can be composed here, in one line; empty where it can."""
    try:
        asked = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, text=True, timeout=60, check=False
        )
        if asked.returncode:
            return "`docker compose` is not there: install Docker Engine with its compose plugin"
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=60, check=False)
        return "" if asked.returncode == 0 else "no Docker engine answers: start one, or set DOCKER_HOST"
    except (OSError, subprocess.TimeoutExpired):
        return "there is no `docker` on the PATH: install Docker Engine with its compose plugin"


@dataclass
class Stack:
    """``docker compose`` of this repository under a name of its own; ``env`` is what ``.env`` would hold."""

    name: str
    env: dict[str, str] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})

    def compose(
        self, *arguments: str, seconds: float = 300, check: bool = True, quiet: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; its output is shown where it fails."""
        files = [part for name in self.env_files for part in ("--env-file", str(ROOT / name))]
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ATALAIA_", "COMPOSE_"))},
            **{f"{name}_PORT": str(port) for name, port in self.ports.items()},
            "COMPOSE_ANSI": "never",
            "COMPOSE_PROGRESS": "quiet",
            **self.env,
        }
        done = subprocess.run(
            ["docker", "compose", *files, "--project-name", self.name, *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            if not quiet:
                print(self._ends_of_logs(env), file=sys.stderr)
            raise AssertionError(
                f"docker compose {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
            )
        return done

    def _ends_of_logs(self, env: dict[str, str]) -> str:
        command = ["docker", "compose", "--project-name", self.name, "logs", "--no-color", "--tail", "15"]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False).stdout[
            -20000:
        ]

    def services(self) -> list[str]:
        """All that come up without a profile, and whose image can be had."""
        config = json.loads(self.compose("config", "--format", "json").stdout)["services"]
        return sorted(name for name, each in config.items() if name not in OPTIONAL or _there(each["image"]))

    def up(self, *options: str) -> None:
        """All services, until each is healthy."""
        self.compose("up", "--wait", "--wait-timeout", "400", *options, *self.services(), seconds=UP_SECONDS)

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """What the engine says of each container of a service, or of all."""
        ids = self.compose("ps", "--all", "--quiet", *([service] if service else [])).stdout.split()
        if not ids:
            return []
        told = subprocess.run(
            ["docker", "inspect", *ids], capture_output=True, text=True, check=True, timeout=60
        )
        found: list[dict[str, Any]] = json.loads(told.stdout)
        return found

    def inside(self, service: str, *command: str, seconds: float = 120, index: int = 1) -> str:
        """What a command prints in a service's container."""
        return self.compose("exec", "-T", "--index", str(index), service, *command, seconds=seconds).stdout

    def url(self, port: str) -> str:
        """Where a published port is."""
        return f"http://127.0.0.1:{self.ports[port]}"

    def get(self, port: str, path: str) -> Any:
        """JSON of a GET."""
        with urllib.request.urlopen(self.url(port) + path, timeout=30) as answer:
            return json.loads(answer.read())

    @property
    def kafka(self) -> str:
        """Where Kafka is for this process."""
        return f"127.0.0.1:{self.ports['KAFKA']}"


@cache
def _there(image: str) -> bool:
    """Whether an image is on this machine, or can be pulled; tried once."""
    for command in (["docker", "image", "inspect", image], ["docker", "pull", "--quiet", image]):
        if subprocess.run(command, capture_output=True, check=False, timeout=600).returncode == 0:
            return True
    return False


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """What ``condition`` says once it is true; fails with ``what`` after so many seconds."""
    deadline = time.monotonic() + seconds
    said: Any = None
    while time.monotonic() < deadline:
        try:
            said = condition()
            if said:
                return said
        except (OSError, ValueError, KeyError) as error:
            said = error
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s, at last {said!r}")
