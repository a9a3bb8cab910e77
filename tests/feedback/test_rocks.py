"""Stores on disk keep what was committed, say when they cannot, and take no more memory than they are given."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts.codec import prediction_id
from contracts.events import GroundTruthReceived, PredictionsMade
from feedback.domain.partition_join import PartitionJoin
from feedback.domain.store import END, TABLES, Changes, Cut, MemoryStore, Overlay, StoreLost, Table
from feedback.rocks import Rocks
from health_checks import WITH_FIXTURE
from hypothesis import given, settings
from hypothesis import strategies as st

MEMORY = 2**24
HERE = Path(__file__).parent
IMPORTS = [str(HERE), str(HERE.parent / "helpers")]  # of a process that is given this module
HORIZON = 1_000_000


@pytest.fixture
def rocks(tmp_path: Path) -> Iterator[Rocks]:
    """Stores of a process."""
    rocks = Rocks(tmp_path, MEMORY)
    yield rocks
    rocks.close()


def made(number: int, rows: int = 100) -> PredictionsMade:
    """A batch of many rows, one a millisecond."""
    return PredictionsMade(
        batch_id=f"{number:032x}",
        model="m",
        version="1",
        event_time=[number * rows + i for i in range(rows)],
        features={f"f{k}": [k + i / 7 for i in range(rows)] for k in range(11)},
        predictions=["yes"] * rows,
        probabilities={"no": [0.25] * rows, "yes": [0.75] * rows},
    )


def labels(numbers: range, row: int) -> GroundTruthReceived:
    """A label for one row of each of some batches."""
    return GroundTruthReceived(
        upload_id="u",
        prediction_id=[prediction_id(f"{n:032x}", row) for n in numbers],
        truth=["no"] * len(numbers),
        label_time=[n * 100 + row + 5 for n in numbers],
    )


keys = st.binary(min_size=1, max_size=2).filter(lambda key: key < END)
tables = st.sampled_from(TABLES)
changes = st.dictionaries(tables, st.dictionaries(keys, st.none() | st.binary(max_size=2), max_size=6))
cuts = st.lists(st.tuples(tables, keys, keys).filter(lambda cut: cut[1] < cut[2]), max_size=3)


@settings(max_examples=30, deadline=None, suppress_health_check=WITH_FIXTURE)
@given(st.lists(st.tuples(changes, cuts), max_size=6), keys, keys)
def test_the_one_on_disk_does_what_the_one_in_memory_does(
    rocks: Rocks, writes: list[tuple[Changes, list[Cut]]], start: bytes, stop: bytes
) -> None:
    """For any writes and cuts, keys and scans give the same, also after it was closed."""
    rocks.drop(0)
    memory, disk = MemoryStore(), rocks.open(0)
    for changed, cut in writes:
        memory.write(changed, cut)
        disk.write(changed, cut)
    for _ in range(2):
        for table in TABLES:
            everything = dict(memory.scan(table, b"", END))
            assert dict(disk.scan(table, b"", END)) == everything
            assert list(disk.scan(table, start, stop)) == list(memory.scan(table, start, stop))
            asked = [*everything, start, stop]
            assert disk.get_many(table, asked) == memory.get_many(table, asked)
        rocks.close(0)
        disk = rocks.open(0)


@settings(max_examples=100, deadline=None)
@given(changes, st.lists(st.one_of(changes, cuts), max_size=6), tables, keys, keys)
def test_an_overlay_says_what_its_store_will(
    first: Changes, steps: list[Changes | list[Cut]], table: Table, start: bytes, stop: bytes
) -> None:
    """Keys and scans are the same before and after changes and cuts are written, and the store's own until then."""
    store = MemoryStore()
    store.write(first, [])
    overlay = Overlay(store)
    before = list(store.scan(table, b"", END))
    for step in steps:
        if isinstance(step, list):
            for cut in step:
                overlay.cut(*cut)
        else:
            for changed, values in step.items():
                overlay.put(changed, values)
    said = list(overlay.scan(table, start, stop)), overlay.get_many(table, [start, stop])
    assert list(store.scan(table, b"", END)) == before
    overlay.write()
    assert (list(store.scan(table, start, stop)), store.get_many(table, [start, stop])) == said
    assert (list(overlay.scan(table, start, stop)), overlay.get_many(table, [start, stop])) == said


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_rocks import HORIZON, MEMORY, PartitionJoin, Rocks, labels, made
join = PartitionJoin(Rocks(Path(sys.argv[1]), MEMORY).open(0), HORIZON)
join.predict([(n, made(n), 10_000) for n in range(50)])
join.label([(0, labels(range(50), 7))])
join.commit(join.positions)
join.predict([(50, made(50), 10_000)])
join.label([(1, labels(range(51), 8))])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_what_it_had_not_committed_and_nothing_else(tmp_path: Path) -> None:
    """After SIGKILL, without any sync, the last commit is there exactly, and the process's lock is not."""
    command = [sys.executable, "-c", _KILLED, str(tmp_path), *IMPORTS]
    killed = subprocess.run(command, check=False, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    rocks = Rocks(tmp_path, MEMORY)
    join = PartitionJoin(rocks.open(0), HORIZON)
    assert join.positions == {"predictions": 50, "ground-truth": 1}
    assert (join.counts.predicted, join.counts.joined) == (5_000, 50)
    assert join.state(prediction_id(f"{3:032x}", 7))["state"] == "joined"
    assert join.state(prediction_id(f"{3:032x}", 8))["state"] == "pending"
    rocks.close()


def fill(folder: Path) -> None:
    """A partition with several files on disk, and a part of it only in the log of writes."""
    rocks = Rocks(folder, MEMORY)
    join = PartitionJoin(rocks.open(0), HORIZON)
    for start in range(0, 200, 20):
        join.predict([(n, made(n), 10_000) for n in range(start, start + 20)])
        join.label([(start, labels(range(start, start + 20), 7))])
        join.commit(join.positions)
        if start < 160:
            rocks.open(0).flush()
    rocks.close()


def halve(content: bytes) -> bytes:
    return content[: len(content) // 2]


def spoil(content: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in content)


def spoil_a_part(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + spoil(content[third : third + 100]) + content[third + 100 :]


@pytest.mark.parametrize("damage", [halve, spoil, spoil_a_part, None])
@pytest.mark.parametrize("files", ["CURRENT", "MANIFEST-*", "*.sst", "*.log"])
def test_a_damaged_store_is_built_anew_from_the_log(
    files: str, damage: Callable[[bytes], bytes] | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever files are lost or spoilt: it opens, or is deleted with one line in the log, or says that it is lost when
    it is read; and who goes on from its positions ends with the rows of an undamaged one."""
    fill(tmp_path)
    found = sorted((tmp_path / "partition-0").glob(files))
    assert found
    for path in found:
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))
    rocks = Rocks(tmp_path, MEMORY)

    def catch_up() -> PartitionJoin:
        join = PartitionJoin(rocks.open(0), HORIZON)
        positions = join.positions
        join.predict([(n, made(n), 10_000) for n in range(positions["predictions"], 200)])
        starts = [start for start in range(0, 200, 20) if start >= positions["ground-truth"]]
        join.label([(start, labels(range(start, start + 20), 7)) for start in starts])
        join.label([(200, labels(range(200), 8)), (201, labels(range(200), 7))])
        return join

    try:
        join = catch_up()
    except StoreLost:
        rocks.drop(0)
        join = catch_up()
    assert (join.counts.predicted, join.counts.joined, join.counts.duplicates) == (20_000, 400, 200)
    assert len(caplog.records) <= 1
    rocks.close()


def test_a_block_that_cannot_be_read_loses_the_store(tmp_path: Path) -> None:
    """Keys and scans that meet it say so; neither passes over what it cannot read."""
    rocks = Rocks(tmp_path, MEMORY)
    values: dict[bytes, bytes | None] = {b"%06d" % n: bytes([n % 251]) * n for n in range(2_000)}
    rocks.open(0).write({"index": values}, [])
    rocks.open(0).flush()
    rocks.close()
    path = max((tmp_path / "partition-0").glob("*.sst"), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    rocks = Rocks(tmp_path, MEMORY)
    store = rocks.open(0)
    with pytest.raises(StoreLost):
        store.get_many("index", list(values))
    with pytest.raises(StoreLost):
        list(store.scan("index", b"", END))
    rocks.drop(0)
    assert list(rocks.open(0).scan("index", b"", END)) == []
    rocks.close()


def test_a_scan_that_is_not_over_keeps_no_store_open(rocks: Rocks) -> None:
    """A partition can be dropped in the middle of one, and opened again."""
    rocks.open(0).write({"index": {b"a": b"1", b"b": b"2"}}, [])
    scans = [rocks.open(0).scan("index", b"", END) for _ in range(2)]
    assert next(scans[0]) == (b"a", b"1")
    rocks.drop(0)
    assert list(rocks.open(0).scan("index", b"", END)) == []
    assert list(scans[0]) == []


def test_what_another_process_holds_is_left_alone(rocks: Rocks, tmp_path: Path) -> None:
    """A folder that is in use is an error, never thrown away."""
    rocks.open(0).write({"index": {b"a": b"1"}}, [])
    with pytest.raises(Exception, match="lock"):
        Rocks(tmp_path, MEMORY).open(0)
    assert rocks.open(0).get_many("index", [b"a"]) == [b"1"]


def test_a_dropped_partition_begins_empty(rocks: Rocks, tmp_path: Path) -> None:
    """Dropping deletes one partition's folder and leaves the others."""
    for partition in (0, 1):
        rocks.open(partition).write({"index": {b"a": b"1"}}, [])
    rocks.drop(0)
    assert [path.name for path in tmp_path.iterdir()] == ["partition-1"]
    assert rocks.open(0).get_many("index", [b"a"]) == [None]
    assert rocks.open(1).get_many("index", [b"a"]) == [b"1"]


_PENDING = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_rocks import HORIZON, MEMORY, PartitionJoin, Rocks, labels, made
join = PartitionJoin(Rocks(Path(sys.argv[1]), MEMORY).open(0), HORIZON)
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
for batches in (2_000, 6_000):
    for start in range(join.positions["predictions"], batches, 100):
        join.predict([(n, made(n), 10_000) for n in range(start, start + 100)])
        join.label([(start, labels(range(start, start + 100), 7))])
        join.commit(join.positions)
    print(join.counts.pending, resident())
"""


def test_memory_does_not_grow_with_what_is_pending(tmp_path: Path) -> None:
    """400,000 more pending rows, 50 MB of them, add less than 15 MB to a process that was given 16 MiB."""
    command = [sys.executable, "-c", _PENDING, str(tmp_path), *IMPORTS]
    said = subprocess.run(command, check=True, capture_output=True, timeout=280).stdout.split()
    pending, resident = [int(n) for n in said[::2]], [int(n) for n in said[1::2]]
    assert pending == [198_000, 594_000]
    assert resident[1] - resident[0] < 15_000_000
