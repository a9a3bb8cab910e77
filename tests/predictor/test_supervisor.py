"""The supervisor alone; its workers are scripts of a few lines."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from pathlib import Path

import pytest
from predictor import workers
from predictor.workers import Supervisor
from servicekit.broker import free_port
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.listening import UNREADY, bind

ARGUMENTS = "import os, signal, sys, time\n_, number, _, _, folder, _ = sys.argv[1:]\n"


def supervisor(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, n: int = 1) -> Supervisor:
    """One whose workers are ``script``."""
    path = folder / "worker.py"
    path.write_text(ARGUMENTS + script)
    monkeypatch.setattr(sys, "orig_argv", ["python", str(path)])
    return Supervisor(Settings(workers=n), bind("127.0.0.1", free_port()), folder)


async def until_there(path: Path, n: int = 1) -> None:
    """Wait for a file of so many lines."""
    deadline = time.monotonic() + 20
    while not (path.exists() and len(path.read_text().splitlines()) >= n):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_worker_that_dies_at_once_is_started_after_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The pause doubles up to its bound; a worker that has lived a while has none."""
    monkeypatch.setattr(workers, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(workers, "LONGEST_PAUSE_SECONDS", 0.3)
    script = "open(folder + '/starts', 'a').write('x\\n')\nos.kill(os.getpid(), signal.SIGKILL)"
    its = supervisor(tmp_path, monkeypatch, script)
    running = asyncio.create_task(its.run())
    await until_there(tmp_path / "starts", 5)
    its.stop.set()
    await running
    pauses = re.findall(r"worker 0 was killed by signal 9; another starts in (\S+) s", caplog.text)
    assert pauses[:4] == ["0.1", "0.2", "0.3", "0.3"]
    caplog.clear()
    monkeypatch.setattr(workers, "SHORT_LIFE_SECONDS", 0.0)
    (tmp_path / "starts").unlink()
    its = supervisor(tmp_path, monkeypatch, script)
    running = asyncio.create_task(its.run())
    await until_there(tmp_path / "starts", 3)
    its.stop.set()
    await running
    assert set(re.findall(r"another starts in (\S+) s", caplog.text)) == {"0.0"}


async def test_what_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker deaf to SIGTERM is killed after the patience, and the code says that not all ended well."""
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0.3)
    script = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN if number == '0' else lambda *_: sys.exit(0))\n"
        "open(folder + '/pids', 'a').write(f'{os.getpid()}\\n')\nwhile True: time.sleep(0.01)"
    )
    its = supervisor(tmp_path, monkeypatch, script, 2)
    running = asyncio.create_task(its.run())
    await until_there(tmp_path / "pids", 2)
    its.stop.set()
    began = time.monotonic()
    assert await asyncio.wait_for(running, 10) == 1
    assert time.monotonic() - began >= 0.3
    assert not any(Path(f"/proc/{pid}").exists() for pid in (tmp_path / "pids").read_text().split())


async def test_a_users_error_ends_all_unless_another_worker_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start it is the service's end; later it is a worker's that is tried again, with its message."""
    script = (
        "if number == '0':\n"
        "    open(folder + '/starts', 'a').write('x\\n'); open(folder + '/error-0', 'w').write('Mend it.'); sys.exit(2)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nwhile True: time.sleep(0.01)"
    )
    its = supervisor(tmp_path, monkeypatch, script, 2)
    its._loads.set(1, UNREADY)
    with pytest.raises(UserError, match=r"^Mend it\.$"):
        await asyncio.wait_for(its.run(), 20)
    monkeypatch.setattr(workers, "PAUSE_SECONDS", 0.01)
    (tmp_path / "starts").unlink()
    (tmp_path / "loads").unlink()
    its = supervisor(tmp_path, monkeypatch, script, 2)
    its._loads.set(1, 5)
    running = asyncio.create_task(its.run())
    await until_there(tmp_path / "starts", 3)
    its.stop.set()
    await asyncio.wait_for(running, 10)
    assert "worker 0 Mend it.; another starts in" in caplog.text


async def test_the_port_is_given_up_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once told to stop, the supervisor holds the socket no longer: who calls is refused, and does not wait."""
    its = supervisor(tmp_path, monkeypatch, "open(folder + '/starts', 'a').write('x\\n')\ntime.sleep(100)")
    address = its._sock.getsockname()
    running = asyncio.create_task(its.run())
    await until_there(tmp_path / "starts")
    socket.create_connection(address).close()
    its.stop.set()
    assert await asyncio.wait_for(running, 10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
