"""A real Prometheus with the project's own configuration, asking given addresses instead of names, each second."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from servicekit.broker import free_port

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "prometheus"


def tool(name: str) -> str:
    """The path of one of ``make tools``; fails in one line where it is not there."""
    path = Path(os.environ.get("ATALAIA_TOOLS", ROOT / ".tools")) / name
    assert path.exists(), f"{path} is not there: make tools"
    return str(path)


class Prometheus:
    """Its HTTP API."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, path: str, **parameters: str) -> Any:
        """``data`` of an answer; raises ``AssertionError`` with Prometheus's own word where it is an error."""
        url = f"http://{self._address}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it reads its own log yet
                raise
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def series(self, expr: str) -> int:
        """How many series an expression has now; of a scalar 1."""
        data = self.get("/api/v1/query", query=expr)
        return 1 if data["resultType"] == "scalar" else len(data["result"])

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """What a condition says once it is true; fails at the deadline."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := condition():
                    return found
            except OSError:  # not up yet
                pass
            assert time.monotonic() < deadline, "not within the deadline"
            time.sleep(0.2)


@contextmanager
def running_prometheus(
    folder: Path,
    targets: Mapping[str, str] | Path,
    alertmanager: str | None = None,
    patience: float = 1,
) -> Iterator[Prometheus]:
    """Prometheus in ``folder``, with jobs and rules as committed, and alerts sent where they are wanted.

    ``targets``: addresses by job, for prometheus.yml, or the file that local.yml reads. They are asked every ``patience``
    seconds, which is also how long an answer may take; rules are computed each second.
    """
    name = "local.yml" if isinstance(targets, Path) else "prometheus.yml"
    config = yaml.safe_load((CONFIG / name).read_text(encoding="utf-8"))
    asks = f"{patience:g}s"
    config["global"] = {"scrape_interval": asks, "scrape_timeout": asks, "evaluation_interval": "1s"}
    config["rule_files"] = [str(CONFIG / each) for each in config["rule_files"]]
    config["alerting"] = {
        "alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
    }
    for job in config["scrape_configs"]:
        if isinstance(targets, Path):
            job["file_sd_configs"] = [{"files": [str(targets)]}]
        else:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus"), f"--config.file={written}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}", "--log.level=warn",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        prometheus = Prometheus(address)
        prometheus.until(lambda: prometheus.get("/api/v1/status/buildinfo"))
        yield prometheus
    finally:
        process.terminate()
        process.wait(30)
