"""Several workers: a supervisor binds the port, starts a process for each, and starts another for one that dies.

The workers are ordinary processes of the same command, not forks of a running one. They inherit the listening socket and
share the connections (:mod:`servicekit.listening`) and their metrics (:mod:`servicekit.exposition`); a model event reaches
each of them. One that is not ready leaves the connections to those that are.

- A worker that dies soon after its start is started anew after a pause, twice as long each time, up to half a minute.
- One that ends with code 2, which the user can mend, ends the service with its message, unless another is ready.
- SIGTERM or SIGINT goes to all; those that have not ended by ``PATIENCE_SECONDS`` are killed.
- Workers of a supervisor that was killed are killed by the kernel, so that the port is free for the next.

The supervisor imports none of what scores or publishes, to be small. With one worker there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.listening import NONE_TAKEN, UNREADY, Loads, SharedSocket, bind
from servicekit.shared_folder import shared_folder
from servicekit.watchdog import die_with_parent

USER_ERROR = 2
PATIENCE_SECONDS = 25.0  # a second of goodbye, ten for requests under way, ten to flush
SHORT_LIFE_SECONDS = 30.0
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
_FLAG = "--worker"
log = logging.getLogger(__name__)


class Supervisor:
    """Keeps ``settings.workers`` workers on ``sock``; ``folder`` is what they share."""

    def __init__(self, settings: Settings, sock: socket.socket, folder: Path) -> None:
        self._workers, self._sock, self._folder = settings.workers, sock, folder
        self._loads = Loads(folder / "loads", settings.workers)
        self._running: dict[int, Process] = {}
        self._error: UserError | None = None
        self.stop = asyncio.Event()

    async def run(self) -> int:
        """Until ``stop`` is set; 0, or 1 where a worker did not end well. Raises a worker's :class:`UserError`."""
        keepers = [asyncio.create_task(self._keep(number)) for number in range(self._workers)]
        await asyncio.wait(
            [*keepers, asyncio.create_task(self.stop.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        self.stop.set()
        self._sock.close()  # the workers' last one to close it gives the port up
        for process in self._running.values():
            _send(process, signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=PATIENCE_SECONDS)
        if late:
            log.error("%d workers did not end within %.0f s and are killed", len(late), PATIENCE_SECONDS)
        for process in self._running.values():
            _send(process, signal.SIGKILL)
        codes = await asyncio.gather(*keepers)
        if self._error is not None:
            raise self._error
        return 0 if all(code in (0, -signal.SIGTERM) for code in codes) else 1

    async def _keep(self, number: int) -> int:
        """Have worker ``number`` running; how the one ended that was told to, 0 where none ran."""
        clock = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            begun = clock()
            try:
                process = await self._start(number)
            except OSError as error:
                code, reason = 1, f"could not be started ({error})"
            else:
                code = await process.wait()
                reason = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            self._running.pop(number, None)
            self._loads.set(number, NONE_TAKEN)
            mark_process_dead(number, str(self._folder))  # type: ignore[no-untyped-call]
            if self.stop.is_set():
                return code
            if code == USER_ERROR:
                with contextlib.suppress(FileNotFoundError):
                    reason = self._said(number).read_text(encoding="utf-8")
                if self._loads.least() >= UNREADY:
                    self._error = UserError(reason)
                    return code
            short = clock() - begun < SHORT_LIFE_SECONDS
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause or PAUSE_SECONDS) if short else 0.0
            log.error("worker %d %s; another starts in %.1f s", number, reason, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), pause)
                return 0

    def _said(self, number: int) -> Path:
        return self._folder / f"error-{number}"

    async def _start(self, number: int) -> Process:
        self._said(number).unlink(missing_ok=True)
        process = self._running[number] = await asyncio.create_subprocess_exec(
            sys.executable,
            *sys.orig_argv[1:],
            *(
                _FLAG,
                str(number),
                str(self._workers),
                str(self._sock.fileno()),
                str(self._folder),
                str(os.getpid()),
            ),
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(self._folder)},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[self._sock.fileno()],
        )
        log.info("worker %d is process %d", number, process.pid)
        if self.stop.is_set():  # meanwhile
            _send(process, signal.SIGTERM)
        return process


def _send(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def supervise(settings: Settings) -> int:
    """Run the workers until SIGTERM or SIGINT; the exit code. Raises :class:`UserError` as a worker would."""
    with bind(settings.host, settings.predictor_port) as sock, shared_folder("atalaia-predictor-") as folder:
        supervisor = Supervisor(settings, sock, folder)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop.set)
        return await supervisor.run()


class Worker:
    """This process as one of several, by the arguments it was started with; made before the metrics are."""

    def __init__(self, arguments: Sequence[str]) -> None:
        number, workers, sock, folder, parent = arguments
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor
        die_with_parent(int(parent), signal.SIGKILL)
        assert "servicekit.metrics" not in sys.modules, "the metrics were made under the process's number"
        values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
        self.number, self._folder = int(number), Path(folder)
        loads = Loads(self._folder / "loads", int(workers))
        self.sock = SharedSocket(socket.socket(fileno=int(sock)), loads, self.number)

    def says(self, error: UserError) -> None:
        """Leave the message to the supervisor, which says it once."""
        (self._folder / f"error-{self.number}").write_text(str(error), encoding="utf-8")


def worker_of(arguments: Sequence[str]) -> Worker | None:
    """The worker that a process with these arguments is, if it is one."""
    return Worker(arguments[1:]) if arguments and arguments[0] == _FLAG else None
