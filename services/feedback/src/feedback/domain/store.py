"""What a partition's join asks of its storage: three ordered tables of bytes, written atomically."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

Table = Literal["index", "rows", "labels"]
Changes = Mapping[Table, Mapping[bytes, bytes | None]]
Cut = tuple[Table, bytes, bytes]


class StoreLost(Exception):
    """The store cannot be read any more: drop it, and rebuild the state from the log."""


class Store(Protocol):
    """Ordered tables of one partition. Any call may raise :class:`StoreLost`."""

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of ``keys``, None where there is none; fastest where the keys are sorted."""
        ...

    def scan(self, table: Table, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys from ``start`` to before ``stop`` with their values, in order, as they were when it was called."""
        ...

    def write(self, changes: Changes, cuts: Iterable[Cut]) -> None:
        """In one step: delete each cut's keys from its start to before its end, then put, or delete where None."""
        ...
