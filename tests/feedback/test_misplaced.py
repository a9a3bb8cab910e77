"""Labels that lie in another partition than their prediction's go there, each once."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from contracts.codec import decode, encode, partition_of, prediction_id
from contracts.events import GroundTruthReceived
from feedback.domain.misplaced import HEADER, Rerouted, origin, origin_of, split_misplaced
from feedback.domain.partitions import partitions_of
from feedback.domain.uploads import Labels
from feedback.produces.ground_truth import TOPIC, reroute, send
from hypothesis import given
from hypothesis import strategies as st
from servicekit.config import Settings
from servicekit.kafka import make_consumer, make_producer, stop_consumer

PARTITIONS = 12
batch_ids = st.text("0123456789abcdef", min_size=32, max_size=32)


def event(ids: list[str]) -> GroundTruthReceived:
    """Labels that can be told apart."""
    n = len(ids)
    return GroundTruthReceived(
        upload_id="u", prediction_id=ids, truth=[f"t{i}" for i in range(n)], label_time=list(range(n))
    )


def rows(events: list[GroundTruthReceived]) -> list[tuple[Any, ...]]:
    """The labels of events."""
    return [row for e in events for row in zip(e.prediction_id, e.truth, e.label_time, strict=True)]


@given(st.lists(batch_ids, max_size=40), st.integers(1, 20))
def test_partitions_of_many_are_those_of_each(ids: list[str], partitions: int) -> None:
    """The columns' murmur2 is the codec's, whatever the number of ids."""
    assert partitions_of(ids, partitions).tolist() == [partition_of(text, partitions) for text in ids]


@pytest.mark.parametrize("bad", ["a" * 31, "a" * 33, "é" * 32, ""])
def test_what_is_no_batch_id_has_no_partition(bad: str) -> None:
    """One among few or many is a ValueError, never another's partition."""
    for n in (0, 50):
        with pytest.raises(ValueError):
            partitions_of(["b" * 32] * n + [bad], PARTITIONS)


@given(
    st.lists(st.one_of(batch_ids.map(lambda b: f"{b}.0"), st.text(max_size=40), st.just("x" * 32 + ".1"))),
    st.integers(0, PARTITIONS - 1),
)
def test_each_label_goes_where_it_belongs_and_none_is_lost(ids: list[str], here: int) -> None:
    """What stays and what goes is all there was, in its order; malformed ids stay, and nothing good does elsewhere."""
    given = event(ids)
    stays, parts = split_misplaced(given, here, PARTITIONS)
    left = [stays] if stays is not None else []
    assert sorted(rows(left) + rows([part for _, part in parts])) == sorted(rows([given]))
    for partition, part in [*parts, *((here, kept) for kept in left)]:
        assert part.upload_id == "u"
        assert all(a < b for a, b in pairwise(part.label_time))
        for text in part.prediction_id:
            good = len(text) == 34 and set(text[:32]) <= set("0123456789abcdef") and text[32:] == ".0"
            assert (partition == partition_of(text[:32], PARTITIONS)) if good else partition == here
    assert all(partition != here for partition, _ in parts)


def test_a_record_in_its_place_is_left_as_it_is() -> None:
    """The very same event, and nothing to send."""
    ids = [prediction_id(f"{n:032x}", 0) for n in range(200)]
    home = [text for text in ids if partition_of(text[:32], PARTITIONS) == 4]
    given = event(home)
    assert split_misplaced(given, 4, PARTITIONS) == (given, [])
    assert split_misplaced(given, 4, PARTITIONS)[0] is given
    assert split_misplaced(event([]), 4, PARTITIONS) == (event([]), [])
    assert split_misplaced(given, 5, PARTITIONS)[0] is None


def test_what_came_compressed_is_split_below_kafkas_limit() -> None:
    """A client's codec may pack more labels into a record than fit one of ours."""
    ids = [prediction_id(f"{0:032x}", n) for n in range(30_000)]
    _, parts = split_misplaced(event(ids), 0, PARTITIONS)
    assert len(parts) > 1
    assert all(len(encode(part, source="feedback")[0]) < 900_000 for _, part in parts)


class Producer:
    """Kafka: keeps what it is sent, and fails from the ``fails``-th record on."""

    def __init__(self, fails: int = 1_000) -> None:
        self.records: list[tuple[int, bytes, list[tuple[str, bytes]]]] = []
        self.fails = fails

    async def send_and_wait(
        self, topic: str, value: bytes, partition: int, headers: list[tuple[str, bytes]]
    ) -> None:
        assert topic == TOPIC
        if len(self.records) >= self.fails:
            raise ConnectionError("no broker")
        self.records.append((partition, value, headers))


async def test_a_record_that_was_rerouted_twice_is_taken_once() -> None:
    """Published again after a crash half way, each part has the same header and ce_id, and counts once."""
    ids = [prediction_id(f"{n:032x}", 0) for n in range(300)]
    records = [(offset, event(ids[start : start + 50])) for offset, start in enumerate(range(0, 300, 50))]
    split = [(offset, split_misplaced(given, 0, PARTITIONS)[1]) for offset, given in records]

    async def run(producer: Producer) -> None:
        for offset, parts in split:
            await reroute(producer, parts, 0, offset)

    crashed, again = Producer(fails=25), Producer()
    with pytest.raises(ConnectionError):
        await run(crashed)
    await run(again)  # nothing was committed: from the beginning
    found: list[GroundTruthReceived] = []
    memory = {partition: Rerouted() for partition in range(PARTITIONS)}
    names = set()
    for partition, value, headers in crashed.records + again.records:
        came_from = origin_of(headers)
        assert came_from is not None
        names.add((partition, came_from, dict(headers)["ce_id"]))
        memory[partition] = Rerouted(dict(memory[partition].highest))  # a restart in between
        if memory[partition].is_new(came_from):
            found.append(decode(GroundTruthReceived, value, headers))
    assert len(names) == len({ce_id for *_, ce_id in names}) == len(again.records)
    assert len(crashed.records) == 25
    assert sorted(rows(found)) == sorted(rows([part for _, parts in split for _, part in parts]))


def test_several_parts_of_a_record_are_told_apart() -> None:
    """The second event of one record for one partition is no repetition of the first."""
    rerouted = Rerouted()
    assert all(rerouted.is_new(origin(3, offset, part)) for offset in (7, 9) for part in (0, 1))
    assert not any(rerouted.is_new(origin(3, 9, part)) for part in (0, 1))


def test_a_header_that_is_not_ours_says_nothing() -> None:
    """Such a record is new each time, and nothing is remembered of it."""
    rerouted = Rerouted()
    for header in (b"", b"x", b"1/", b"-1/5", b"1/5/6", b"\xff", b"1" * 50 + b"/1"):
        assert rerouted.is_new(header)
        assert rerouted.is_new(header)
    assert rerouted.highest == {}
    assert origin_of([("ce_id", b"x")]) is None
    assert origin_of(None) is None
    assert origin_of([(HEADER, b"1/2")]) == b"1/2"


@pytest.mark.kafka
async def test_an_upload_and_labels_that_others_misplaced_end_where_they_belong(shared_kafka: str) -> None:
    """On real Kafka: each label of an upload lies in its prediction's partition, and so it does once what another
    client wrote to partition 0 was re-routed, with the header of its origin."""
    settings = Settings(kafka=shared_kafka)
    ids = [prediction_id(f"{n:032x}", 0) for n in range(300)]
    producer = await make_producer(settings, "test")
    consumer = make_consumer(settings, TOPIC)
    await consumer.start()
    try:
        await send(producer, PARTITIONS, Labels(ids, ["http"] * 300, [5] * 300), "u")
        other = event(ids)
        foreign = await producer.send_and_wait(TOPIC, msgspec.json.encode(other), partition=0)
        await reroute(producer, split_misplaced(other, 0, PARTITIONS)[1], 0, foreign.offset)
        found: list[tuple[str, Any]] = []
        async with asyncio.timeout(30):
            while len(found) < 600:
                record = await consumer.getone()
                read = decode(GroundTruthReceived, record.value, record.headers)
                if not set(read.prediction_id) <= set(ids):
                    continue
                came_from = origin_of(record.headers)
                if (record.partition, record.offset) == (0, foreign.offset):
                    read = split_misplaced(read, 0, PARTITIONS)[0] or event([])
                elif read.truth[0] != "http":
                    assert came_from == origin(0, foreign.offset)
                assert {partition_of(text[:32], PARTITIONS) for text in read.prediction_id} == {
                    record.partition
                }
                found += zip(read.prediction_id, read.truth, strict=True)
        assert sorted(found) == sorted(
            [*((text, "http") for text in ids), *zip(ids, other.truth, strict=True)]
        )
    finally:
        await stop_consumer(consumer)
        await producer.stop()
