"""The join and the quality windows give, for any order of arrival, what one pass over the rows gives."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.codec import encode, prediction_id
from contracts.events import (
    GroundTruthReceived,
    Label,
    LabelsReported,
    OutcomesJoined,
    PredictionsMade,
    QualityPaneCounted,
    QualityReported,
)
from feedback.domain.cells import MAX_CLASSES
from feedback.domain.closing import Closing
from feedback.domain.compose import compose, outcome_id
from feedback.domain.label_windows import LabelWindows
from feedback.domain.panes import PaneKey, Panes, Position, Segments
from feedback.domain.partition_join import PartitionJoin
from feedback.domain.quality_windows import QualityWindows
from feedback.domain.rows import Joined
from feedback.domain.size import MAX_BYTES
from feedback.domain.store import MemoryStore
from feedback.domain.task import Task
from feedback.domain.truth import same
from feedback.domain.windows import Windows
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from trainer.domain.ledger import Ledger

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


def numbers(number: int, times: Sequence[int], predicted: Sequence[Label]) -> PredictionsMade:
    """A batch of a regression."""
    return PredictionsMade(
        batch_id=batch_id(number),
        model="m",
        version="1",
        event_time=list(times),
        features={},
        predictions=list(predicted),
    )


def labels(*rows: tuple[int, int, Label, int]) -> GroundTruthReceived:
    """An upload of (batch, row, truth, label_time)."""
    return GroundTruthReceived(
        upload_id="u",
        prediction_id=[prediction_id(batch_id(b), r) for b, r, _, _ in rows],
        truth=[t for _, _, t, _ in rows],
        label_time=[time for _, _, _, time in rows],
    )


class World:
    """One partition's join, panes and windows together, fed by hand; ``restart`` begins them anew from what is out."""

    def __init__(self, windows: Windows = WINDOWS, horizon: int = HORIZON) -> None:
        self.windows, self.horizon = windows, horizon
        self.task: Task | None = Task("classification", CLASSES)
        self.outcomes: list[OutcomesJoined] = []
        self.reports: list[QualityReported] = []
        self.labelled: list[LabelsReported] = []
        self.refused: list[str] = []
        self.log: dict[str, list[Any]] = {"predictions": [], "ground-truth": []}
        self._told: list[QualityPaneCounted] = []
        self._decided: int | None = None
        self._begin(None)

    def _begin(self, before: PartitionJoin | None) -> None:
        self.join = PartitionJoin(
            MemoryStore(), self.horizon, counts=before.counts.as_dict() if before else None
        )
        saved: dict[PaneKey, dict[str, bytes]] = {}
        self.panes = Panes(self.windows, self.horizon, Segments(), saved.get, saved.update)
        self.quality = QualityWindows(self.windows, self.horizon)
        self.labels = LabelWindows(self.windows, self.horizon)

    def predict(self, event: PredictionsMade) -> None:
        offset = len(self.log["predictions"])
        self.log["predictions"].append(event)
        found = self.join.predict([(offset, event, len(encode(event, source="test")[0]))])
        self.refused += [reason for _, reason in found.refused]
        for at, made in found.taken:
            self.panes.predict(at, made)
        self._joined(found.released)

    def label(self, event: GroundTruthReceived) -> None:
        offset = len(self.log["ground-truth"])
        self.log["ground-truth"].append(event)
        found = self.join.label([(offset, event)])
        self.refused += [reason for _, reason in found.refused]
        self._joined(found.joined)

    def _joined(self, joined: list[Joined]) -> None:
        self.panes.update(joined)
        self.outcomes += compose(joined)

    @property
    def position(self) -> Position:
        """What is read."""
        return Position(len(self.log["predictions"]), len(self.log["ground-truth"]))

    def tell(self) -> None:
        """Publish the panes that changed, and let them be summed."""
        told = self.panes.publish(0, 0, self.position)
        self._told += told
        for pane in told:
            self.quality.absorb(pane)
            self.labels.absorb(pane)

    def next_boundary(self) -> int | None:
        self.tell()
        return self.quality.next_boundary()

    def close(self, boundary: int, serving: Mapping[str, str] = {}) -> list[QualityReported]:
        self.tell()
        reports = self.quality.close(boundary, lambda m, v: self.task, serving)
        self.labelled += self.labels.close(boundary, lambda m, v: self.task)
        self.join.expire(boundary)
        self.panes.decided = self._decided = boundary
        self.reports += reports
        return reports

    def restart(self) -> None:
        """Another worker takes over, on another disk: silently from the log, and from what is published."""
        self.tell()
        before = self.join
        self._begin(before)
        with self.join.rebuild(before.needed(), before.decided):
            first = self.join.positions
            for topic, take in (("predictions", self.join.predict), ("ground-truth", self.join.label)):
                for offset, event in enumerate(self.log[topic]):
                    if offset >= first[topic]:
                        take([(offset, event, 1_000) if topic == "predictions" else (offset, event)])
        self.panes.decided = self._decided
        self.panes.restore({PaneKey.of(pane): pane for pane in self._told}.values(), self.position)
        self.quality.restore(self.reports, self._decided)
        self.labels.restore(self.labelled, self._decided)
        for pane in self._told:
            self.quality.absorb(pane)
            self.labels.absorb(pane)

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


@settings(max_examples=50, deadline=None)
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
    for upload in uploads:
        straight.label(upload)
    # Each topic keeps its order, as in a partition; predictions may even come twice.
    left: list[list[object]] = [[*events], [*uploads]]
    while left[0] or left[1]:
        side = rng.choice([i for i in (0, 1) if left[i]])
        item = left[side].pop(0)
        if isinstance(item, PredictionsMade):
            mixed.predict(item)
            if rng.random() < 0.2:
                mixed.predict(item)
        else:
            assert isinstance(item, GroundTruthReceived)
            mixed.label(item)
    first = WINDOWS.boundary_after(min(t for e in events for t in e.event_time))
    for boundary in range(first, 10 * HOUR, HOUR):
        assert mixed.close(boundary) == straight.close(boundary)
    assert mixed.rows() == straight.rows()
    counts, expected = mixed.join.counts.as_dict(), straight.join.counts.as_dict()
    counts.pop("repeated_batches")
    expected.pop("repeated_batches")
    assert counts == expected
    assert counts["labelled_distinct"] == sum(
        counts[n] for n in ("joined", "held", "unknown", "expired_labelled")
    )
    assert counts["labelled_distinct"] == len({(b, r) for b, r, _, _ in truths})
    assert counts["predicted"] == counts["joined"] + counts["pending"] + counts["expired"]


@settings(max_examples=50, deadline=None)
@given(batches, label_rows)
def test_reports_equal_one_pass_over_the_rows(
    content: list[tuple[list[float], int, str]], truths: list[tuple[int, int, str, int]]
) -> None:
    """Labels in any order of time, with corrections and duplicates: the last report of a window counts, of
    each row, the truth that was uploaded last, and the delay of the one uploaded first."""
    events = [made(i, [t + j for j in range(len(s))], s, v) for i, (s, t, v) in enumerate(content)]
    world = World()
    for event in events:
        world.predict(event)
    for row in truths:
        world.label(labels(row))
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
                known = [(t, y) for b, r, y, t in truths if (b, r) == (i, j)]
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


# Few rows and few moments, so that labels meet: three batches of two rows each, which come at any time.
quarters = st.integers(0, 12).map(lambda n: n * HOUR // 4)
predict_steps = st.tuples(st.just("predict"), quarters)
label_steps = st.tuples(
    st.just("label"), st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from(CLASSES), quarters)
)
close_steps = st.tuples(st.just("close"), st.integers(1, 3))
restart_steps = st.tuples(st.just("restart"), st.none())
histories = st.tuples(
    st.lists(predict_steps, min_size=3, max_size=3),
    st.lists(label_steps, min_size=3, max_size=20),
    st.lists(st.one_of(close_steps, restart_steps), max_size=6),
).flatmap(lambda parts: st.permutations([step for part in parts for step in part]))


@pytest.mark.parametrize("step", [HOUR, HOUR // 2])
@settings(max_examples=40, deadline=None)
@given(histories)
def test_reports_count_what_the_trainer_counts(step: int, history: list[tuple[str, Any]]) -> None:
    """Whatever the order of labels, predictions, boundaries and restarts: as of each boundary the reports say
    the rows and the truths that the trainer's ledger finds in the outcomes published by then."""
    world = World(Windows(HOUR, step), horizon=3 * HOUR)
    predicted: dict[str, str] = {}
    for what, content in [*history, ("close", 12)]:
        if what == "predict":
            event = made(len(predicted) // 2, [content, content], [0.9, 0.1], str(len(predicted) % 3))
            predicted |= {prediction_id(event.batch_id, j): str(p) for j, p in enumerate(event.predictions)}
            world.predict(event)
        elif what == "label":
            world.label(labels(content))
        elif what == "restart":
            world.restart()
        for _ in range(content if what == "close" else 0):
            boundary = world.next_boundary()
            if boundary is None:
                break
            world.close(boundary)
            check_against_the_ledger(world, boundary, predicted)


def check_against_the_ledger(world: World, boundary: int, predicted: dict[str, str]) -> None:
    """Hold the last report of each window against the trainer's own count."""
    ledger = Ledger()
    for outcomes in world.outcomes:
        ledger.update(outcomes)
    latest = {(r.window_start, r.version): r for r in world.reports}
    for start in {start for start, _ in latest}:
        reports = [r for (s, _), r in latest.items() if s == start]
        counted = ledger.labelled(start, start + HOUR, boundary)
        assert sum(r.labelled for r in reports) == counted
        rows = ledger.get(boundary, start + HOUR)
        rows = rows.take(rows.event_time >= start)
        said = {
            (t, p): sum((r.confusion or {}).get(t, {}).get(p, 0) for r in reports)
            for t in CLASSES
            for p in CLASSES
        }
        found = dict.fromkeys(said, 0)
        for text, truth in zip(rows.prediction_id, rows.truth, strict=True):
            found[truth, predicted[text]] += 1
        assert said == found


def test_a_label_uploaded_later_does_not_become_known_earlier() -> None:
    """Of two labels of one row uploaded newest first, reports and outcomes date the row by the first upload."""
    for second in ("yes", "no"):
        world = World()
        world.predict(made(1, [10], [0.9]))
        world.label(labels((1, 0, "yes", 2 * HOUR)))
        world.label(labels((1, 0, second, HOUR)))
        assert {t for o in world.outcomes for t in o.label_time} == {2 * HOUR}
        assert [world.close(HOUR * k)[0].labelled for k in (1, 2, 3)] == [0, 0, 1]


def test_a_report_as_of_a_boundary_counts_only_labels_before_it() -> None:
    """A label known at B or later is not in a report as of B but in the next; revisions are numbered."""
    world = World()
    world.predict(made(1, [10, 20], [0.9, 0.1]))
    world.label(labels((1, 0, "yes", 30), (1, 1, "yes", HOUR)))
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
    reports = world.close(HOUR, {"m": "2"})
    assert [(r.version, r.predicted) for r in reports] == [("1", 1), ("2", 1)]
    reports = world.close(2 * HOUR, {"m": "3"})
    assert [(r.version, r.predicted, r.coverage) for r in reports] == [("3", 0, 0.0)]


def test_a_correction_moves_the_counts_and_names_the_old_truth() -> None:
    """The label uploaded last stands, from its label_time or that of the truth it replaces, whichever is later;
    its outcome carries the old truth and the next revision."""
    world = World()
    world.predict(made(1, [10], [0.9]))
    world.label(labels((1, 0, "no", 20)))
    world.label(labels((1, 0, "yes", HOUR + 1), (1, 0, "yes", HOUR + 2)))
    world.label(labels((1, 0, "no", 15)))
    outcomes = [(o.truth, o.corrected_from, o.revision, o.label_time) for o in world.outcomes]
    assert outcomes == [
        (["no"], [None], [0], [20]),
        (["yes"], ["no"], [1], [HOUR + 1]),
        (["no"], ["yes"], [2], [HOUR + 1]),
    ]
    assert world.close(HOUR)[0].metrics["accuracy"] == 0.0
    assert [r.window_start for r in world.close(2 * HOUR)] == [HOUR]  # corrected twice: as before
    counts = world.join.counts.as_dict()
    assert (counts["joined"], counts["corrections"], counts["duplicates"]) == (1, 2, 1)


def test_what_waits_for_the_whole_horizon_expires() -> None:
    """After the horizon a prediction is expired, a held truth unknown, and a later label refused."""
    world = World()
    world.predict(made(1, [0, 1], [0.9, 0.1]))
    world.label(labels((9, 0, "yes", 10), (1, 0, "yes", HORIZON)))
    text = prediction_id(batch_id(9), 0)
    assert world.join.state(text)["state"] == "pending"
    for boundary in range(HOUR, HORIZON + 2 * HOUR, HOUR):
        world.close(boundary)
    assert world.join.state(text)["state"] == "unknown"
    assert world.join.state(prediction_id(batch_id(1), 0))["state"] == "expired"
    counts = world.join.counts.as_dict()
    assert (counts["expired"], counts["unknown"], counts["expired_labelled"], counts["joined"]) == (
        2,
        1,
        1,
        0,
    )
    assert [r.final for r in world.reports if r.window_start == 0] == [False, True]
    world.label(labels((1, 1, "no", 5)))  # known in time, uploaded late: it still joins
    counts = world.join.counts.as_dict()
    assert (counts["expired"], counts["joined"], counts["labelled_distinct"]) == (1, 1, 3)


def test_a_restart_goes_on_after_the_last_boundary() -> None:
    """State rebuilt from the log and the published reports gives the reports an unbroken run would give."""

    def log(world: World) -> None:
        world.predict(made(1, [10, 20], [0.9, 0.1]))
        world.predict(made(2, [HOUR + 5, HOUR + 6], [0.2, 0.7]))
        world.predict(made(3, [2 * HOUR + 5], [0.2], "2"))
        world.label(labels((1, 0, "yes", 30), (1, 1, "yes", HOUR), (2, 0, "no", 2 * HOUR + 1)))

    whole, broken, restarted = World(), World(), World()
    for world in (whole, broken, restarted):
        log(world)
    for boundary in (HOUR, 2 * HOUR):
        whole.close(boundary)
        broken.close(boundary)
    restarted.quality.restore(broken.reports, 2 * HOUR)
    restarted.labels.restore(broken.labelled, 2 * HOUR)
    assert restarted.quality.next_boundary() == 3 * HOUR
    for boundary in (3 * HOUR, 4 * HOUR):
        assert restarted.close(boundary) == whole.close(boundary)


def regression(*rows: tuple[Label, Label]) -> tuple[World, QualityReported]:
    """A world in which a regression's rows (truth, prediction) have their labels, and its first report."""
    world = World()
    world.task = Task("regression")
    world.predict(numbers(1, range(len(rows)), [predicted for _, predicted in rows]))
    world.label(labels(*((1, i, truth, 5) for i, (truth, _) in enumerate(rows))))
    return world, world.close(HOUR)[0]


def test_a_regression_is_measured_as_one() -> None:
    """Numbers give MAE and R², corrections included, and no confusion."""
    world, _ = regression((1.5, 1.0), (2, 2.5), (9.0, 2.0))
    world.label(labels((1, 2, 3.0, HOUR)))
    report = world.close(2 * HOUR)[0]
    assert report.metrics["mae"] == pytest.approx(sk.mean_absolute_error([1.5, 2, 3], [1, 2.5, 2]))
    assert report.metrics["r2"] == pytest.approx(sk.r2_score([1.5, 2, 3], [1, 2.5, 2]))
    assert report.confusion is None


@pytest.mark.parametrize("truth", ["nan", "inf", "-Infinity", "1e999", "9" * 400, "1e160", 1e160, "late", ""])
def test_a_truth_that_a_regression_cannot_use_is_counted_apart(truth: Label) -> None:
    """NaN, infinities, numbers beyond ±1e150 and words stay labelled rows, but are left out of the metrics."""
    world, report = regression((truth, 1.0), (2.0, 3.0))
    assert (report.labelled, report.metrics["mae"], world.labels.unusable_truths) == (2, 1.0, 1)
    world.label(labels((1, 0, 1.0, HOUR)))
    assert world.close(2 * HOUR)[0].metrics["mae"] == 0.5
    assert world.labels.unusable_truths == 0


def test_a_prediction_that_is_no_number_stops_no_regression() -> None:
    """A row whose prediction cannot be measured is left out too."""
    world, report = regression((1.0, "?"), (1.0, 1e300), (2.0, 3.0))
    assert (report.metrics["mae"], world.labels.unusable_truths) == (1.0, 2)


def test_a_truth_counts_once_in_windows_that_overlap() -> None:
    """Rows with an unusable truth are counted, however many windows hold them."""
    world = World(Windows(HOUR, HOUR // 4))
    world.task = Task("regression")
    world.predict(numbers(1, [HOUR], [1.0]))
    world.label(labels((1, 0, "nan", HOUR)))
    for k in range(5, 12):
        world.close(k * HOUR // 4)
    assert world.labels.unusable_truths == 1


def test_classes_that_the_version_does_not_know_are_counted() -> None:
    """A new class is news: it is counted as (other) and as unknown, until it is corrected."""
    world = World()
    world.predict(made(1, [10, 20], [0.9, 0.1]))
    world.label(labels((1, 0, "nan", 30), (1, 1, "no", 30)))
    (report,) = world.close(HOUR)
    assert report.confusion is not None
    assert report.confusion["(other)"] == {"no": 0, "yes": 1, "(other)": 0}
    assert world.labels.unknown_classes == 1
    world.label(labels((1, 0, "yes", HOUR)))
    world.close(2 * HOUR)
    assert world.labels.unknown_classes == 0


@pytest.mark.parametrize(
    "task",
    [
        Task("classification"),
        Task("classification", ("a",)),
        Task("classification", ("a", "a")),
        Task("classification", tuple(map(str, range(MAX_CLASSES + 1)))),
        Task("ranking"),
    ],
)
def test_a_task_that_cannot_be_measured_stops_nothing(task: Task) -> None:
    """A profile without two classes, or of a kind unheard of, gives reports that count and measure nothing."""
    world = World()
    world.task = task
    world.predict(numbers(1, [1], ["a"]))
    world.label(labels((1, 0, "a", 5)))
    (report,) = world.close(HOUR)
    assert (report.labelled, report.metrics, report.confusion, report.final) == (1, {}, None, True)


def test_until_a_task_is_known_reports_count_and_measure_nothing() -> None:
    """Whole numbers are not guessed to be classes: metrics come, with a revision, once the task is known."""
    world = World()
    world.task = None
    world.predict(numbers(1, [1, 2], [1, 2]))
    world.label(labels((1, 0, 1, 5), (1, 1, 4, 5)))
    (first,) = world.close(HOUR)
    assert (first.predicted, first.labelled, first.metrics, first.final) == (2, 2, {}, False)
    world.task = Task("regression")
    second = world.close(2 * HOUR)[0]
    assert (second.window_start, second.revision, second.metrics["mae"], second.final) == (0, 1, 1.0, True)


def test_a_restart_without_a_task_takes_no_metrics_back() -> None:
    """A window that was measured is not reported anew while the registry cannot say what is measured."""
    world, report = regression((1.0, 2.0))
    world.task = None
    world.restart()
    assert report.metrics["mae"] == 1.0
    assert [r.window_start for r in world.close(2 * HOUR)] == [HOUR]


def test_rows_with_impossible_probabilities_lose_only_their_own() -> None:
    """A probability beyond [0, 1] leaves its row without losses, whichever rows it comes with."""
    together, apart = World(), World()
    for world in (together, apart):
        event = made(1, [10, 20], [0.9, 0.2])
        event.probabilities["yes"][1] = 1.5  # type: ignore[index]
        world.predict(event)
    together.label(labels((1, 0, "yes", 30), (1, 1, "no", 30)))
    apart.label(labels((1, 0, "yes", 30)))
    apart.label(labels((1, 1, "no", HOUR)))
    apart.close(HOUR)
    together.close(HOUR)
    assert apart.close(2 * HOUR)[0].metrics == together.reports[0].metrics
    assert together.reports[0].metrics["log_loss"] == pytest.approx(-np.log(0.9))


def test_what_comes_two_horizons_late_is_in_no_window() -> None:
    """A prediction whose pane is struck out is counted as such: its truth is too late, and its window not begun anew."""
    world = World(horizon=HOUR)
    world.predict(made(1, [10], [0.9]))
    world.label(labels((1, 0, "yes", 30)))
    for k in range(1, 6):
        world.close(k * HOUR)
    world.predict(made(2, [20], [0.9]))
    world.label(labels((2, 0, "no", 30)))
    assert 0 not in {r.window_start for r in world.close(6 * HOUR)}
    counts = world.join.counts
    assert (world.panes.uncounted, counts.expired, counts.joined) == (1, 1, 1)


def test_a_window_without_rows_has_its_last_report_too() -> None:
    """It is reported when it ends, and as final when no label may come any more."""
    world = World(horizon=2 * HOUR)
    world.predict(made(1, [10], [0.9]))
    for k in range(1, 6):
        world.close(k * HOUR)
    assert [(r.as_of, r.final) for r in world.reports if r.window_start == HOUR] == [
        (2 * HOUR, False),
        (4 * HOUR, True),
    ]


def test_a_report_with_many_segments_fits_a_record() -> None:
    """Values are cut to a length that a record can hold, and the rarest are told as others where it still is too much."""
    world = World()
    world.panes.segments = Segments(("name",), 1_000)
    world.quality.segments, world.quality.segment_values = ("name",), 900
    rows = 900
    event = msgspec.structs.replace(
        made(1, [10] * rows, [0.9] * rows),
        features={"name": [f"{'v' * 20_000} {i}" for i in range(rows)]},
    )
    world.panes.predict(0, event)
    (report,) = world.close(HOUR)
    assert len(encode(report, source="feedback")[0]) < 900_000
    assert sum(s.predicted for s in report.segments["name"].values()) == rows
    assert max(map(len, report.segments["name"])) < 120


def test_panes_of_epochs_that_are_over_are_struck_out_with_the_pane() -> None:
    """Else one would be taken for the pane once the newer record is gone; and what is too old is struck out when seen."""
    world = World(horizon=HOUR)
    world.predict(made(1, [10], [0.9]))
    (old, *_) = world.panes.publish(0, 1, world.position)
    new = msgspec.structs.replace(old, epoch=2)
    for pane in (old, new):
        world.quality.absorb(pane)
    for k in range(1, 6):
        world.close(k * HOUR)
    assert sorted(pane.epoch for pane in world.quality.forget()) == [1, 2]
    world.quality.absorb(old)
    assert [r.window_start for r in world.close(6 * HOUR) if r.window_start == 0] == []
    assert [pane.epoch for pane in world.quality.forget()] == [1]


def test_a_confusion_too_large_for_a_record_is_left_out() -> None:
    """A report stays below Kafka's limit, with however many classes."""
    classes = tuple(f"a class with a long name, number {i}" for i in range(500))
    world = World()
    world.task = Task("classification", classes)
    world.predict(numbers(1, [1], [classes[0]]))
    world.label(labels((1, 0, classes[0], 5)))
    (report,) = world.close(HOUR)
    assert (report.metrics["accuracy"], report.confusion) == (1.0, None)


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
    world.label(bad)
    assert len(world.refused) == 1
    assert world.join.counts.as_dict()["joined"] == 0


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
    world.label(labels(*((1, r, "yes", 2) for r in range(rows))))
    sizes = [len(encode(o, source="feedback")[0]) for o in world.outcomes]
    assert len(sizes) > 1
    assert max(sizes) < 900_000 > MAX_BYTES
    assert len({outcome_id(o) for o in world.outcomes}) == len(sizes)
    assert sum(len(o.truth) for o in world.outcomes) == rows


def test_vectors_go_along_and_are_split_below_kafkas_limit() -> None:
    """An image stays with its row, and one that is missing stays missing."""
    n = 90
    images = [None if i == 7 else [i + 0.123456789] * 2000 for i in range(n)]
    event = msgspec.structs.replace(made(1, [HOUR] * n, [0.5] * n), vectors={"image": images})
    world = World()
    world.predict(event)
    ids = [prediction_id(batch_id(1), i) for i in range(n)]
    world.label(
        GroundTruthReceived(upload_id="u", prediction_id=ids, truth=["yes"] * n, label_time=[2 * HOUR] * n)
    )
    outcomes = world.outcomes
    assert len(outcomes) > 1
    assert max(len(encode(o, source="feedback")[0]) for o in outcomes) < 900_000
    seen = {
        name: image
        for o in outcomes
        for name, image in zip(o.prediction_id, (o.vectors or {})["image"], strict=True)
    }
    assert seen == dict(zip(ids, images, strict=True))


def test_long_truths_are_split_below_kafkas_limit() -> None:
    """What labels hold counts towards a record's size: a batch whose long truths were held gives several."""
    world = World()
    rows = 2_000
    world.label(labels(*((1, r, "é" * 1_000, 2) for r in range(rows))))
    world.predict(numbers(1, [1] * rows, ["yes"] * rows))
    sizes = [len(encode(o, source="feedback")[0]) for o in world.outcomes]
    assert sum(len(o.truth) for o in world.outcomes) == rows
    assert max(sizes) < 900_000


def test_long_names_are_split_below_kafkas_limit() -> None:
    """The names of many features count towards a record's size."""
    world = World()
    names = [f"{'x' * 90}{i}" for i in range(5_000)]
    event = PredictionsMade(
        batch_id=batch_id(1), model="m", version="1", event_time=[1] * 30, predictions=["yes"] * 30,
        features={name: [None] * 30 for name in names},
    )  # fmt: skip
    world.predict(event)
    world.label(labels(*((1, r, "yes", 2) for r in range(30))))
    assert max(len(encode(o, source="feedback")[0]) for o in world.outcomes) < 900_000


@pytest.mark.parametrize(
    "event",
    [
        numbers(1, [2**53], [1]),
        numbers(1, [1], ["x" * 1_000_000]),
        msgspec.structs.replace(numbers(1, [1], [1]), features={"x": ["y" * 1_000_000]}),
        msgspec.structs.replace(numbers(1, [1], [1]), model="m" * 501),
        msgspec.structs.replace(numbers(1, [1], [1]), batch_id="b"),
        labels((1, 0, 10**30, 5)),
        labels((1, 0, "x" * 1_001, 5)),
        labels((1, 0, "yes", 10**400)),
    ],
)
def test_what_no_outcome_can_hold_is_unreadable(event: PredictionsMade | GroundTruthReceived) -> None:
    """A record that would be too large or beyond 64 bits once joined is refused when it is read."""
    world = World()
    world.predict(event) if isinstance(event, PredictionsMade) else world.label(event)
    assert len(world.refused) == 1
    assert not any(world.join.counts.as_dict().values())


def test_one_and_true_are_two_classes() -> None:
    """5, 5.0 and "5" name one class; 1 and true do not."""
    assert same(5, 5.0)
    assert same(5.0, "5")
    assert not same(1, True)


def test_a_held_truth_given_up_still_finds_its_prediction() -> None:
    """A prediction that comes after its label was given up is joined, as it would be after a restart."""
    world = World(horizon=HOUR)
    world.predict(made(1, [10], [0.9]))
    world.label(labels((2, 0, "yes", 20)))
    for k in (1, 2):
        world.close(k * HOUR)
    text = prediction_id(batch_id(2), 0)
    assert (world.join.state(text)["state"], world.join.counts.unknown) == ("unknown", 1)
    world.predict(made(2, [30], [0.9]))
    assert (world.join.state(text)["state"], world.join.counts.unknown, world.join.counts.held) == (
        "joined",
        0,
        0,
    )


@pytest.mark.parametrize(
    "windows", [Windows(HOUR, HOUR, 7), Windows(2 * HOUR, HOUR), Windows(HOUR, HOUR // 2)]
)
def test_another_grid_is_told_from_its_own(windows: Windows) -> None:
    """Windows, or boundaries decided one by one, of another size, origin or step are off the grid."""
    hourly, boundaries = [(0, HOUR), (HOUR, 2 * HOUR)], [HOUR, 2 * HOUR]
    assert WINDOWS.mismatch(hourly, boundaries) is None
    assert windows.mismatch(hourly, boundaries) is not None


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
