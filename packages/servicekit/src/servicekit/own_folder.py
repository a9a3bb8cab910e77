"""A folder on disk for one process alone, where replicas of a service share a place (a volume of several containers)."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from itertools import count
from pathlib import Path


@contextlib.contextmanager
def own_folder(place: Path, name: str) -> Iterator[Path]:
    """The first of ``place/name``, ``place/name-1``, … that no process holds; made where it is not there.

    Held by a lock that ends with the process, so that whoever starts next takes over what is in it.
    """
    place.mkdir(parents=True, exist_ok=True)
    for number in count():
        folder = place / (f"{name}-{number}" if number else name)
        with (place / f".{folder.name}.lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            folder.mkdir(exist_ok=True)
            yield folder
            return
