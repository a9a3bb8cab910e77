"""The load generator, against a server whose every answer is known."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LOAD = Path(__file__).parents[2] / "bench" / "load.py"


class Server:
    """Answers a request after ``delay`` seconds with the status and the number of bytes its body asks for.

    Status 0 closes the connection instead. An answer goes out in two pieces, so that none is read in one.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay, self.got = delay, Counter[str]()
        self.lock = threading.Lock()
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a second piece waits
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while reader.readline():
                length = 0
                while (line := reader.readline().strip().lower()) != b"":
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = reader.read(length).decode()
                with self.lock:
                    self.got[body[:1]] += 1
                status, size = json.loads(body.lstrip("abc"))
                time.sleep(self.delay)
                if not status:
                    return
                content = b"x" * size
                whole = f"HTTP/1.1 {status} Any\r\nContent-Length: {size}\r\n\r\n".encode() + content
                connection.sendall(whole[:30])
                connection.sendall(whole[30:])


@pytest.fixture
def server() -> Iterator[Server]:
    """One that answers at once."""
    made = Server()
    yield made
    made.sock.close()


def start(path: Path, **spec: Any) -> subprocess.Popen[str]:
    """The load, under way."""
    path.write_text(json.dumps(spec), encoding="utf-8")
    return subprocess.Popen([sys.executable, str(LOAD), str(path)], stdout=subprocess.PIPE, text=True)


def found(running: subprocess.Popen[str]) -> dict[str, Any]:
    """What it found."""
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    result: dict[str, Any] = json.loads(out)
    return result


def asked(kind: str, status: int, size: int, weight: int = 1, padding: int = 0) -> dict[str, Any]:
    """Requests for one answer; ``padding`` makes them longer."""
    body = f"{kind[0]}[{status}, {size}{' ' * padding}]"
    return {"kind": kind, "path": "/", "bodies": [body], "weight": weight}


def test_each_kind_is_sent_in_its_share_and_its_answers_are_counted(tmp_path: Path, server: Server) -> None:
    """Four in five are of the heavier kind, and the server has had exactly what is counted."""
    requests = [asked("all right", 200, 50, weight=4), asked("bad", 422, 70)]
    result = found(start(tmp_path / "s", port=server.port, requests=requests, connections=5, seconds=1.5))
    sent = result["sent"]
    assert server.got == {"a": sent["all right"], "b": sent["bad"]}
    assert result["answered"] == {"all right": {"200": sent["all right"]}, "bad": {"422": sent["bad"]}}
    assert sent["bad"] > 20
    assert abs(sent["all right"] - 4 * sent["bad"]) <= 100  # a deck of a hundred is dealt to its end or not


def test_the_rate_and_the_latency_are_those_of_the_server(tmp_path: Path) -> None:
    """Four connections to a server that takes 20 ms: 200 a second at most, and by Little's law four under way."""
    server = Server(delay=0.02)
    requests = [asked("a", 200, 10)]
    result = found(
        start(tmp_path / "s", port=server.port, requests=requests, connections=4, seconds=3.0, warm_up=0.2)
    )
    assert 20 <= result["p50"] <= result["p99"]
    assert result["rate"] <= 200
    assert 2 < result["rate"] * result["p50"] / 1000 < 6
    assert result["rate"] < result["answered"]["a"]["200"]  # the warm-up counts as answered only
    assert result["load"] < 0.5


def test_large_requests_and_answers_pass_whole(tmp_path: Path, server: Server) -> None:
    """Megabytes that no socket takes at once are sent and captured to the last byte."""
    requests = [asked("a", 200, 3_000_000, padding=5_000_000)]
    capture = tmp_path / "answers"
    spec = {
        "port": server.port,
        "requests": requests,
        "connections": 2,
        "seconds": 0.5,
        "capture": str(capture),
    }
    result = found(start(tmp_path / "s", **spec))
    lines = capture.read_bytes().splitlines()
    assert len(lines) == result["sent"]["a"] == result["answered"]["a"]["200"]
    assert set(lines) == {b"200 " + b"x" * 3_000_000}


def test_a_closed_connection_is_no_answer_and_is_opened_again(tmp_path: Path, server: Server) -> None:
    """What the server hung up on has status 0; the others are answered all the same."""
    requests = [asked("a", 200, 10, weight=4), asked("b", 0, 0)]
    result = found(start(tmp_path / "s", port=server.port, requests=requests, connections=3, seconds=1.5))
    assert result["answered"] == {"a": {"200": result["sent"]["a"]}, "b": {"0": result["sent"]["b"]}}
    assert result["sent"]["b"] > 5


def test_told_to_end_it_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """After SIGTERM every request that was sent has its answer."""
    server = Server(delay=0.2)
    running = start(
        tmp_path / "s", port=server.port, requests=[asked("a", 200, 10)], connections=8, seconds=60
    )
    deadline = time.monotonic() + 30
    while server.got["a"] < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    result = found(running)
    assert server.got["a"] == result["sent"]["a"] == result["answered"]["a"]["200"]
    assert 0 < result["seconds"] < 30
