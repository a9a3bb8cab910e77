"""The spool on disk: in order, bounded by who uses it, and there after whatever happens."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from predictor.spool import Record, Spool, SpoolFailed, adopt, open_spool
from servicekit.errors import UserError


def record(n: int, size: int = 10) -> Record:
    """A record that says its number."""
    headers = [("ce_id", str(n).encode()), ("ce_type", b"x")]
    return Record(f"key-{n}".encode(), str(n).encode().ljust(size, b"."), headers, "7", n + 1)


def test_what_goes_in_comes_out_in_order_and_whole(tmp_path: Path) -> None:
    """Key, value, headers, version and rows, oldest first, across a restart."""
    spool = open_spool(tmp_path)
    given = [record(n) for n in range(5)]
    spool.append(given[:2])
    spool.append(given[2:])
    spool.close()
    again = open_spool(tmp_path)
    assert again.path == spool.path
    assert [r for _, r in again.head(100, 10**9)] == given
    assert (again.records, again.rows, again.bytes) == (5, 15, sum(r.size for r in given))


def test_a_head_is_bounded_by_records_and_by_bytes(tmp_path: Path) -> None:
    """So replaying a large spool takes little memory; one record is always given."""
    spool = open_spool(tmp_path)
    spool.append([record(n, 1_000) for n in range(5)])
    assert len(spool.head(3, 10**9)) == 3
    assert len(spool.head(100, 2_500)) == 3
    assert len(spool.head(100, 1)) == 1


def test_what_is_dropped_is_gone_and_its_space_too(tmp_path: Path) -> None:
    """Numbers are not given twice, and an empty spool is small."""
    spool = open_spool(tmp_path)
    spool.append([record(n, 100_000) for n in range(50)])
    full = sum(p.stat().st_size for p in tmp_path.glob("*.sqlite*"))
    head = spool.head(49, 10**9)
    spool.drop(head)
    assert [r for _, r in spool.head(9, 10**9)] == [record(49, 100_000)]
    spool.drop(spool.head(9, 10**9))
    assert (spool.records, spool.bytes, spool.rows) == (0, 0, 0)
    assert sum(p.stat().st_size for p in tmp_path.glob("*.sqlite*")) < full / 50
    (number,) = spool.append([record(1)])
    assert number > head[-1][0]


def test_a_record_that_was_taken_outlives_the_process(tmp_path: Path) -> None:
    """Killed right after ``append`` has returned: the next process has it, and the lock."""
    program = (
        "import sys; sys.path[:0] = sys.argv[2].split(':')\n"
        "from pathlib import Path; from predictor.spool import *\n"
        "spool = open_spool(Path(sys.argv[1]))\n"
        "spool.append([Record(b'k', b'v', [('ce_id', b'1')], '7', 1)])\n"
        "print('taken', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), ":".join(sys.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"taken\n"
    beside = open_spool(tmp_path)
    assert beside.records == 0, "a living process keeps its own"
    assert adopt(tmp_path) is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    found = adopt(tmp_path)
    assert found is not None
    assert [r.value for _, r in found.head(9, 9)] == [b"v"]


def test_a_disk_that_takes_no_more_keeps_what_it_has(tmp_path: Path) -> None:
    """All of an ``append`` is kept, or none of it and an error."""
    spool = open_spool(tmp_path)
    spool.append([record(1)])
    (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
    spool._db.execute(f"PRAGMA max_page_count = {pages + 2}")  # as a full disk: SQLITE_FULL
    with pytest.raises(SpoolFailed, match="full"):
        spool.append([record(2), record(3, 100_000)])
    assert [r for _, r in spool.head(9, 10**9)] == [record(1)]
    assert spool.records == 1
    spool.append([record(4)])
    assert spool.records == 2


def test_a_file_that_is_no_spool_is_named(tmp_path: Path) -> None:
    """It is neither overwritten nor a stack trace."""
    (tmp_path / "0.sqlite").write_bytes(b"something else" * 1000)
    with pytest.raises(UserError, match=r"0\.sqlite cannot be used as a spool"):
        open_spool(tmp_path)
    assert (tmp_path / "0.sqlite").read_bytes().startswith(b"something else")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The message says which setting to change."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="ATALAIA_DATA_DIR"):
        open_spool(tmp_path / "file" / "spool")


def test_the_file_syncs_each_transaction(tmp_path: Path) -> None:
    """``synchronous=FULL``: what was answered outlives a power failure."""
    spool = Spool(tmp_path / "s.sqlite")
    assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert sqlite3.threadsafety  # the log uses it from one thread at a time, not always the same
