"""Records that Kafka could not take, on this machine's disk, in order, until it can.

A spool is one SQLite file in WAL mode with ``synchronous=FULL``: what ``append`` has returned from survives the end of
the process and of the machine's power (https://sqlite.org/pragma.html#pragma_synchronous). A process locks the one it
uses; the lock goes with the process, and whoever comes next takes over file and content.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
from servicekit.errors import UserError

log = logging.getLogger(__name__)

_TABLES = [
    """CREATE TABLE IF NOT EXISTS record (
        number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, value BLOB NOT NULL, headers BLOB NOT NULL,
        version TEXT NOT NULL, rows INTEGER NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS set_aside AS SELECT *, '' AS why FROM record WHERE false",
    "CREATE TABLE IF NOT EXISTS probe (content BLOB)",
]
_PROBE_BYTES = 65_536


@dataclass(frozen=True)
class Record:
    """A Kafka record as it will be sent; which version's predictions it holds, and how many."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    version: str
    rows: int

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key) + len(self.value)


class SpoolFailed(RuntimeError):
    """The disk did not take a record: it is full, or gone."""


class Spool:
    """One file. Blocking, and used by one thread at a time."""

    def __init__(self, path: Path, lock: IO[bytes] | None = None) -> None:
        self.path, self._lock = path, lock
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            for table in _TABLES:
                self._db.execute(table)
            counted = "SELECT count(*), coalesce(sum(length(key) + length(value)), 0), coalesce(sum(rows), 0) FROM record"
            self.records: int
            self.bytes: int
            self.rows: int
            self.records, self.bytes, self.rows = self._db.execute(counted).fetchone()
        except sqlite3.Error as error:
            self._db.close()
            raise UserError(
                f"{path} cannot be used as a spool: {error}. It holds predictions that were answered and are not in Kafka "
                "yet: keep it, and move it away if the service is to start without them."
            ) from None

    def append(self, records: Sequence[Record]) -> list[int]:
        """Keep ``records`` behind those that are here; their numbers, which rise.

        All or none is kept; raises :class:`SpoolFailed` where the disk takes no more.
        """
        numbers = []
        with self._writing():
            for r in records:
                headers = msgspec.json.encode([(name, value.decode()) for name, value in r.headers])
                row = self._db.execute(
                    "INSERT INTO record (key, value, headers, version, rows) VALUES (?, ?, ?, ?, ?)",
                    (r.key, r.value, headers, r.version, r.rows),
                )
                numbers.append(int(row.lastrowid or 0))
        self.records += len(records)
        self.bytes += sum(r.size for r in records)
        self.rows += sum(r.rows for r in records)
        return numbers

    def head(self, records: int, size: int) -> list[tuple[int, Record]]:
        """The oldest with their numbers: at most ``records``, and no more than brings them to ``size`` bytes.

        Raises :class:`SpoolFailed` where the disk does not give them.
        """
        found: list[tuple[int, Record]] = []
        total = 0
        query = "SELECT number, key, value, headers, version, rows FROM record ORDER BY number LIMIT ?"
        try:
            with contextlib.closing(self._db.execute(query, (records,))) as rows:
                for number, key, value, headers, version, count in rows:
                    pairs = [(name, text.encode()) for name, text in msgspec.json.decode(headers)]
                    found.append((number, Record(key, value, pairs, version, count)))
                    total += found[-1][1].size
                    if total >= size:
                        break
        except sqlite3.Error as error:
            raise SpoolFailed(f"{self.path}: {error}") from error
        return found

    def probe(self) -> None:
        """Raise :class:`SpoolFailed` where the disk takes nothing."""
        with self._writing():
            self._db.execute("INSERT INTO probe VALUES (zeroblob(?))", (_PROBE_BYTES,))
        with self._writing():
            self._db.execute("DELETE FROM probe")

    def set_aside(self, number: int, record: Record, why: str) -> None:
        """Keep a record that Kafka will never take where it holds up nobody: in the table ``set_aside``."""
        with self._writing():
            self._db.execute("INSERT INTO set_aside SELECT *, ? FROM record WHERE number = ?", (why, number))
            self._db.execute("DELETE FROM record WHERE number = ?", (number,))
        self._gone([(number, record)])

    def drop(self, gone: Sequence[tuple[int, Record]]) -> None:
        """Forget records that Kafka has. An emptied spool gives its disk space back."""
        with self._writing():
            self._db.executemany("DELETE FROM record WHERE number = ?", [(number,) for number, _ in gone])
        self._gone(gone)
        if not self.records:
            with contextlib.suppress(sqlite3.Error):  # it is only space
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _gone(self, gone: Sequence[tuple[int, Record]]) -> None:
        self.records -= len(gone)
        self.bytes -= sum(r.size for _, r in gone)
        self.rows -= sum(r.rows for _, r in gone)

    def close(self) -> None:
        """Let go of the file; what is in it stays."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise SpoolFailed(f"{self.path}: {error}") from error


def open_spool(folder: Path) -> Spool:
    """The first spool in ``folder`` that no living process uses, with what a dead one may have left in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        slot = 0
        while True:
            lock = _locked(folder / f"{slot}.lock")
            if lock is not None:
                return Spool(folder / f"{slot}.sqlite", lock)
            slot += 1
    except OSError as error:
        raise UserError(
            f"The spool cannot be kept in {folder}: {error.strerror}. Set ATALAIA_DATA_DIR to a folder that can be written."
        ) from None


def adopt(folder: Path) -> Spool | None:
    """A spool that nobody uses although there are records in it: those of a worker that no longer starts.

    One that cannot be read is said so of, and left as it is.
    """
    for path in sorted(folder.glob("*.sqlite")):
        lock = _locked(path.with_suffix(".lock"))
        if lock is None:
            continue
        try:
            spool = Spool(path, lock)
        except UserError as error:
            lock.close()
            log.error("%s", error)
            continue
        if spool.records:
            return spool
        spool.close()
    return None


def _locked(path: Path) -> IO[bytes] | None:
    """The lock file, locked; None where another process (or another spool of this one) has it."""
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock
