"""An alert reaches the webhook that the user names, by a real Prometheus and a real Alertmanager as they are configured."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed_world import MODEL, running_world
from real_prometheus import CONFIG, running_prometheus, tool
from servicekit.broker import free_port

pytestmark = [pytest.mark.tools, pytest.mark.timeout(300)]


@contextmanager
def webhook() -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """Somebody's address, and what was posted there."""
    posted: queue.Queue[dict[str, Any]] = queue.Queue()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts", posted
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running_alertmanager(folder: Path, url: str) -> Iterator[str]:
    """Alertmanager with the committed configuration; it reads the address from a file, and does not wait to gather."""
    (folder / "webhook-url").write_text(url, encoding="utf-8")
    config = yaml.safe_load((CONFIG / "alertmanager.yml").read_text(encoding="utf-8"))
    config["receivers"][0]["webhook_configs"][0]["url_file"] = str(folder / "webhook-url")
    config["route"]["group_wait"] = "0s"
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("alertmanager"), f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'kept'}",
        f"--web.listen-address={address}", "--cluster.listen-address=", "--log.level=warn",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)


def test_drift_is_posted_to_the_webhook(tmp_path: Path) -> None:
    """The open alerts of both kinds arrive with model, urgency and runbook, and so does the heartbeat."""
    with (
        webhook() as (url, posted),
        running_alertmanager(tmp_path, url) as alertmanager,
        running_world() as targets,
        running_prometheus(tmp_path, targets, alertmanager),
    ):
        wanted, found = {"InputDrift", "ErrorDrift", "Heartbeat"}, dict[str, dict[str, Any]]()
        while not wanted <= found.keys():
            for alert in posted.get(timeout=90)["alerts"]:
                found[alert["labels"]["alertname"]] = alert
    drift = found["InputDrift"]
    assert drift["status"] == "firing"
    assert drift["labels"] == {
        "alertname": "InputDrift", "model": MODEL, "kind": "virtual", "severity": "ticket", "about": f"{MODEL} inputs",
    }  # fmt: skip
    assert drift["annotations"]["runbook_url"] == "docs/runbooks.md#inputdrift"
