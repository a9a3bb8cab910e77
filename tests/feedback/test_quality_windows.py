"""Reported quality equals scikit-learn's on the same rows, whatever the order, the workers and the crashes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contracts.events import QualityPaneCounted
from feedback.domain.cells import Cell, glance
from feedback.domain.panes import PaneKey, Position, Segments
from feedback.domain.task import Task
from feedback.domain.windows import Windows
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_world import HORIZON, PARTITIONS, Truth, Worker, batch, close_all, owner
from sklearn import metrics as skm
from summaries.calibration import Calibration
from summaries.quality import Classification

WINDOWS = Windows(size=100, step=50)
CLASSES = ("no", "yes")
EPS = float(np.finfo(np.float64).eps)


def classified(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Predictions of two classes with probabilities."""
    p = rng.integers(0, 101, n) / 100
    return {
        "predictions": [CLASSES[int(v > 0.5)] for v in p],
        "probabilities": {"no": (1 - p).tolist(), "yes": p.tolist()},
    }


def numbers(rng: np.random.Generator, n: int) -> list[float]:
    """Numbers that the sums' units of 2⁻⁴⁰ hold without rounding: truths may lie close together, and R² divides by that."""
    return (np.round(rng.normal(0, 3, n) * 1024) / 1024).tolist()


def regressed(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Predicted numbers."""
    return {"predictions": numbers(rng, n)}


def play(
    seed: int, kind: str, batches: int = 12, segments: Segments = Segments()
) -> tuple[list[Truth], list[QualityPaneCounted]]:
    """A world: batches, labels late, twice and corrected; chunks, and crashes before and after panes are out."""
    rng = np.random.default_rng(seed)
    predict = classified if kind == "classes" else regressed
    rows: list[Truth] = []
    told: list[QualityPaneCounted] = []
    scripts: list[list[Any]] = [[] for _ in range(PARTITIONS)]
    for number in range(batches):
        script, n = scripts[int(rng.integers(PARTITIONS))], int(rng.integers(1, 7))
        times = [int(t) for t in rng.integers(0, 400, n)]
        made = batch(number, "m", "1" if number % 3 else "2", times, rng, **predict(rng, n))
        mine = [Truth(made, i) for i in range(n)]
        rows += mine
        script.append((made, mine))
        for row in mine:
            for _ in range(int(rng.integers(0, 4))):
                truth = CLASSES[int(rng.integers(2))] if kind == "classes" else numbers(rng, 1)[0]
                # Later in the script than its batch: the join would hold it until then.
                script.insert(
                    int(rng.integers(script.index((made, mine)), len(script))) + 1,
                    (row, truth, row.row.event_time + int(rng.integers(-20, 500))),
                )
    for partition, script in enumerate(scripts):
        worker, at, epoch = Worker(WINDOWS, segments), 0, 0
        while at < len(script):
            chunk = script[at : at + int(rng.integers(1, 9))]
            before, ahead = worker.position, worker.panes.ahead
            labelled = _take(worker, chunk)
            while worker.position.predictions < ahead.predictions or worker.position.labels < ahead.labels:
                chunk.append(script[at + len(chunk)])  # as far as panes are out
                labelled += _take(worker, chunk[-1:])
            published = worker.panes.publish(partition, epoch, worker.position)
            fate = rng.random()
            if fate >= 0.15:
                told += published
            if fate >= 0.3:
                at += len(chunk)
                continue
            # It died before its position was told; another goes on from there with the panes that are out.
            epoch += 1
            worker.begin()
            worker.saved.clear()
            worker.panes.restore(
                {PaneKey.of(p): p for p in told if p.partition == partition}.values(), before
            )
            worker.position = before
            for row in reversed(labelled):
                row.known.pop()
    return rows, told


def _take(worker: Worker, chunk: list[Any]) -> list[Truth]:
    """Count a chunk; returns the rows that were labelled."""
    labelled: list[Truth] = []
    for what, *more in chunk:
        at = worker.position
        if isinstance(what, Truth):
            joined = what.label(*more, at.labels)
            worker.position = at._replace(labels=at.labels + 1)
            if joined is not None:
                worker.panes.update([joined])
                labelled.append(what)
        else:
            for row in more[0]:
                row.row.offset = at.predictions
            worker.panes.predict(at.predictions, what)
            worker.position = at._replace(predictions=at.predictions + 1)
    return labelled


def expected_classes(rows: list[tuple[Truth, Any]]) -> dict[str, float]:
    """scikit-learn's figures of labelled rows."""
    truth = [k.truth for _, k in rows]
    predicted = [t.row.prediction for t, _ in rows]
    p = np.array([t.row.probabilities[1] for t, _ in rows])
    y = np.array([t == "yes" for t in truth])
    found = {
        "accuracy": skm.accuracy_score(truth, predicted),
        "precision": skm.precision_score(truth, predicted, pos_label="yes", zero_division=0),
        "recall": skm.recall_score(truth, predicted, pos_label="yes", zero_division=0),
        "f1": skm.f1_score(truth, predicted, pos_label="yes", zero_division=0),
        "log_loss": skm.log_loss(y, np.clip(p, EPS, 1 - EPS), labels=[False, True]),
        "brier": skm.brier_score_loss(y, p),
    }
    if 0 < y.sum() < len(y):
        found["auc"] = skm.roc_auc_score(y, p)
    return found


def expected_numbers(rows: list[tuple[Truth, Any]]) -> dict[str, float]:
    """scikit-learn's figures of labelled numbers."""
    truth, predicted = [k.truth for _, k in rows], [t.row.prediction for t, _ in rows]
    found = {
        "mae": skm.mean_absolute_error(truth, predicted),
        "rmse": skm.root_mean_squared_error(truth, predicted),
        "mape": skm.mean_absolute_percentage_error(truth, predicted),
    }
    if len(set(truth)) > 1:
        found["r2"] = skm.r2_score(truth, predicted)
    return found


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_reports_equal_scikit_learn(kind: str, seed: int) -> None:
    """As of each window's last boundary, and by label time, over duplicates, corrections, crashes and any order."""
    rows, told = play(seed, kind)
    rng = np.random.default_rng(seed)
    shuffled = [told[i] for i in rng.permutation(len(told))] + told[:3]
    task = Task("classification", CLASSES) if kind == "classes" else Task("regression")
    quality, labels = owner(WINDOWS)
    until = 400 + HORIZON + 700
    last, by_label = close_all(quality, labels, shuffled, until, lambda model, version: task)
    expected = expected_classes if kind == "classes" else expected_numbers
    for version in ("1", "2"):
        mine = [t for t in rows if t.shape.version == version]
        for start in range(-100, 400, 50):
            inside = [t for t in mine if start <= t.row.event_time < start + 100]
            report = last.get((start, version))
            if not inside:
                assert report is None or report.predicted == 0
                continue
            assert report is not None
            known = [(t, k) for t in inside if (k := t.as_of(report.as_of)) is not None]
            assert (report.predicted, report.labelled) == (len(inside), len(known))
            firsts = [t.known[0].label_time - t.row.event_time for t, _ in known]
            if known:
                assert report.label_delay_mean == pytest.approx(np.mean(firsts))
                for name, value in expected(known).items():
                    assert report.metrics[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
            assert report.status == ("ok" if len(known) >= 5 else "insufficient data")
        for (start, its), said in by_label.items():
            if its != version:
                continue
            known = [
                (t, t.known[-1]) for t in mine if t.known and start <= t.known[-1].label_time < start + 100
            ]
            assert said.labelled == len(known)
            for name, value in expected(known).items() if known else ():
                assert said.metrics[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_segments_add_up_to_the_window(seed: int) -> None:
    """The values of a feature have the rows that they have, and together all of them."""
    rows, told = play(seed, "classes", segments=Segments(("where", "nowhere")))
    quality, labels = owner(WINDOWS, segments=("where", "nowhere"))
    task = Task("classification", CLASSES)
    last, _ = close_all(quality, labels, told, 2000, lambda model, version: task)
    assert last
    for (start, version), report in last.items():
        inside = [t for t in rows if t.shape.version == version and start <= t.row.event_time < start + 100]
        for value, segment in report.segments["where"].items():
            mine = [t for t in inside if t.row.features[0] == value]
            known = [(t, k) for t in mine if (k := t.as_of(report.as_of)) is not None]
            assert (segment.predicted, segment.labelled) == (len(mine), len(known))
            if known:
                assert segment.metrics["accuracy"] == pytest.approx(expected_classes(known)["accuracy"])
        assert sum(s.predicted for s in report.segments["where"].values()) == report.predicted
        if report.predicted:
            assert report.segments["nowhere"]["(missing)"].predicted == report.predicted


def test_a_report_says_what_was_known_as_of_its_boundary() -> None:
    """Each revision counts the labels before its boundary, a correction from its own label time on, and no others."""
    rng = np.random.default_rng(0)
    windows = Windows(size=100, step=100)
    worker = Worker(windows)
    made = batch(
        0,
        "m",
        "1",
        [10, 20],
        rng,
        predictions=["yes", "yes"],
        probabilities={"no": [0.2, 0.3], "yes": [0.8, 0.7]},
    )
    worker.panes.predict(0, made)
    one, two = Truth(made, 0), Truth(made, 1)
    joined = [one.label("yes", 50, 0), two.label("yes", 150, 1), one.label("no", 250, 2)]
    worker.panes.update([j for j in joined if j is not None])
    told = worker.panes.publish(0, 1, Position(1, 3))
    quality, labels = owner(windows)
    for pane in told:
        quality.absorb(pane)
        labels.absorb(pane)
    said = []
    for _ in range(3):
        boundary = quality.next_boundary()
        assert boundary is not None
        said += [
            (r.as_of, r.revision, r.labelled, r.metrics.get("accuracy"))
            for r in quality.close(boundary, lambda m, v: None, {})
            if r.window_start == 0
        ]
    assert said == [(100, 0, 1, 1.0), (200, 1, 2, 1.0), (300, 2, 2, 0.5)]


def test_folded_panes_say_the_same() -> None:
    """A worker that puts decided label panes together changes no later report."""
    cell = Cell()
    for at in (0, 50, 100):
        tally = cell.tally(at)
        tally.labelled += 1
        tally.delays.update([at + 5])
    before = cell.until(150).to_bytes()
    cell.fold(100)
    assert len(cell.label_panes) == 2
    assert cell.until(150).to_bytes() == before
    assert len(glance(cell.to_bytes()).label_panes) == 2


def test_quality_is_estimated_before_labels_come() -> None:
    """With a calibration the report bears what accuracy is to be expected, before any label; without one nothing."""
    rng = np.random.default_rng(1)
    reference = Classification(CLASSES)
    p = rng.random(4_000)
    truth = [CLASSES[int(v)] for v in rng.random(4_000) < p]
    reference.update(truth, [CLASSES[int(v > 0.5)] for v in p], {"yes": p})
    worker = Worker(WINDOWS)
    made = batch(0, "m", "1", [10] * 500, rng, **classified(rng, 500))
    worker.panes.predict(0, made)
    told = worker.panes.publish(0, 1, Position(1, 0))
    for calibration in (Calibration.fit(reference), None):
        quality, labels = owner(WINDOWS)
        task = Task("classification", CLASSES, calibration)
        last, _ = close_all(quality, labels, told, 100, lambda m, v, task=task: task)  # type: ignore[misc]
        estimated = last[0, "1"].estimated
        if calibration is None:
            assert estimated == {}
        else:
            scores = np.array((made.probabilities or {})["yes"])
            assert estimated["accuracy"] == pytest.approx(np.maximum(scores, 1 - scores).mean(), abs=0.03)


def test_who_comes_to_decide_goes_on() -> None:
    """A boundary that was published in part is decided again without what is there; the rest has its next revisions."""
    _, told = play(7, "classes")
    task = Task("classification", CLASSES)
    quality, labels = owner(WINDOWS)
    for pane in told:
        quality.absorb(pane)
        labels.absorb(pane)
    reports: list[Any] = []
    labelled: list[Any] = []
    boundaries = []
    while len(boundaries) < 6:
        boundary = quality.next_boundary()
        assert boundary is not None
        boundaries.append(boundary)
        reports.append(quality.close(boundary, lambda m, v: task, {}))
        labelled.append(labels.close(boundary, lambda m, v: task))
    done = [r for part in reports[:5] for r in part] + reports[5][:1]
    again, labels_again = owner(WINDOWS)
    again.restore(done, boundaries[4])
    labels_again.restore([r for part in labelled[:5] for r in part], boundaries[4])
    for pane in told:
        again.absorb(pane)
        labels_again.absorb(pane)
    assert again.next_boundary() == boundaries[5]
    assert again.close(boundaries[5], lambda m, v: task, {}) == reports[5][1:]
    assert labels_again.close(boundaries[5], lambda m, v: task) == labelled[5]
