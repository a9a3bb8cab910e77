"""The join of a partition says what a dictionary would, however its records come and whoever holds it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from contracts.codec import prediction_id
from contracts.events import GroundTruthReceived, Label, PredictionsMade
from feedback.domain.partition_join import PartitionJoin
from feedback.domain.rows import Joined
from feedback.domain.store import END, TABLES, MemoryStore, Store
from feedback.domain.truth import Known, take
from feedback.rocks import Rocks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HORIZON = 10
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


@pytest.fixture(params=["memory", "rocks"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """A way to new stores, in memory and on disk."""
    if request.param == "memory":
        yield MemoryStore
        return
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
            records = [(positions["predictions"] + 3 * i, event) for i, (_, event) in enumerate(new)]
            self._log("predictions", records)
            result = self.join.predict([(offset, event, 500) for offset, event in records])
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
        texts = [prediction_id(batch_id(b), r) for b in range(6) for r in range(4)]
        return {text: self.join.state(text) for text in texts}


# Five batches of up to three rows at moments that are near the horizon's length, labels of them and of a sixth one.
times = st.integers(0, 12)
contents = st.fixed_dictionaries({number: st.lists(times, min_size=1, max_size=3) for number in range(5)})
label_rows = st.tuples(
    st.integers(0, 5), st.integers(0, 3), st.sampled_from(["a", "b", 1]), st.integers(0, 24)
)
uploads = st.lists(label_rows, min_size=1, max_size=4)
predict_steps = st.tuples(st.just("predict"), st.lists(st.integers(0, 4), min_size=1, max_size=3))
label_steps = st.tuples(st.just("label"), st.lists(uploads, min_size=1, max_size=3))
other_steps = st.tuples(st.sampled_from(["commit", "crash", "move"]), st.none())


def expire_steps(most: int) -> st.SearchStrategy[Step]:
    return st.tuples(st.just("expire"), st.integers(0, most))


def histories(most: int, size: int) -> st.SearchStrategy[list[Step]]:
    """Steps of which boundaries are at most so far apart."""
    return st.lists(
        st.one_of(predict_steps, label_steps, label_steps, expire_steps(most), other_steps), max_size=size
    )


quick = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quick
@given(contents, histories(2, 14), st.integers(0, 19), st.randoms(use_true_random=False))
def test_any_history_gives_the_dictionarys_rows_counts_and_states(
    opened: Open, content: dict[int, list[int]], history: list[Step], last: int, rng: random.Random
) -> None:
    """However the topics interleave, boundaries come, holders crash and hand over: what is joined, counted and said of
    each id is what a dictionary says that reads predictions first, as long as nothing is two horizons old."""
    holders = Holders(opened, content, rng)
    # Labels of the future are forgotten last, batches first: of none is a boundary two horizons behind.
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
@given(contents, histories(9, 18), st.randoms(use_true_random=False))
def test_who_holds_a_partition_makes_no_difference(
    opened: Open, content: dict[int, list[int]], history: list[Step], rng: random.Random
) -> None:
    """With boundaries of many horizons too: after crashes and moves, rows, counts, states and what the next holder
    needs are those of one holder who never ended."""
    steps = [step for step in history if step[0] in ("predict", "label", "expire")]
    alone, many = Holders(MemoryStore, content, rng), Holders(opened, content, rng)
    alone.take(steps)
    many.take(history)
    assert many.join.counts == alone.join.counts
    assert many.joined == alone.joined
    assert many.states() == alone.states()
    assert many.join.needed() == alone.join.needed()
    many.take([("move", None)])
    assert many.states() == alone.states()


@quick
@given(contents, histories(9, 8), histories(9, 8), histories(9, 5), st.randoms(use_true_random=False))
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
@given(contents, histories(9, 18), st.randoms(use_true_random=False))
def test_what_is_forgotten_leaves_nothing(
    content: dict[int, list[int]], history: list[Step], rng: random.Random
) -> None:
    """Three horizons after everything only the stand and the shapes are on disk, and nothing is needed."""
    holders = Holders(MemoryStore, content, rng)
    holders.take([*history, ("expire", 1_000), ("commit", None)])
    assert holders.join.needed() == holders.join.positions
    left = [key for table in TABLES for key, _ in holders.store.scan(table, b"", END)]
    assert {key[:1] for key in left} <= {b"m", b"s", b"n"}
