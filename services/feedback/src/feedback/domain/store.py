"""What a partition's join asks of its storage: three ordered tables of bytes, written atomically.

:class:`Overlay` keeps what was changed since the last write in memory, so that a crash finds the last write exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, get_args

Table = Literal["index", "rows", "labels", "panes"]
TABLES: tuple[Table, ...] = get_args(Table)
Changes = Mapping[Table, Mapping[bytes, bytes | None]]
Cut = tuple[Table, bytes, bytes]
END = b"\xff" * 9  # behind every key: a key begins with a letter or with an offset, which is never negative


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


class MemoryStore:
    """A :class:`Store` that ends with the process.

    >>> store = MemoryStore()
    >>> store.write({"rows": {b"a": b"1", b"b": b"2", b"c": b"3"}}, [])
    >>> store.write({"rows": {b"c": None}}, [("rows", b"a", b"b")])
    >>> store.get_many("rows", [b"a", b"b"]), list(store.scan("rows", b"", END))
    ([None, b'2'], [(b'b', b'2')])
    """

    def __init__(self) -> None:
        self._tables: dict[Table, dict[bytes, bytes]] = {table: {} for table in TABLES}

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """As :meth:`Store.get_many`."""
        return list(map(self._tables[table].get, keys))

    def scan(self, table: Table, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """As :meth:`Store.scan`."""
        return iter(sorted(item for item in self._tables[table].items() if start <= item[0] < stop))

    def write(self, changes: Changes, cuts: Iterable[Cut]) -> None:
        """As :meth:`Store.write`."""
        for table, start, stop in cuts:
            for key in [key for key in self._tables[table] if start <= key < stop]:
                del self._tables[table][key]
        for table, values in changes.items():
            for key, value in values.items():
                if value is None:
                    self._tables[table].pop(key, None)
                else:
                    self._tables[table][key] = value


class Overlay:
    """A store with changes that it does not have yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: dict[Table, dict[bytes, bytes | None]] = {table: {} for table in TABLES}
        self._cuts: list[Cut] = []
        self._sorted: dict[Table, list[bytes]] = {}

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value of one key."""
        return self.get_many(table, [key])[0]

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of ``keys`` as the next write leaves them."""
        found = self._store.get_many(table, keys) if keys else []
        for cut, start, stop in self._cuts:
            if cut == table:
                found = [
                    None if start <= key < stop else value for key, value in zip(keys, found, strict=True)
                ]
        if changes := self._changes[table]:
            found = [changes.get(key, value) for key, value in zip(keys, found, strict=True)]
        return found

    def scan(self, table: Table, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values as the next write leaves them; change nothing of the table meanwhile."""
        cuts = [(a, b) for cut, a, b in self._cuts if cut == table]
        changes = self._changes[table]
        ours = iter(self._changed(table, start, stop))
        mine = next(ours, None)
        for key, value in self._store.scan(table, start, stop):
            while mine is not None and mine < key:
                if (changed := changes[mine]) is not None:
                    yield mine, changed
                mine = next(ours, None)
            if key not in changes and not any(a <= key < b for a, b in cuts):
                yield key, value
        while mine is not None:
            if (changed := changes[mine]) is not None:
                yield mine, changed
            mine = next(ours, None)

    def put(self, table: Table, values: Mapping[bytes, bytes | None]) -> None:
        """Put values by key, or delete where they are None."""
        if values:
            self._changes[table].update(values)
            self._sorted.pop(table, None)

    def cut(self, table: Table, start: bytes, stop: bytes) -> None:
        """Delete the keys from ``start`` to before ``stop``."""
        if start < stop:
            changes = self._changes[table]
            for key in self._changed(table, start, stop):
                del changes[key]
            self._sorted.pop(table, None)
            self._cuts.append((table, start, stop))

    def clear(self) -> None:
        """Delete everything."""
        for table in TABLES:
            self.cut(table, b"", END)

    def write(self) -> None:
        """Write all changes to the store in one step."""
        self._store.write(self._changes, self._cuts)
        self._changes = {table: {} for table in TABLES}
        self._cuts, self._sorted = [], {}

    def _changed(self, table: Table, start: bytes, stop: bytes) -> list[bytes]:
        keys = self._sorted.get(table)
        if keys is None:
            keys = self._sorted[table] = sorted(self._changes[table])
        return keys[bisect_left(keys, start) : bisect_left(keys, stop)]
