"""Child processes: each has a log file, dies with its parent, and is reported with its log's end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from servicekit.errors import UserError
from servicekit.watchdog import die_with_parent

Tick = Callable[[str], None]


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


class Child:
    """One process, started on construction. Start it from the main thread: PDEATHSIG follows the thread."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        parent = os.getpid()
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop the children in order
                preexec_fn=lambda: die_with_parent(parent),
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def check(self) -> None:
        """Raise :class:`UserError` with the end of the log where the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise self.failure(f"ended early with code {code}")

    def failure(self, what: str) -> UserError:
        end = tail(self.log)
        return UserError(
            f"{self.name} {what}; its log {self.log} ends with:\n{end}" if end else f"{self.name} {what}"
        )

    def wait(self, seconds: float, tick: Tick = lambda _: None) -> None:
        """Wait for a command that is to end by itself; raise where it fails or is late."""
        deadline = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > deadline:
                self.stop()
                raise self.failure(f"did not finish within {seconds:.0f} s")
            tick(self.name)
            time.sleep(0.1)
        if self.process.returncode:
            raise self.failure(f"failed with code {self.process.returncode}")

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the process alone; it knows its own children."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def stop(self, seconds: float = 10) -> None:
        """SIGTERM, and where that is not heard SIGKILL to its whole group."""
        self.signal()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # and whatever it left behind
        self.process.wait(5)


def get(url: str, timeout: float = 2) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def wait_until_ready(
    waiting: Mapping[str, tuple[str, Child]], seconds: float, tick: Tick, watch: Callable[[], None]
) -> None:
    """Wait until each ``name: (url, child)`` answers 200; raise where a child ends first or time runs out."""
    left = dict(waiting)
    deadline = time.monotonic() + seconds
    last: dict[str, str] = {}
    while left:
        watch()
        for name, (url, child) in list(left.items()):
            child.check()
            status, body = get(url)
            if status == 200:
                del left[name]
            elif status:
                last[name] = f" (HTTP {status}: {body[:300].decode(errors='replace')})"
        tick("waiting for " + ", ".join(left) if left else "all ready")
        if left and time.monotonic() > deadline:
            name, (url, child) = next(iter(left.items()))
            raise child.failure(f"was not ready at {url} within {seconds:.0f} s{last.get(name, '')}")
        if left:
            time.sleep(0.2)


def python(*arguments: str) -> list[str]:
    """This Python with ``arguments``."""
    return [sys.executable, *arguments]
