"""Partitions' stores on disk: RocksDB through rocksdict, all within one bound of memory.

A store is a cache of what the log says, and Kafka knows how far it may be believed. So nothing is synced: a process that
is killed loses nothing, as its log of writes is in the system's page cache, and a machine that loses power loses the
last commits, each as a whole. What is then not consistent any more, RocksDB says when it is opened: it is deleted, and
its owner rebuilds it from the log. Reads are checked too, block by block.

Block cache and write buffers of all partitions share one bound: write buffers take at most half of it, and what they
take is charged to the cache. Indexes and filters are in the cache like data, so the number of rows costs nothing beside.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from weakref import WeakSet

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Env,
    Options,
    Rdict,
    RdictIter,
    WriteBatch,
    WriteBufferManager,
)

from feedback.domain.store import TABLES, Changes, Cut, StoreLost, Table

log = logging.getLogger(__name__)
_MIB = 2**20
_FILES = 64  # that a partition keeps open
# How RocksDB begins to say that it cannot read a store. Other errors are of the disk, or of who else has it.
_LOST = ("Corruption", "Invalid argument", "Not implemented", "IO error: No such file")


class RocksStore:
    """A :class:`feedback.domain.store.Store` on disk."""

    def __init__(self, path: Path, options: dict[Table, Options]) -> None:
        self._db = Rdict(str(path), options["index"], {t: options[t] for t in TABLES if t != "index"})
        names = {t: "default" if t == "index" else t for t in TABLES}
        self._tables = {t: self._db.get_column_family(name) for t, name in names.items()}
        self._scans: WeakSet[Generator[tuple[bytes, bytes], None, None]] = WeakSet()
        self._handles = {t: self._db.get_column_family_handle(name) for t, name in names.items()}

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """As :meth:`feedback.domain.store.Store.get_many`."""
        try:
            return self._tables[table].get(keys)  # type: ignore[arg-type,return-value]
        except Exception as error:
            raise _lost(error) from error

    def scan(self, table: Table, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """As :meth:`feedback.domain.store.Store.scan`."""
        scan = _scan(self._tables[table].iter(), start, stop)
        self._scans.add(scan)
        return scan

    def write(self, changes: Changes, cuts: Iterable[Cut]) -> None:
        """As :meth:`feedback.domain.store.Store.write`."""
        batch = WriteBatch(raw_mode=True)
        for table, start, stop in cuts:
            batch.delete_range(start, stop, self._handles[table])
        put, delete = batch.put, batch.delete
        for table, values in changes.items():
            handle = self._handles[table]
            for key, value in values.items():
                if value is None:
                    delete(key, handle)
                else:
                    put(key, value, handle)
        try:
            self._db.write(batch)
        except Exception as error:
            raise _lost(error) from error

    def flush(self) -> None:
        """Bring what is in memory to the tables' files, which happens by itself when there is enough of it."""
        for table in self._tables.values():
            table.flush()

    def close(self) -> None:
        """Let go of the files, which every handle would keep, and every scan that is not over."""
        for scan in list(self._scans):
            scan.close()
        for table in self._tables.values():
            table.close()
        self._handles.clear()
        self._db.close()


class Rocks:
    """The stores of one process under ``folder``; block cache and write buffers take ``memory_bytes`` in all."""

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self._folder = folder
        self._stores: dict[int, RocksStore] = {}
        cache = Cache(memory_bytes)
        buffers = WriteBufferManager.new_write_buffer_manager_with_cache(memory_bytes // 2, False, cache)
        env = Env()
        env.set_background_threads(2)
        self._options = {table: _options(table, cache, buffers, env, memory_bytes) for table in TABLES}

    def open(self, partition: int) -> RocksStore:
        """The store of a partition, as its last commit left it; the one that is open already, if it is.

        One that RocksDB cannot read is deleted, and begins empty.
        """
        if partition not in self._stores:
            path = self._path(partition)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                store = RocksStore(path, self._options)
            except Exception as error:
                if not isinstance(_lost(error), StoreLost):
                    raise  # the disk is full, or another process has it: deleting would make it worse
                log.warning("the store of partition %s cannot be read, and begins anew: %s", partition, error)
                shutil.rmtree(path)
                store = RocksStore(path, self._options)
            self._stores[partition] = store
        return self._stores[partition]

    def drop(self, partition: int) -> None:
        """Close a partition's store and delete it."""
        self.close(partition)
        shutil.rmtree(self._path(partition), ignore_errors=True)

    def close(self, partition: int | None = None) -> None:
        """Close a partition's store, or all of them; what was committed stays on disk."""
        for number in [partition] if partition is not None else list(self._stores):
            if store := self._stores.pop(number, None):
                store.close()

    def _path(self, partition: int) -> Path:
        return self._folder / f"partition-{partition}"


def _options(table: Table, cache: Cache, buffers: WriteBufferManager, env: Env, memory_bytes: int) -> Options:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(False)
    if table != "rows":  # of rows only those are looked for that are there
        blocks.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_env(env)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_manager(buffers)
    options.set_write_buffer_size(max(_MIB, memory_bytes // 16))
    if table == "labels":  # most that are looked for are not there, nor in what is still in memory
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_arena_block_size(64 * 2**10)  # 48 tables of 12 partitions hold at least as much each
    options.set_max_total_wal_size(max(2 * _MIB, memory_bytes // 4))
    options.set_max_background_jobs(2)
    options.set_max_open_files(_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(_MIB)
    return options


def _scan(items: RdictIter, start: bytes, stop: bytes) -> Generator[tuple[bytes, bytes], None, None]:
    """Items of a snapshot. It ends where RocksDB cannot read on, and only then says why."""
    items.seek(start)
    while items.valid():
        key = items.key()
        if key >= stop:
            return
        yield key, items.value()
        items.next()
    try:
        items.status()
    except Exception as error:
        raise _lost(error) from error


def _lost(error: Exception) -> Exception:
    return StoreLost(str(error)) if str(error).startswith(_LOST) else error
