"""The join of a partition says what a dictionary would, however its records come and whoever holds it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from contracts.codec import prediction_id
from contracts.events import GroundTruthReceived, Label, PredictionsMade
from feedback.domain.checks import check_labels
from feedback.domain.keys import ROW
from feedback.domain.partition_join import PartitionJoin
from feedback.domain.rows import Joined
from feedback.domain.store import END, TABLES, MemoryStore, Store, StoreLost, Table
from feedback.domain.truth import Known, take
from feedback.rocks import Rocks
from health_checks import WITH_FIXTURE
from hypothesis import given, settings
from hypothesis import strategies as st

HORIZON = 10
BATCHES = 3
FAR = 2**53 - 1  # the label_time that is furthest in the future
STRIDE = 100  # between offsets of labels, which are remembered in blocks of 256

Open = Callable[[], Store]  # a new store
Step = tuple[str, Any]


def batch_id(number: int) -> str:
    """A batch_id that a test can name."""
    return f"{number:032x}"


def made(number: int, times: Sequence[int], **more: Any) -> PredictionsMade:
    """A batch whose rows can be told apart."""
    values = [number + i / 8 for i in range(len(times))]
    event = PredictionsMade(
        batch_id=batch_id(number),
        model="m",
        version=str(number % 2),
        event_time=list(times),
        features={"x": list(values), "name": [f"row {v}" for v in values]},
        predictions=["a" if i % 2 else "b" for i in range(len(times))],
        probabilities={"a": list(values), "b": [1 - v for v in values]} if number % 3 else None,
        vectors={"image": [[v, v] for v in values]} if number % 5 == 1 else None,
    )
    return msgspec.structs.replace(event, **more)


def labels(*rows: tuple[int, int, Label, int]) -> GroundTruthReceived:
    """An upload of (batch, row, truth, label_time)."""
    return GroundTruthReceived(
        upload_id="u",
        prediction_id=[prediction_id(batch_id(b), r) for b, r, _, _ in rows],
        truth=[t for _, _, t, _ in rows],
        label_time=[time for _, _, _, time in rows],
    )


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Open]:
    """A way to new stores on disk; the one before is deleted."""
    rocks, numbers = Rocks(tmp_path, 2**24), count()
    used: list[int] = []

    def fresh() -> Store:
        for number in used:
            rocks.drop(number)
        used[:] = [next(numbers)]
        return rocks.open(used[0])

    yield fresh
    rocks.close()


class Dictionary:
    """The naive join: reads all predictions, then all labels, and then decides a boundary."""

    def __init__(
        self, batches: Sequence[PredictionsMade], uploads: Sequence[GroundTruthReceived], decided: int
    ) -> None:
        self.event_time: dict[str, int] = {}
        self.over: dict[str, bool] = {}
        self.joined: dict[tuple[str, int], tuple[Known | None, Known]] = {}
        counts = dict.fromkeys(PartitionJoin(MemoryStore(), HORIZON).counts.as_dict(), 0)
        known_batches = set()
        for event in batches:
            counts["repeated_batches"] += event.batch_id in known_batches
            known_batches.add(event.batch_id)
            for i, time in enumerate(event.event_time):
                self.event_time[prediction_id(event.batch_id, i)] = time
                self.over[prediction_id(event.batch_id, i)] = max(event.event_time) + HORIZON <= decided
        self.given: dict[str, list[tuple[Label, int]]] = {}
        for upload in uploads:
            for text, truth, time in zip(upload.prediction_id, upload.truth, upload.label_time, strict=True):
                self.given.setdefault(text, []).append((truth, time))
        self.states: dict[str, str] = {
            text: "expired" if self.over[text] else "pending" for text in self.event_time
        }
        for text, given_labels in self.given.items():
            if text not in self.event_time:
                never = text[:32] in known_batches
                unknown = never or max(time for _, time in given_labels) + HORIZON <= decided
                self.states[text] = "unknown" if unknown else "pending"
                counts["unknown" if unknown else "held"] += 1
                counts["duplicates"] += unknown * (len(given_labels) - 1)
                continue
            known: Known | None = None
            late = too_late = 0
            for truth, time in given_labels:
                if time >= self.event_time[text] + HORIZON:
                    too_late += known is not None or late > 0
                    late += known is None and late == 0
                    continue
                after = take(known, truth, time)
                if after is known:
                    counts["duplicates"] += 1
                    continue
                self.joined[text, after.revision] = known, after
                counts["corrections"] += known is not None
                known = after
                late = 0
            counts["too_late"] += too_late
            counts["expired_labelled"] += late
            counts["joined"] += known is not None
            self.states[text] = "joined" if known else "expired" if late else self.states[text]
        counts["predicted"] = len(self.event_time)
        counts["labelled_distinct"] = len(self.given)
        unlabelled = [text for text in self.event_time if (text, 0) not in self.joined]
        counts["expired"] = sum(self.over[text] for text in unlabelled)
        counts["pending"] = len(unlabelled) - counts["expired"]
        self.counts = counts


class Holders:
    """Whoever holds the partition, one after the other: takes steps, and may crash or hand over between them."""

    def __init__(self, opened: Open, batches: Mapping[int, Sequence[int]], rng: random.Random) -> None:
        self.opened, self.batches, self.rng = opened, batches, rng
        self.log: dict[str, list[tuple[int, Any]]] = {"predictions": [], "ground-truth": []}
        self.store = opened()
        self.join = PartitionJoin(self.store, HORIZON)
        self.joined: dict[tuple[str, int], tuple[Known | None, Known]] = {}
        self.since: list[Step] = []  # the last commit

    def take(self, steps: Sequence[Step]) -> None:
        for step in steps:
            what, content = step
            if what == "commit":
                self.join.commit(self.join.positions)
                self.since = []
            elif what == "crash":
                self.join = PartitionJoin(self.store, HORIZON)
                again, self.since = self.since, []
                self.take(again)
            elif what == "move":
                self.move()
            else:
                self.since.append(step)
                self._do(what, content)
            self._check_sums()

    def _do(self, what: str, content: Any) -> None:
        positions = self.join.positions
        if what == "predict":
            new = [(number, made(number, self.batches[number])) for number in content]
            batches = [(positions["predictions"] + 3 * i, event) for i, (_, event) in enumerate(new)]
            self._log("predictions", batches)
            result = self.join.predict([(offset, event, 500) for offset, event in batches])
            assert not result.refused
            self._note(result.released)
        elif what == "label":
            records = [
                (positions["ground-truth"] + STRIDE * i, labels(*rows)) for i, rows in enumerate(content)
            ]
            self._log("ground-truth", records)
            answer = self.join.label(records)
            assert not answer.refused
            assert [j.offset for j in answer.joined] == sorted(j.offset for j in answer.joined)
            self._note(answer.joined)
        elif what == "expire":
            self.join.expire((self.join.decided or 0) + content)

    def _log(self, topic: str, records: Sequence[tuple[int, Any]]) -> None:
        known = {offset for offset, _ in self.log[topic]}
        self.log[topic] += [record for record in records if record[0] not in known]

    def _note(self, joined: Sequence[Joined]) -> None:
        for j in joined:
            name, row = j.prediction_id[:32], int(j.prediction_id[33:])
            event = made(int(name, 16), self.batches[int(name, 16)])
            assert dict(zip(j.shape.features, j.row.features, strict=True)) == {
                n: c[row] for n, c in event.features.items()
            }
            assert dict(zip(j.shape.classes, j.row.probabilities, strict=True)) == {
                n: c[row] for n, c in (event.probabilities or {}).items()
            }
            assert dict(zip(j.shape.vectors, map(list, j.row.vectors), strict=True)) == {
                n: c[row] for n, c in (event.vectors or {}).items()
            }
            assert (j.shape.model, j.shape.version) == (event.model, event.version)
            assert (j.row.event_time, j.row.prediction) == (event.event_time[row], event.predictions[row])
            content = j.before, j.after
            assert self.joined.setdefault((j.prediction_id, j.after.revision), content) == content

    def move(self, onto: Store | None = None) -> None:
        """Another one takes over what this one has done; ``onto`` is a store that it had before."""
        old = self.join
        self.store = self.opened() if onto is None else onto
        self.join = PartitionJoin(self.store, HORIZON, counts=old.counts.as_dict())
        with self.join.rebuild(old.needed(), old.decided):
            left = {
                topic: [
                    r for r in self.log[topic] if self.join.positions[topic] <= r[0] < old.positions[topic]
                ]
                for topic in self.log
            }
            while any(left.values()):
                topic = self.rng.choice([topic for topic in left if left[topic]])
                chunk = [left[topic].pop(0) for _ in range(min(len(left[topic]), self.rng.randint(1, 3)))]
                if topic == "predictions":
                    predicted = self.join.predict([(offset, event, 500) for offset, event in chunk])
                    assert (predicted.taken, predicted.released) == ([], [])
                else:
                    assert not self.join.label(chunk).joined
                if self.rng.random() < 0.3:
                    self.join.commit(self.join.positions)
        self.join.commit(old.positions)
        self.since = []
        assert self.join.counts == old.counts
        assert self.join.needed() == old.needed()
        assert self.join.positions == old.positions

    def _check_sums(self) -> None:
        counts = self.join.counts.as_dict()
        assert min(counts.values()) >= 0
        assert counts["labelled_distinct"] == sum(
            counts[n] for n in ("joined", "held", "unknown", "expired_labelled")
        )
        assert counts["predicted"] == counts["joined"] + counts["pending"] + counts["expired"]

    def states(self) -> dict[str, Any]:
        """Of all ids that may be asked for."""
        texts = [prediction_id(batch_id(b), r) for b in range(BATCHES + 1) for r in range(3)]
        return {text: self.join.state(text) for text in texts}


# A few batches at moments that are near the horizon's length, labels of them and of one that never comes.
times = st.integers(0, 12)
contents = st.fixed_dictionaries(
    {number: st.lists(times, min_size=1, max_size=2) for number in range(BATCHES)}
)
label_rows = st.tuples(
    st.integers(0, BATCHES),
    st.integers(0, 2),
    st.sampled_from(["a", "b", 1]),
    st.integers(0, 25).map(lambda time: FAR if time == 25 else time),
)
uploads = st.lists(label_rows, min_size=1, max_size=3)
predict_steps = st.tuples(st.just("predict"), st.lists(st.integers(0, BATCHES - 1), min_size=1, max_size=2))
label_steps = st.tuples(st.just("label"), st.lists(uploads, min_size=1, max_size=2))
other_steps = st.tuples(st.sampled_from(["commit", "crash", "move"]), st.none())


def expire_steps(most: int) -> st.SearchStrategy[Step]:
    return st.tuples(st.just("expire"), st.integers(0, most))


def histories(most: int, size: int) -> st.SearchStrategy[list[Step]]:
    """Steps of which boundaries are at most so far apart."""
    return st.lists(
        st.one_of(predict_steps, label_steps, label_steps, expire_steps(most), other_steps),
        min_size=size // 2,
        max_size=size,
    )


quick = settings(deadline=None, max_examples=150)
few = settings(deadline=None, max_examples=15, suppress_health_check=WITH_FIXTURE)
rngs = st.randoms(use_true_random=False)


def check_against_the_dictionary(
    opened: Open, content: dict[int, list[int]], history: list[Step], last: int, rng: random.Random
) -> None:
    """Boundaries stay below two horizons, so that nothing is forgotten: a dictionary forgets nothing."""
    holders = Holders(opened, content, rng)
    decided = 0
    steps: list[Step] = []
    for what, argument in history:
        if what == "expire":
            if decided + argument > last:
                continue
            decided += argument
        steps.append((what, argument))
    holders.take([*steps, ("expire", last - decided)])
    naive = Dictionary(
        [event for _, event in holders.log["predictions"]],
        [event for _, event in holders.log["ground-truth"]],
        last,
    )
    assert holders.join.counts.as_dict() == naive.counts
    assert holders.joined == naive.joined
    for text, said in holders.states().items():
        assert said["state"] == naive.states.get(text, "unknown")


@quick
@given(contents, histories(2, 20), st.integers(0, 19), rngs)
def test_any_history_gives_the_dictionarys_rows_counts_and_states(
    content: dict[int, list[int]], history: list[Step], last: int, rng: random.Random
) -> None:
    """However the topics interleave, boundaries come, holders crash and hand over: what is joined, counted and said of
    each id is what a dictionary says that reads predictions first, as long as nothing is two horizons old."""
    check_against_the_dictionary(MemoryStore, content, history, last, rng)


@few
@given(contents, histories(2, 20), st.integers(0, 19), rngs)
def test_so_it_does_on_disk(
    on_disk: Open, content: dict[int, list[int]], history: list[Step], last: int, rng: random.Random
) -> None:
    """The same on RocksDB."""
    check_against_the_dictionary(on_disk, content, history, last, rng)


def check_against_one_holder(
    opened: Open, content: dict[int, list[int]], history: list[Step], rng: random.Random
) -> None:
    """One who never ends is given the same records and boundaries."""
    alone, many = Holders(MemoryStore, content, rng), Holders(opened, content, rng)
    alone.take([step for step in history if step[0] in ("predict", "label", "expire")])
    many.take(history)
    assert many.join.counts == alone.join.counts
    assert many.joined == alone.joined
    assert many.states() == alone.states()
    assert many.join.needed() == alone.join.needed()
    probe: list[Step] = [
        (
            "label",
            [[(b, r, "probe", time) for b in range(BATCHES + 1) for r in range(3)] for time in (5, 99)],
        ),
        ("predict", list(range(BATCHES))),
    ]
    many.take([("move", None), *probe])
    alone.take(probe)
    assert many.states() == alone.states()
    assert many.join.counts == alone.join.counts


@quick
@given(contents, histories(6, 24), rngs)
def test_who_holds_a_partition_makes_no_difference(
    content: dict[int, list[int]], history: list[Step], rng: random.Random
) -> None:
    """With boundaries of many horizons too: after crashes and moves, rows, counts, states and what the next holder
    needs are those of one holder who never ended."""
    check_against_one_holder(MemoryStore, content, history, rng)


@few
@given(contents, histories(6, 20), rngs)
def test_nor_does_it_on_disk(
    on_disk: Open, content: dict[int, list[int]], history: list[Step], rng: random.Random
) -> None:
    """The same on RocksDB."""
    check_against_one_holder(on_disk, content, history, rng)


@quick
@given(contents, histories(6, 8), histories(6, 8), histories(6, 5), rngs)
def test_who_comes_back_catches_up(
    content: dict[int, list[int]],
    first: list[Step],
    second: list[Step],
    third: list[Step],
    rng: random.Random,
) -> None:
    """A holder whose store is older than what another one has done since reads what it lacks, and nothing twice."""
    holders, alone = Holders(MemoryStore, content, rng), Holders(MemoryStore, content, rng)
    holders.take([*first, ("commit", None)])
    mine = holders.store
    holders.take([("move", None), *second])
    holders.move(onto=mine)
    holders.take(third)
    alone.take([step for step in (*first, *second, *third) if step[0] in ("predict", "label", "expire")])
    assert holders.join.counts == alone.join.counts
    assert holders.joined == alone.joined
    assert holders.states() == alone.states()


@quick
@given(contents, histories(6, 24), rngs)
def test_what_is_forgotten_leaves_nothing(
    content: dict[int, list[int]], history: list[Step], rng: random.Random
) -> None:
    """Three horizons after everything only the stand and the shapes are on disk, and nothing is needed: what is from
    the future goes too, once a later label has found its batch."""
    holders = Holders(MemoryStore, content | {BATCHES: [100]}, rng)
    last: list[Step] = [("predict", [BATCHES]), ("label", [[(BATCHES, 0, "last", 100)]])]
    holders.take([*history, *last, ("expire", 1_000), ("commit", None)])
    assert holders.join.needed() == holders.join.positions
    left = [key for table in TABLES for key, _ in holders.store.scan(table, b"", END)]
    assert {key[:1] for key in left} <= {b"m", b"s", b"n"}


def taken(
    *records: PredictionsMade | GroundTruthReceived, horizon: int = HORIZON
) -> tuple[PartitionJoin, list[Joined]]:
    """A join in memory that was given these records, and what it joined."""
    join = PartitionJoin(MemoryStore(), horizon)
    joined: list[Joined] = []
    for record in records:
        joined += give(join, record)
    return join, joined


def give(join: PartitionJoin, record: PredictionsMade | GroundTruthReceived) -> list[Joined]:
    """One more record."""
    positions = join.positions
    if isinstance(record, PredictionsMade):
        return join.predict([(positions["predictions"], record, 500)]).released
    return join.label([(positions["ground-truth"], record)]).joined


@quick
@given(st.lists(st.sampled_from(["known", "unknown", "none"]), min_size=30, max_size=30), st.booleans())
def test_labels_from_the_future_do_not_end_forgetting(far: list[str], moves: bool) -> None:
    """Whether their batches are known or not, and whoever goes on with the store, both floors stay within five horizons of
    the boundary, and given up ids count as unknown."""
    store = MemoryStore()
    join = PartitionJoin(store, HORIZON)
    for day, kind in enumerate(far):
        join.predict([(day, made(day, [HORIZON * day] * 2), 500)])
        join.label([(256 * day, labels((day, 0, "a", HORIZON * day)))])
        if kind != "none":
            join.label([(256 * day + 1, labels((day if kind == "known" else 1_000 + day, 1, "a", FAR)))])
        join.expire(HORIZON * day)
        if day >= 5:
            assert join.needed()["predictions"] >= day - 5
            assert join.needed()["ground-truth"] >= 256 * (day - 5)
        if moves:
            join.commit(join.positions)
            join = PartitionJoin(store, HORIZON, counts=join.counts.as_dict())
    assert join.counts.held == far[-4:].count("unknown")
    assert join.counts.unknown == far[:-4].count("unknown")
    assert join.counts.expired_labelled == far.count("known")


def test_labels_read_long_before_their_predictions_still_join() -> None:
    """What is held is not from the future because its topic is read first, nor because a label beside it is."""
    join = PartitionJoin(MemoryStore(), HORIZON)
    for day in range(30):
        rows = (day, 0, "a", HORIZON * day), (1_000 + day, 0, "a", FAR)
        join.label([(256 * day, labels(*rows))])
    joined = 0
    for day in range(30):
        joined += len(join.predict([(day, made(day, [HORIZON * day]), 500)]).released)
        join.expire(HORIZON * day)
    assert joined == 30
    assert join.needed()["ground-truth"] >= 256 * 24


@pytest.mark.parametrize("comes", [True, False])
def test_an_id_labelled_again_and_again_costs_the_same_each_time(comes: bool) -> None:
    """Thousands of held labels of one id are in small values, and each is counted when its prediction comes, or when it
    is given up."""
    store, times = MemoryStore(), 3_000
    join = PartitionJoin(store, 10_000)
    for i in range(times):
        join.label([(i, labels((1, 0, "a" if i < times - 1 else "b", 5 + i)))])
    join.commit(join.positions)
    values = [(len(key), len(value)) for key, value in store.scan("index", b"", END)]
    assert max(size for _, size in values) < 1_000
    assert sum(map(sum, values)) < 120 * times
    again = PartitionJoin(store, 10_000)
    if comes:
        found = give(again, made(1, [0]))
        assert [(j.after.truth, j.after.label_time, j.offset) for j in found] == [
            ("a", 5, 0),
            ("b", 3_004, 2_999),
        ]
        assert (again.counts.duplicates, again.counts.corrections, again.counts.held) == (times - 2, 1, 0)
    else:
        again.expire(20_000)
        assert (again.counts.duplicates, again.counts.unknown, again.counts.held) == (times - 1, 1, 0)
        again.expire(30_000)
        again.commit(again.positions)
        assert {key[:1] for key, _ in store.scan("index", b"", END)} == {b"m"}


def test_the_truth_uploaded_last_stands() -> None:
    """A correction carries the old truth and the next revision, and never moves back in time."""
    _, joined = taken(
        made(1, [0]), labels((1, 0, "a", 2)), labels((1, 0, "b", 4), (1, 0, "b", 5)), labels((1, 0, "a", 1))
    )
    assert [
        (j.before and j.before.truth, j.after.truth, j.after.revision, j.after.label_time) for j in joined
    ] == [
        (None, "a", 0, 2),
        ("a", "b", 1, 4),
        ("b", "a", 2, 4),
    ]
    assert [(j.row.offset, j.offset) for j in joined] == [(0, 0), (0, 1), (0, 2)]


def test_a_row_has_one_number_however_it_is_written() -> None:
    """Leading zeros name the same row: its label is a duplicate, and an outcome bears the plain number."""
    padded = msgspec.structs.replace(labels((1, 0, "a", 2)), prediction_id=[batch_id(1) + ".000"])
    join, joined = taken(made(1, [0]), padded, labels((1, 0, "a", 3)))
    assert [j.prediction_id for j in joined] == [prediction_id(batch_id(1), 0)]
    assert (join.counts.duplicates, join.state(batch_id(1) + ".00")["state"]) == (1, "joined")


def test_a_held_truth_given_up_still_finds_its_prediction() -> None:
    """A prediction that comes after its label was given up is joined, while the label is remembered."""
    join, _ = taken(labels((2, 0, "a", 3)))
    join.expire(15)
    assert (join.counts.unknown, join.state(prediction_id(batch_id(2), 0))["state"]) == (1, "unknown")
    assert [j.after.truth for j in give(join, made(2, [4]))] == ["a"]
    assert (join.counts.unknown, join.counts.joined) == (0, 1)


def test_a_label_merely_uploaded_late_joins_until_its_row_is_two_horizons_old() -> None:
    """Expired rows join by their label_time; once they are forgotten, labels are too late, whatever they say."""
    join, _ = taken(made(1, [0, 0]))
    join.expire(19)
    assert (join.counts.expired, len(give(join, labels((1, 0, "a", 5))))) == (2, 1)
    join.expire(20)
    assert give(join, labels((1, 1, "a", 5))) == []
    assert (join.counts.expired, join.counts.too_late) == (1, 1)
    assert join.state(prediction_id(batch_id(1), 0)) == {"state": "unknown"}


def test_a_batch_that_comes_two_horizons_late_is_counted_and_not_joined() -> None:
    """Whether its labels were there before or come afterwards, they are too late; it is known if it comes again."""
    join, _ = taken(labels((1, 0, "a", 5)))
    join.expire(20)
    assert give(join, made(1, [0, 0])) == []
    assert give(join, labels((1, 1, "a", 5))) == []
    give(join, made(1, [0, 0]))
    counts = join.counts
    assert (counts.predicted, counts.expired, counts.too_late, counts.repeated_batches) == (2, 2, 2, 1)
    assert (counts.unknown, counts.labelled_distinct) == (0, 0)


def test_labels_of_what_is_forgotten_are_held_and_then_unknown() -> None:
    """Once a batch and its labels are forgotten a label for it waits for one horizon of its own time; another one is a
    duplicate while that is remembered, and a new id afterwards."""
    join, _ = taken(made(1, [0]), labels((1, 0, "a", 5)))
    join.expire(100)
    give(join, labels((1, 0, "b", 95)))
    assert (join.counts.held, join.state(prediction_id(batch_id(1), 0))["state"]) == (1, "pending")
    join.expire(105)
    give(join, labels((1, 0, "b", 95)))
    assert (join.counts.held, join.counts.unknown, join.counts.duplicates) == (0, 1, 1)
    join.expire(115)
    give(join, labels((1, 0, "b", 95)))
    assert (join.counts.unknown, join.counts.labelled_distinct) == (2, 3)


def test_an_unknown_id_waits_again_for_a_newer_label() -> None:
    """Held or unknown goes by the newest label of an id, so that it does not depend on when a boundary was decided."""
    join, _ = taken(labels((2, 0, "a", 3)))
    join.expire(13)
    give(join, labels((2, 0, "a", 8)))
    assert (join.counts.held, join.counts.unknown, join.counts.duplicates) == (1, 0, 0)
    join.expire(18)
    assert (join.counts.held, join.counts.unknown, join.counts.duplicates) == (0, 1, 1)


@pytest.mark.parametrize(
    "event",
    [
        made(1, [2**53]),
        made(1, [1], predictions=["x" * 1_000_000]),
        made(1, [1], features={"x": ["y" * 1_000_000]}),
        made(1, [1], features={"x": [2**64]}),
        made(1, [1], model="m" * 501),
        made(1, [1], batch_id="b"),
        made(1, [1], batch_id="A" * 32),
        made(1, [1], batch_id="0 " * 16),
    ],
)
def test_a_batch_that_no_outcome_can_be_made_of_is_refused(event: PredictionsMade) -> None:
    """Its offset is named with the reason, nothing else changes, and the records beside it are taken."""
    join = PartitionJoin(MemoryStore(), HORIZON)
    answer = join.predict([(7, event, 2_000_000), (8, made(2, [1]), 500)])
    assert [offset for offset, _ in answer.refused] == [7]
    assert answer.taken == [(8, made(2, [1]))]
    assert (join.counts.predicted, join.positions["predictions"]) == (1, 9)


good_rows = st.tuples(st.from_regex(r"[0-9a-f]{32}\.[0-9]{1,6}", fullmatch=True), st.just("a"), st.just(5))
bad_rows = st.one_of(
    st.tuples(st.text("0123456789abcdef.A \n_+", max_size=40), st.just("a"), st.just(5)),
    st.tuples(
        st.just("0" * 32 + ".1"),
        st.sampled_from([10**30, -(10**30), "x" * 1_001, 2.5, True, "x"]),
        st.just(5),
    ),
    st.tuples(st.just("0" * 32 + ".1"), st.just("a"), st.sampled_from([2**53, -(2**53) - 1, 2**53 - 1])),
)


@quick
@given(st.lists(st.lists(st.one_of(good_rows, good_rows, bad_rows), min_size=1, max_size=4), max_size=5))
def test_a_record_is_refused_exactly_where_a_label_in_it_is_malformed(
    rows: list[list[tuple[str, Label, int]]],
) -> None:
    """Checking many at once says what checking each says; what stays is as it was, in two parts."""
    events = [
        GroundTruthReceived(
            upload_id="u",
            prediction_id=[r[0] for r in part],
            truth=[r[1] for r in part],
            label_time=[r[2] for r in part],
        )
        for part in rows
    ]
    labels, refused = check_labels(list(enumerate(events)))

    def is_good(row: tuple[str, Label, int]) -> bool:
        text, truth, time = row
        fits = (
            len(truth) <= 1_000 if isinstance(truth, str) else not (type(truth) is int and abs(truth) > 2**63)
        )
        return bool(re.fullmatch(r"[0-9a-f]{32}\.[0-9]{1,6}", text)) and fits and -(2**53) <= time < 2**53

    bad = [i for i, part in enumerate(rows) if not all(map(is_good, part))]
    assert [offset for offset, _ in refused] == bad
    left = [(i, *row) for i, part in enumerate(rows) if i not in bad for row in part]
    assert list(
        zip(labels.offsets, labels.batches, labels.rows, labels.truths, labels.times, strict=True)
    ) == [(i, text[:32], int(text[33:]), truth, time) for i, text, truth, time in left]
    assert labels.ids == [f"{text[:32]}.{int(text[33:])}" for _, text, _, _ in left]


def test_nobody_begins_to_read_between_a_batch_and_its_repetition() -> None:
    """There the repetition would pass for the batch: both are needed until both are forgotten."""
    join, _ = taken(made(1, [0]), made(2, [12]), made(1, [0]), made(0, [14]))
    join.expire(20)
    assert join.needed()["predictions"] == 0
    give(join, made(1, [0]))
    assert join.counts.repeated_batches == 2
    join.expire(32)
    assert join.needed()["predictions"] == 0
    join.expire(40)
    assert join.needed()["predictions"] == 5


def test_a_store_that_has_forgotten_what_is_needed_begins_anew() -> None:
    """Who is to go on where another one remembers more reads it all, from the offsets that the other one named."""
    store = MemoryStore()
    join = PartitionJoin(store, HORIZON)
    give(join, made(1, [0]))
    give(join, made(2, [15]))
    needed, positions, counts = join.needed(), join.positions, join.counts.as_dict()
    join.expire(30)
    join.commit(join.positions)
    assert join.needed() != needed
    again = PartitionJoin(store, HORIZON, counts=counts)
    with again.rebuild(needed, None):
        assert again.positions == needed
        give(again, made(1, [0]))
        give(again, made(2, [15]))
    assert (again.positions, again.counts.as_dict()) == (positions, counts)
    assert len(give(again, labels((1, 0, "a", 5)))) == 1


def test_a_store_that_is_ahead_of_what_is_handed_over_begins_anew() -> None:
    """Counts as of one boundary do not go with rows as of a later one: these are read again."""
    store = MemoryStore()
    join = PartitionJoin(store, HORIZON)
    give(join, made(1, [0, 0]))
    needed, counts = join.needed(), join.counts.as_dict()
    join.expire(10)
    join.commit(join.positions)
    again = PartitionJoin(store, HORIZON, counts=counts)
    with again.rebuild(needed, None):
        assert again.positions == needed
        give(again, made(1, [0, 0]))
    again.expire(10)
    assert (again.counts.predicted, again.counts.expired) == (2, 2)


def test_another_horizon_or_layout_empties_a_store(caplog: pytest.LogCaptureFixture) -> None:
    """What was made with other settings is thrown away with one line in the log, and never read wrongly."""
    store = MemoryStore()
    join = PartitionJoin(store, HORIZON)
    give(join, made(1, [0]))
    join.commit(join.positions)
    assert PartitionJoin(store, HORIZON).positions["predictions"] == 1
    assert not caplog.records
    other = PartitionJoin(store, HORIZON + 1)
    assert (len(caplog.records), other.positions["predictions"], other.counts.predicted) == (1, 0, 0)
    other.commit({})
    store.write({"index": {b"m": b"junk"}}, [])
    assert PartitionJoin(store, HORIZON + 1).positions["predictions"] == 0
    assert len(caplog.records) == 2
    assert [key[:1] for table in TABLES for key, _ in store.scan(table, b"", END)] == [b"m", b"m"]


@pytest.mark.parametrize(("table", "last"), [("rows", made(2, [0])), ("labels", labels((1, 0, "a", 1)))])
def test_tables_that_lag_behind_the_index_empty_a_store(
    table: Table, last: PredictionsMade | GroundTruthReceived, caplog: pytest.LogCaptureFixture
) -> None:
    """Should a disk lose the newest part of one table, all is built anew."""
    store = MemoryStore()
    join = PartitionJoin(store, HORIZON)
    give(join, made(1, [0]))
    join.commit(join.positions)
    before = dict(store.scan(table, b"", END))
    give(join, last)
    join.commit(join.positions)
    assert PartitionJoin(store, HORIZON).positions == join.positions
    store.write({}, [(table, b"", END)])
    store.write({table: dict(before)}, [])
    assert PartitionJoin(store, HORIZON).positions == {"predictions": 0, "ground-truth": 0}
    assert len(caplog.records) == 1


def test_a_missing_row_is_not_passed_over() -> None:
    """A batch whose row is not on disk means that the store is lost, not that the label is."""
    store = MemoryStore()
    join = PartitionJoin(store, HORIZON)
    give(join, made(1, range(200)))
    join.commit(join.positions)
    store.write({}, [("rows", ROW(0, 1), END)])
    with pytest.raises(StoreLost):
        give(join, labels((1, 199, "a", 205)))
