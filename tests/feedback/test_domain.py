"""The join and the quality windows give, for any order of arrival, what one pass over the rows gives."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from contracts.codec import Unreadable, encode, prediction_id
from contracts.events import GroundTruthReceived, OutcomesJoined, PredictionsMade, QualityReported
from feedback.domain.closing import Closing
from feedback.domain.join import Join, Joined
from feedback.domain.outcomes import MAX_BYTES, compose, new_outcomes, outcome_id
from feedback.domain.quality_windows import QualityWindows, Task
from feedback.domain.timeline import Known, insert, steps
from feedback.domain.windows import Windows
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

HOUR = 3_600_000
HORIZON = 48 * HOUR
WINDOWS = Windows(HOUR, HOUR)
CLASSES = ("no", "yes")


def batch_id(number: int) -> str:
    """A batch_id that a test can name."""
    return f"{number:032x}"


def made(number: int, times: Sequence[int], scores: Sequence[float], version: str = "1") -> PredictionsMade:
    """A scored batch of a binary model."""
    return PredictionsMade(
        batch_id=batch_id(number),
        model="m",
        version=version,
        event_time=list(times),
        features={"x": list(scores), "name": ["a"] * len(scores)},
        predictions=["yes" if s >= 0.5 else "no" for s in scores],
        probabilities={"no": [1 - s for s in scores], "yes": list(scores)},
    )


def labels(*rows: tuple[int, int, str, int]) -> GroundTruthReceived:
    """An upload of (batch, row, truth, label_time)."""
    return GroundTruthReceived(
        upload_id="u",
        prediction_id=[prediction_id(batch_id(b), r) for b, r, _, _ in rows],
        truth=[t for _, _, t, _ in rows],
        label_time=[time for _, _, _, time in rows],
    )


class World:
    """Join and windows together, fed by hand."""

    def __init__(self, windows: Windows = WINDOWS) -> None:
        self.join = Join(HORIZON)
        self.quality = QualityWindows(windows, HORIZON)
        self.outcomes: list[OutcomesJoined] = []
        self.reports: list[QualityReported] = []

    def predict(self, event: PredictionsMade) -> None:
        joined = self.join.predict(event, encode(event, source="test")[0])
        if joined is not None:
            self.quality.predict(event)
            self._joined(joined)

    def label(self, offset: int, event: GroundTruthReceived) -> None:
        self._joined(self.join.label(offset, event))

    def _joined(self, joined: list[Joined]) -> None:
        self.quality.update(joined)
        self.outcomes += compose(new_outcomes(joined, {}))

    def close(self, boundary: int) -> list[QualityReported]:
        reports = self.quality.close(boundary, lambda m, v: Task("classification", CLASSES), {})
        self.join.expire(boundary)
        self.reports += reports
        return reports

    def rows(self) -> list[tuple[object, ...]]:
        """Outcomes as rows, ordered by id and revision."""
        found = []
        for o in self.outcomes:
            probabilities = o.probabilities or {}
            for i, text in enumerate(o.prediction_id):
                features = tuple(c[i] for c in o.features.values()) + tuple(
                    c[i] for c in probabilities.values()
                )
                row = (text, o.revision[i], o.truth[i], o.label_time[i], o.corrected_from[i], o.event_time[i])
                found.append((*row, o.version, features))
        return sorted(found)


# One partition's log: batches of up to 3 rows in the first 4 hours, labels of them, in log order.
scores = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=3)
batches = st.lists(
    st.tuples(scores, st.integers(0, 4 * HOUR - 1), st.sampled_from("12")), min_size=1, max_size=6
)
label_rows = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from(CLASSES), st.integers(0, 7 * HOUR)),
    max_size=25,
)


@given(batches, label_rows, st.randoms(use_true_random=False))
def test_any_interleaving_gives_one_passes_counts(
    content: list[tuple[list[float], int, str]], truths: list[tuple[int, int, str, int]], rng: random.Random
) -> None:
    """However the two topics interleave, outcomes, reports and counts are those of predictions first."""
    events = [made(i, [t + j for j in range(len(s))], s, v) for i, (s, t, v) in enumerate(content)]
    uploads = [labels(*truths[i : i + 3]) for i in range(0, len(truths), 3)]
    straight, mixed = World(), World()
    for event in events:
        straight.predict(event)
    for offset, upload in enumerate(uploads):
        straight.label(offset, upload)
    # Each topic keeps its order, as in a partition; predictions may even come twice.
    left: list[list[object]] = [[*events], [*uploads]]
    offset = 0
    while left[0] or left[1]:
        side = rng.choice([i for i in (0, 1) if left[i]])
        item = left[side].pop(0)
        if isinstance(item, PredictionsMade):
            mixed.predict(item)
            if rng.random() < 0.2:
                mixed.predict(item)
        else:
            assert isinstance(item, GroundTruthReceived)
            mixed.label(offset, item)
            offset += 1
    first = WINDOWS.boundary_after(min(t for e in events for t in e.event_time))
    for boundary in range(first, 10 * HOUR, HOUR):
        assert mixed.close(boundary) == straight.close(boundary)
    assert mixed.rows() == straight.rows()
    counts, expected = mixed.join.counts(), straight.join.counts()
    counts.pop("repeated_batches")
    expected.pop("repeated_batches")
    assert counts == expected
    assert counts["labelled_distinct"] == sum(
        counts[n] for n in ("joined", "held", "unknown", "expired_labelled")
    )
    assert counts["labelled_distinct"] == len({(b, r) for b, r, _, _ in truths})
    assert counts["predicted"] == counts["joined"] + counts["pending"] + counts["expired"]


@given(batches, label_rows, st.randoms(use_true_random=False))
def test_reports_equal_one_pass_over_the_rows(
    content: list[tuple[list[float], int, str]], truths: list[tuple[int, int, str, int]], rng: random.Random
) -> None:
    """Labels in any order, with corrections and duplicates: the last report of a window counts, of each row,
    the truth of the greatest label_time before the boundary."""
    events = [made(i, [t + j for j in range(len(s))], s, v) for i, (s, t, v) in enumerate(content)]
    # Two labels of one id and label_time are ordered by offset, which shuffling would change.
    distinct = {(b, r, t): (b, r, truth, t) for b, r, truth, t in truths}
    shuffled = [*distinct.values(), *distinct.values()]
    rng.shuffle(shuffled)
    world = World()
    for event in events:
        world.predict(event)
    for offset, row in enumerate(shuffled):
        world.label(offset, labels(row))
    first = WINDOWS.boundary_after(min(t for e in events for t in e.event_time))
    for boundary in range(first, 10 * HOUR, HOUR):
        world.close(boundary)
    latest = {(r.window_start, r.version): r for r in world.reports}
    for (start, version), report in latest.items():
        truth, predicted, score, delays, rows = [], [], [], [], 0
        for i, event in enumerate(events):
            for j, time in enumerate(event.event_time):
                if event.version != version or not start <= time < start + HOUR:
                    continue
                rows += 1
                known = sorted(
                    (t, y) for b, r, y, t in distinct.values() if (b, r) == (i, j) and t < 9 * HOUR
                )
                if known:
                    truth.append(known[-1][1])
                    predicted.append(event.predictions[j])
                    score.append((event.probabilities or {})["yes"][j])
                    delays.append(known[0][0] - time)
        assert (report.predicted, report.labelled) == (rows, len(truth))
        assert report.label_delay_mean == (sum(delays) / len(delays) if delays else None)
        if truth:
            assert report.metrics["accuracy"] == sk.accuracy_score(truth, predicted)
            assert report.metrics["log_loss"] == pytest.approx(
                sk.log_loss(truth, np.array([[1 - s, s] for s in score]), labels=list(CLASSES)), abs=1e-9
            )
            matrix = sk.confusion_matrix(truth, predicted, labels=list(CLASSES)).tolist()
            assert report.confusion == {
                t: {p: matrix[i][j] for j, p in enumerate(CLASSES)} for i, t in enumerate(CLASSES)
            }
        else:
            assert report.metrics == {}


def test_a_report_as_of_a_boundary_counts_only_labels_before_it() -> None:
    """A label known at B or later is not in a report as of B but in the next; revisions are numbered."""
    world = World()
    world.predict(made(1, [10, 20], [0.9, 0.1]))
    world.label(0, labels((1, 0, "yes", 30), (1, 1, "yes", HOUR)))
    world.predict(made(2, [HOUR + 5], [0.2]))
    (first,) = world.close(HOUR)
    assert (first.labelled, first.revision, first.final, first.coverage) == (1, 0, False, 0.5)
    again, newest = world.close(2 * HOUR)
    assert (again.window_end, again.labelled, again.revision, again.final) == (HOUR, 2, 1, True)
    assert (newest.window_end, newest.labelled, newest.as_of) == (2 * HOUR, 0, 2 * HOUR)


def test_a_boundary_always_reports_its_own_window_for_the_serving_version() -> None:
    """An empty window is reported for the version that serves; older versions come before it."""
    world = World()
    world.predict(made(1, [10], [0.9], "1"))
    world.predict(made(2, [20], [0.9], "2"))
    reports = world.quality.close(HOUR, lambda m, v: None, {"m": "2"})
    assert [(r.version, r.predicted) for r in reports] == [("1", 1), ("2", 1)]
    reports = world.quality.close(2 * HOUR, lambda m, v: None, {"m": "3"})
    assert [(r.version, r.predicted, r.coverage) for r in reports] == [("3", 0, 0.0)]


def test_a_correction_moves_the_counts_and_names_the_old_truth() -> None:
    """The last label by label_time wins; its outcome carries the truth it replaces and the next revision."""
    world = World()
    world.predict(made(1, [10], [0.9]))
    world.label(0, labels((1, 0, "no", 20)))
    world.label(1, labels((1, 0, "yes", HOUR + 1), (1, 0, "yes", HOUR + 2)))
    world.label(2, labels((1, 0, "no", 15)))  # an older word does not win
    outcomes = [(o.truth, o.corrected_from, o.revision) for o in world.outcomes]
    assert outcomes == [(["no"], [None], [0]), (["yes"], ["no"], [1])]
    assert world.close(HOUR)[0].metrics["accuracy"] == 0.0
    assert world.close(2 * HOUR)[0].metrics["accuracy"] == 1.0
    counts = world.join.counts()
    assert (counts["joined"], counts["corrections"], counts["duplicates"], counts["superseded"]) == (
        1,
        1,
        1,
        1,
    )


def test_what_waits_for_the_whole_horizon_expires() -> None:
    """After the horizon a prediction is expired, a held truth unknown, and a later label refused."""
    world = World()
    world.predict(made(1, [0, 1], [0.9, 0.1]))
    world.label(0, labels((9, 0, "yes", 10), (1, 0, "yes", HORIZON)))
    text = prediction_id(batch_id(9), 0)
    assert world.join.state(text)["state"] == "pending"
    for boundary in range(HOUR, HORIZON + 2 * HOUR, HOUR):
        world.close(boundary)
    assert world.join.state(text)["state"] == "unknown"
    assert world.join.state(prediction_id(batch_id(1), 0))["state"] == "expired"
    counts = world.join.counts()
    assert (counts["expired"], counts["unknown"], counts["expired_labelled"], counts["joined"]) == (
        2,
        1,
        1,
        0,
    )
    assert [r.final for r in world.reports if r.window_start == 0] == [False, True]
    world.label(1, labels((1, 1, "no", 5)))  # known in time, uploaded late: it still joins
    counts = world.join.counts()
    assert (counts["expired"], counts["joined"], counts["labelled_distinct"]) == (1, 1, 3)


def test_a_restart_goes_on_after_the_last_boundary() -> None:
    """State rebuilt from the log and the published reports gives the reports an unbroken run would give."""

    def log(world: World) -> None:
        world.predict(made(1, [10, 20], [0.9, 0.1]))
        world.predict(made(2, [HOUR + 5, HOUR + 6], [0.2, 0.7]))
        world.predict(made(3, [2 * HOUR + 5], [0.2], "2"))
        world.label(0, labels((1, 0, "yes", 30), (1, 1, "yes", HOUR), (2, 0, "no", 2 * HOUR + 1)))

    whole, broken, restarted = World(), World(), World()
    for world in (whole, broken, restarted):
        log(world)
    for boundary in (HOUR, 2 * HOUR):
        whole.close(boundary)
        broken.close(boundary)
    restarted.quality.restore(broken.reports, lambda m, v: Task("classification", CLASSES))
    assert restarted.quality.next_boundary() == 3 * HOUR
    for boundary in (3 * HOUR, 4 * HOUR):
        assert restarted.close(boundary) == whole.close(boundary)


def test_a_regression_is_measured_as_one() -> None:
    """Numbers without probabilities give MAE and R², corrections included."""
    world = World()
    event = PredictionsMade(
        batch_id=batch_id(1),
        model="m",
        version="1",
        event_time=[1, 2, 3],
        features={},
        predictions=[1.0, 2.5, 2.0],
    )
    world.predict(event)
    upload = GroundTruthReceived(
        upload_id="u",
        prediction_id=[prediction_id(batch_id(1), r) for r in (0, 1, 2, 2)],
        truth=[1.5, 2, 9.0, 3.0],
        label_time=[5, 5, 5, 6],
    )
    world.label(0, upload)
    (report,) = world.quality.close(HOUR, lambda m, v: None, {})
    assert report.metrics["mae"] == pytest.approx(sk.mean_absolute_error([1.5, 2, 3], [1, 2.5, 2]))
    assert report.metrics["r2"] == pytest.approx(sk.r2_score([1.5, 2, 3], [1, 2.5, 2]))
    assert report.confusion is None


def test_a_malformed_id_makes_the_record_unreadable_and_changes_nothing() -> None:
    """One bad id refuses the whole record before anything is joined."""
    world = World()
    world.predict(made(1, [10], [0.9]))
    bad = GroundTruthReceived(
        upload_id="u",
        prediction_id=[prediction_id(batch_id(1), 0), "x"],
        truth=["yes", "yes"],
        label_time=[1, 1],
    )
    with pytest.raises(Unreadable):
        world.label(0, bad)
    assert world.join.counts()["joined"] == 0


def test_outcomes_are_split_below_kafkas_limit() -> None:
    """Wide rows give several records, each below 900 KB and each with an id of its own."""
    world = World()
    rows = 4_000
    wide = PredictionsMade(
        batch_id=batch_id(1),
        model="m",
        version="1",
        event_time=[1] * rows,
        features={f"f{i}": [0.1234567890123] * rows for i in range(40)},
        predictions=["yes"] * rows,
    )
    world.predict(wide)
    world.label(0, labels(*((1, r, "yes", 2) for r in range(rows))))
    sizes = [len(encode(o, source="feedback")[0]) for o in world.outcomes]
    assert len(sizes) > 1
    assert max(sizes) < 900_000 > MAX_BYTES
    assert len({outcome_id(o) for o in world.outcomes}) == len(sizes)
    assert sum(len(o.truth) for o in world.outcomes) == rows


def test_the_timeline_keeps_equal_words_apart_in_time() -> None:
    """The same truth said later is kept, for a different word may yet fall between the two."""
    timeline = insert(insert((), Known("a", 5, 0)), Known("a", 9, 1))
    assert steps(timeline) == [(5, None, "a")]
    assert steps(insert(timeline, Known("b", 7, 2))) == [(5, None, "a"), (7, "a", "b"), (9, "b", "a")]


@pytest.mark.parametrize("step", [HOUR, HOUR // 3])
@given(st.integers(-10 * HOUR, 10 * HOUR))
def test_boundaries_are_windows_ends(step: int, time: int) -> None:
    """A time lies in the windows that start in (time - size, time]; its boundary is the first end after."""
    windows = Windows(HOUR, step, 7)
    starts = windows.starts(time)
    assert len(starts) == HOUR // step
    assert all(start <= time < start + HOUR for start in starts)
    assert windows.boundary_after(time) == starts[0] + HOUR
    assert windows.boundary_until(windows.boundary_after(time)) == windows.boundary_after(time)
    assert windows.boundary_from(windows.boundary_after(time)) == windows.boundary_after(time)


def test_an_idle_partition_holds_nothing_and_a_lagging_one_does() -> None:
    """A boundary waits for a partition that is behind the broker's end, not for one that has nothing."""
    closing = Closing(grace=10, partitions=2)
    assert closing.need(100) == "wait"
    closing.read("predictions", 0, 5, 109)
    assert closing.need(100) == "wait"
    closing.read("predictions", 0, 6, 110)
    assert closing.need(100) == "prediction ends"
    closing.prediction_ends(110, {("predictions", 0): 6, ("predictions", 1): 3})
    assert closing.need(100) == "wait"
    closing.read("predictions", 1, 3, 50)
    assert closing.need(100) == "label ends"
    closing.label_ends(110, {("ground-truth", 0): 4})
    assert closing.need(100) == "wait"
    closing.read("ground-truth", 0, 4)
    assert closing.need(100) == "close"
    assert closing.need(101) == "wait"


def test_label_ends_asked_before_the_watermark_passed_are_asked_again() -> None:
    """End offsets are good only for boundaries that the predictions had passed when they were asked for."""
    closing = Closing(grace=0, partitions=1)
    closing.read("predictions", 0, 1, 150)
    assert closing.need(100) == "label ends"
    closing.label_ends(150, {})
    assert closing.need(100) == "close"
    closing.read("predictions", 0, 2, 250)
    assert closing.need(200) == "label ends"


def test_flush_closes_what_nothing_newer_would() -> None:
    """A forced boundary still waits until everything the broker has by then is read."""
    closing = Closing(grace=10, partitions=1)
    closing.read("predictions", 0, 1, 50)
    closing.force(100)
    assert closing.need(100) == "prediction ends"
    closing.prediction_ends(110, {("predictions", 0): 2})
    assert closing.need(100) == "wait"
    closing.read("predictions", 0, 2, 60)
    assert closing.need(100) == "label ends"
