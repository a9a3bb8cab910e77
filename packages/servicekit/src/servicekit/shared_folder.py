"""A folder in memory that the processes of one service share while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")
_LOCK = ".lock"


@contextlib.contextmanager
def shared_folder(prefix: str, place: Path | None = None) -> Iterator[Path]:
    """A fresh folder named ``prefix`` and something, removed at the end.

    It lies in memory where the system has a place for that, because writing to a mapped file of a disk may wait for the
    disk. Who holds one has its lock: one that a killed process left behind is removed by the next.
    """
    place = place or (MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir()))
    for left in place.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), (left / _LOCK).open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is in use
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        with (folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
