"""Partitions' stores on disk: RocksDB through rocksdict, all within one bound of memory."""

from __future__ import annotations

from pathlib import Path

from feedback.domain.store import Store


class Rocks:
    """The stores of one process under ``folder``; block cache and write buffers take ``memory_bytes`` in all."""

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        raise NotImplementedError

    def open(self, partition: int) -> Store:
        """The store of a partition, as its last commit left it; the one that is open already, if it is."""
        raise NotImplementedError

    def drop(self, partition: int) -> None:
        """Close a partition's store and delete it."""
        raise NotImplementedError

    def close(self, partition: int | None = None) -> None:
        """Close a partition's store, or all of them; what was committed stays on disk."""
        raise NotImplementedError
