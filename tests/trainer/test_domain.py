"""The trainer's domain: the ledger, evidence, selection, the challenge, and when to do what."""

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest
from contracts.events import (
    AlertChanged,
    ConceptTested,
    Label,
    ModelChanged,
    OutcomesJoined,
    QualityReported,
    TrainingDecided,
    WindowTested,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import log_loss, roc_auc_score
from summaries.labels import names_of, text
from trainer.domain.challenge import Scored, auc, challenge, log_losses, mcnemar, proof
from trainer.domain.columns import Column, Labels
from trainer.domain.evidence import Evidence
from trainer.domain.history import History, run_id
from trainer.domain.knowledge import Knowledge
from trainer.domain.ledger import Ledger
from trainer.domain.selection import select, split_point


def outcomes(rows: list[tuple[str, int, int, float, Any, int]]) -> OutcomesJoined:
    """(id, event time, label time, x, truth, revision) a row."""
    ids, event, label, x, truth, revision = map(list, zip(*rows, strict=True))
    return OutcomesJoined(
        model="m",
        version="1",
        prediction_id=ids,
        event_time=event,
        label_time=label,
        features={"x": x, "kind": ["b" if v > 0 else None for v in x]},
        predictions=["a"] * len(rows),
        probabilities=None,
        truth=truth,
        corrected_from=[None] * len(rows),
        revision=revision,
    )


def quality(
    window: tuple[int, int], as_of: int, predicted: int, labelled: int, version: str = "1"
) -> QualityReported:
    """A quality report of which only the counts matter."""
    return QualityReported(
        model="m",
        version=version,
        window_start=window[0],
        window_end=window[1],
        as_of=as_of,
        revision=0,
        final=True,
        predicted=predicted,
        labelled=labelled,
        coverage=0.0,
        label_delay_mean=None,
        metrics={},
        confusion=None,
    )


def report(
    end: int, alert_id: str | None = None, version: str = "1", final: bool = True, rows: int = 9
) -> WindowTested:
    """A drift report of which only the alert matters."""
    return WindowTested(
        model="m",
        version=version,
        window_start=end - 10,
        window_end=end,
        final=final,
        rows=rows,
        late_rows=0,
        status="drift" if alert_id else "ok",
        state="drift" if alert_id else "ok",
        alert_id=alert_id,
        alpha=0.01,
        correction="bh",
        min_effect=0.1,
        features={},
    )


def alert(name: str, end: int, since: int) -> AlertChanged:
    """An alert raised at a window's end."""
    return AlertChanged(
        alert_id=name,
        model="m",
        version="1",
        kind="virtual",
        state="drift",
        previous="ok",
        since=since,
        window_start=end - 10,
        window_end=end,
        features={},
        offsets={},
        reason="x drifted",
    )


def decided(decision: str, as_of: int = 10, labelled: int = 100, alert_id: str = "A") -> TrainingDecided:
    """A past decision."""
    return TrainingDecided(
        run_id=run_id("m", alert_id, as_of),
        model="m",
        alert_id=alert_id,
        as_of=as_of,
        decision=decision,
        reason="",
        since=0,
        until=as_of,
        rows={"labelled": labelled},
        champion_version="1",
        challenger_version=None,
        metrics={},
        gain=None,
        p_value=None,
        mlflow_run_id=None,
        dvc_revision=None,
        data_sha256=None,
    )


# columns and ledger


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=40))
def test_a_column_gives_back_the_text_it_was_given(values: list[str | None]) -> None:
    """Text and gaps come back as they went in, and ranks sort as the text does."""
    column = Column()
    column.update(values)
    everything = np.arange(len(values))
    if any(value is not None for value in values):
        assert column.get(everything).tolist() == values
    ranks = column.rank(everything)
    for (i, a), (j, b) in itertools.combinations(enumerate(values), 2):
        if a is not None and b is not None:
            assert (a < b) == (ranks[i] < ranks[j])


def test_a_column_holds_more_than_a_chunk() -> None:
    """Chunks are joined in order of arrival."""
    column = Column()
    for start in range(0, 20_000, 1_000):
        column.update(range(start, start + 1_000))
    assert np.array_equal(column.get(np.arange(20_000)), np.arange(20_000))
    assert column.get(np.arange(3)).dtype == np.int64
    assert len(column) == 20_000


def test_a_column_of_booleans_keeps_its_gaps() -> None:
    """A missing flag is None among flags, not 0.0 among 1.0."""
    column = Column()
    column.update([True, None, False])
    assert column.get(slice(None)).tolist() == [True, None, False]  # type: ignore[arg-type]


def test_a_column_refuses_a_mixture() -> None:
    """Text among numbers is an error, not a guess."""
    column = Column()
    column.update([1.0, None])
    with pytest.raises(TypeError, match="number"):
        column.update(["a"])


LABELS = st.lists(
    st.sampled_from([5, 5.0, "5", 6, 6.5, "6.5", "yes", "05", True, "true", "nan", -0.0]), max_size=12
)


@given(LABELS, st.randoms(use_true_random=False))
def test_labels_are_one_class_where_they_are_spelled_alike(given_labels: list[Label], random: Any) -> None:
    """Whatever came first, rows have one class exactly where their text is one, and sort the same."""

    def read(labels: list[Label]) -> tuple[list[Any], list[float]]:
        column = Labels()
        for label in labels:
            column.append(column.code([label]))
        everything = np.arange(len(labels))
        return column.get(everything).tolist(), column.rank(everything).tolist()

    classes, ranks = read(given_labels)
    assert [text(c) for c in classes] == [text(label) for label in given_labels]
    order = list(range(len(given_labels)))
    random.shuffle(order)
    shuffled, other = read([given_labels[i] for i in order])
    assert [(type(c), c) for c in shuffled] == [(type(classes[i]), classes[i]) for i in order]
    assert other == [ranks[i] for i in order]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([5, 5.0, "5"], [5, 5, 5]),
        (["5", 6], [5, 6]),
        ([5, "yes", 6.5], ["5", "yes", "6.5"]),
        (["5", "6"], ["5", "6"]),
        ([1.5, "2.5"], [1.5, 2.5]),
        ([True, False], [True, False]),
        ([True, 1], ["true", "1"]),
    ],
)
def test_labels_stay_numbers_while_all_are(labels: list[Label], classes: list[Any]) -> None:
    """Text that spells a number joins the numbers; the first text that does not makes all of them text."""
    column = Labels()
    column.append(column.code(labels))
    found = column.get(np.arange(len(labels))).tolist()
    assert [(type(c), c) for c in found] == [(type(c), c) for c in classes]


def test_a_text_that_came_later_changes_no_earlier_rows() -> None:
    """What rows come back as is decided by those rows alone, so that a replay gives the same snapshot."""
    ledger = Ledger()
    ledger.update(outcomes([("p", 1, 2, 1.0, 5, 0), ("q", 2, 3, 1.0, 6, 0), ("r", 3, 9, 1.0, "six", 0)]))
    assert ledger.get(as_of=5, until=9).truth.tolist() == [5, 6]
    assert ledger.get(as_of=10, until=9).truth.tolist() == ["5", "6", "six"]


@pytest.mark.parametrize(
    "spoil",
    [
        {"features": {"x": [2.0, "two"], "kind": ["b", "b"]}},
        {"features": {"x": [2.0, 2.0], "kind": ["b", 7]}},
        {"features": {"x": [2.0, 10**400], "kind": ["b", "b"]}},
        {"features": {"x": [2.0, 2.0], "kind": ["b", "b"], "new": [1, "one"]}},
        {"revision": [0]},
    ],
)
def test_a_record_that_does_not_fit_leaves_no_trace(spoil: dict[str, Any]) -> None:
    """It is refused whole: the rows before are as they were, and its rows are taken in once they are right."""
    first = [("p", 1, 2, 1.0, 5, 0), ("q", 2, 3, 1.0, 6, 0)]
    second = outcomes([("r", 3, 4, 2.0, 7, 0), ("s", 4, 5, 2.0, 8, 0)])
    ledger, other = Ledger(), Ledger()
    for each in (ledger, other):
        each.update(outcomes(first))
    with pytest.raises((TypeError, ValueError)):
        ledger.update(msgspec.structs.replace(second, **spoil))
    for _ in range(2):
        rows, expected = (each.get(as_of=9, until=9) for each in (ledger, other))
        assert rows.prediction_id.tolist() == expected.prediction_id.tolist()
        assert rows.truth.tolist() == expected.truth.tolist()
        assert {n: c.tolist() for n, c in rows.features.items()} == {
            n: c.tolist() for n, c in expected.features.items()
        }
        assert len(ledger) == len(other) == len(rows)
        for each in (ledger, other):
            each.update(second)
    assert rows.truth.tolist() == [5, 6, 7, 8]


def test_a_regression_takes_numbers_only_and_names_the_row_that_has_none() -> None:
    """Text that is a number becomes one; for any other there is a row to correct."""
    ledger = Ledger()
    ledger.update(outcomes([("p", 1, 2, 1.0, "1.50", 0), ("q", 2, 3, 1.0, 2, 0), ("r", 3, 6, 1.0, "n/a", 0)]))
    assert ledger.get(as_of=5, until=9).numeric().truth.tolist() == [1.5, 2.0]
    with pytest.raises(ValueError, match="truth of r is 'n/a'"):
        ledger.get(as_of=9, until=9).numeric()


ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 9), st.sampled_from([-1.0, 0.5, 2.0]), st.sampled_from("ab")),
    min_size=1,
    max_size=20,
)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_arrival_and_repeats_change_nothing(
    world: list[tuple[int, int, float, str]], random: Any
) -> None:
    """The same outcomes, shuffled and some twice, give the same table, whatever their ids are."""
    first, second = Ledger(), Ledger()
    rows = [(f"a{i}", e, e + d, x, t, 0) for i, (e, d, x, t) in enumerate(world)]
    first.update(outcomes(rows))
    other = [(f"b{random.random()}/{i}", *row[1:]) for i, row in enumerate(rows)]
    random.shuffle(other)
    for row in [*other, other[0]]:
        second.update(outcomes([row]))
    one, two = first.get(as_of=8, until=100), second.get(as_of=8, until=100)
    assert len(second) == len(rows)
    for left, right in [(one.event_time, two.event_time), (one.label_time, two.label_time)]:
        assert left.tolist() == right.tolist()
    assert one.truth.tolist() == two.truth.tolist()
    assert one.features["x"].tolist() == two.features["x"].tolist()
    assert set(one.label_time < 8) <= {True}


def test_a_correction_counts_from_its_own_label_time() -> None:
    """Before it was known the old truth holds, after it the new one; the row stays one row."""
    ledger = Ledger()
    ledger.update(outcomes([("p", 1, 2, 1.0, "a", 0), ("q", 2, 3, 1.0, "a", 0)]))
    ledger.update(outcomes([("p", 1, 6, 1.0, "b", 1)]))
    assert ledger.get(as_of=5, until=9).truth.tolist() == ["a", "a"]
    assert ledger.get(as_of=7, until=9).truth.tolist() == ["b", "a"]
    assert [ledger.labelled(*window, as_of=7) for window in ((0, 2), (2, 9))] == [1, 1]


# evidence


def complete(boundary: int, alert_id: str | None = None) -> tuple[Evidence, Ledger]:
    """A boundary with all its evidence."""
    evidence, ledger = Evidence(), Ledger()
    evidence.tested(report(boundary, alert_id))
    evidence.measured(quality((boundary - 10, boundary), boundary, 2, 1))
    ledger.update(outcomes([("p", boundary - 5, boundary - 1, 1.0, "a", 0)]))
    if alert_id:
        evidence.alerted(alert(alert_id, boundary, boundary - 10))
    return evidence, ledger


def due(evidence: Evidence, ledger: Ledger, version: str = "1", after: int | None = None) -> int | None:
    """The next boundary, if it is complete."""
    boundary = evidence.next(version, after)
    return None if boundary is None or evidence.missing(version, boundary, ledger) else boundary


def test_a_boundary_is_due_when_all_evidence_is_here() -> None:
    """Report, quality and outcomes make it due; considered, it is not due again."""
    evidence, ledger = complete(10)
    assert due(evidence, ledger) == 10
    assert due(evidence, ledger, after=10) is None
    assert due(evidence, ledger, "2") is None


@pytest.mark.parametrize("missing", ["report", "final", "quality", "outcomes", "alert"])
def test_a_boundary_waits_for_what_is_missing(missing: str) -> None:
    """Without any one of them nothing is due."""
    evidence, ledger = Evidence(), Ledger()
    if missing != "report":
        evidence.tested(report(10, "A", final=missing != "final"))
    if missing != "quality":
        evidence.measured(quality((0, 10), 10, 2, 1))
    if missing != "outcomes":
        ledger.update(outcomes([("p", 5, 9, 1.0, "a", 0)]))
    if missing != "alert":
        evidence.alerted(alert("A", 10, 0))
    assert due(evidence, ledger) is None


def test_a_version_without_rows_needs_no_quality_report_of_its_own() -> None:
    """Feedback cannot name a version that has not predicted yet; its word for the window is enough."""
    evidence, ledger = Evidence(), Ledger()
    evidence.measured(quality((0, 10), 10, 0, 0, version="1"))
    evidence.tested(report(10, version="2", rows=0))
    assert due(evidence, ledger, "2") == 10
    evidence.tested(report(10, version="2", rows=3))
    assert due(evidence, ledger, "2") is None


def test_a_promotion_that_took_longer_than_a_window_stalls_nothing() -> None:
    """Boundaries decided for the old version meanwhile are passed over: the next one is the new version's."""
    evidence, ledger = complete(10, "A")
    for boundary, version in ((20, "1"), (30, "1"), (40, "2")):
        evidence.tested(report(boundary, version=version, rows=0))
        evidence.measured(quality((boundary - 10, boundary), boundary, 0, 0))
    assert due(evidence, ledger, after=10) == 20
    assert due(evidence, ledger, "2", after=10) == 40


def test_what_a_boundary_waits_for_is_said_in_words() -> None:
    """From nothing to complete, each step names the one thing that is still to come."""
    knowledge = Knowledge("m")
    said = []

    def look() -> int | None:
        boundary = knowledge.due()
        said.append(knowledge.waiting_for)
        return boundary

    look()
    knowledge.changed(
        ModelChanged(
            model="m", version="1", previous_version=None, action="installed", artifact_uri="", sha256="",
            effective_from=0, reason="",
        )
    )  # fmt: skip
    look()
    knowledge.evidence.tested(report(10, "A"))
    look()
    knowledge.evidence.measured(quality((0, 10), 10, 9, 2))
    look()
    knowledge.evidence.alerted(alert("A", 10, 0))
    knowledge.ledger.update(outcomes([("p", 5, 9, 1.0, "a", 0)]))
    look()
    knowledge.ledger.update(outcomes([("q", 5, 9, 1.0, "a", 0)]))
    assert look() == 10
    knowledge.considered_through = 10
    assert look() is None
    assert said == [
        "a version on model-events",
        "a final drift report of version 1",
        "quality report of version 1 as of 10",
        "alert A, named by the drift report as of 10",
        "outcomes: 1 of 2 labelled rows of window [0, 10) as of 10",
        None,
        "a final drift report of version 1 after 10",
    ]


def test_an_alert_that_is_open_but_not_in_drift_asks_for_no_training() -> None:
    """A report may name an alert that is recovering."""
    evidence, _ = complete(10, "A")
    assert evidence.drift_alert("1", 10) is not None
    evidence.tested(msgspec.structs.replace(report(20, "A"), state="recovered"))
    assert evidence.drift_alert("1", 20) is None


def test_what_is_said_later_changes_no_earlier_boundary() -> None:
    """Later quality and a later recovery leave the alert and the cut of this boundary as they were."""
    evidence, _ = complete(10, "A")
    before = (evidence.drift_alert("1", 10), evidence.cut(10, 0.95), evidence.cut(10, 0.5))
    evidence.measured(quality((0, 10), 20, 2, 2))
    evidence.tested(report(20))
    assert (evidence.drift_alert("1", 10), evidence.cut(10, 0.95), evidence.cut(10, 0.5)) == before
    assert before[1:] == (None, 10)
    assert evidence.cut(20, 0.95) == 10
    assert evidence.drift_alert("1", 20) is None


def judged(
    boundary: int, alert_id: str | None = None, version: str = "1", since: int | None = 0
) -> ConceptTested:
    """A concept report."""
    return ConceptTested(
        model="m",
        version=version,
        as_of=boundary,
        detector="adwin",
        rows=9,
        error=0.5,
        state="drift" if alert_id else "ok",
        alert_id=alert_id,
        since=since if alert_id else None,
        offsets={},
    )


def test_a_boundary_whose_report_promises_a_concept_report_waits_for_it_and_its_alert() -> None:
    """Promised by the drift report, so that a log of before, or of another monitor, stalls nothing."""
    evidence, ledger = complete(10)
    evidence.tested(msgspec.structs.replace(report(10), concept=True))
    assert evidence.missing("1", 10, ledger) == "concept report as of 10"
    evidence.judged(judged(10, "R"))
    assert evidence.missing("1", 10, ledger) == "alert R, named by the concept report as of 10"
    evidence.alerted(msgspec.structs.replace(alert("R", 10, 3), kind="real"))
    assert evidence.missing("1", 10, ledger) is None
    assert [(a.alert_id, a.kind, a.since) for a in evidence.open_alerts("1", 10)] == [("R", "real", 3)]
    assert evidence.kind("R") == "real"


def test_a_quality_alert_asks_for_a_training_while_it_is_in_drift() -> None:
    """The concept report names it and waits for it; recovering, or of another version, it asks for nothing."""
    evidence, ledger = complete(10)
    evidence.judged(msgspec.structs.replace(judged(10), quality_alert_id="Q", quality_state="drift"))
    assert evidence.missing("1", 10, ledger) == "alert Q, named by the concept report as of 10"
    evidence.alerted(msgspec.structs.replace(alert("Q", 10, 3), kind="quality"))
    assert evidence.missing("1", 10, ledger) is None
    assert [(a.alert_id, a.kind, a.since) for a in evidence.open_alerts("1", 10)] == [("Q", "quality", 3)]
    assert evidence.open_alerts("2", 10) == []
    evidence.judged(msgspec.structs.replace(judged(20), quality_alert_id="Q", quality_state="recovered"))
    assert evidence.quality_alert("1", 20) is None
    assert evidence.quality_alert("1", 10) is not None


def test_rows_without_a_label_are_counted_by_whole_windows() -> None:
    """Of all versions, as of the boundary, up to the cut; the window in which the change lies counts whole."""
    evidence = Evidence()
    for window, as_of, predicted, labelled in [
        ((0, 10), 10, 9, 3), ((0, 10), 20, 9, 8), ((10, 20), 20, 7, 5), ((20, 30), 30, 6, 1), ((0, 10), 40, 9, 9),
    ]:  # fmt: skip
        evidence.measured(quality(window, as_of, predicted, labelled))
    assert [evidence.unlabelled(since, 20, 30) for since in (0, 5, 10, 20)] == [3, 3, 2, 0]
    assert evidence.unlabelled(0, 20, 40) == 2


def test_both_kinds_of_alert_ask_for_a_training_each_by_its_own_report() -> None:
    """A real alert of a later boundary or of another version is not this boundary's."""
    evidence, _ = complete(10, "A")
    evidence.alerted(msgspec.structs.replace(alert("R", 10, 4), kind="real"))
    assert [a.kind for a in evidence.open_alerts("1", 10)] == ["virtual"]
    evidence.judged(judged(20, "R"))
    assert [a.kind for a in evidence.open_alerts("1", 10)] == ["virtual"]
    evidence.judged(judged(10, "R"))
    assert [a.kind for a in evidence.open_alerts("1", 10)] == ["virtual", "real"]
    evidence.judged(judged(10, "R", version="2"))
    assert [a.kind for a in evidence.open_alerts("1", 10)] == ["virtual"]


# selection


@given(st.lists(st.integers(0, 30), min_size=10, max_size=200))
def test_the_holdout_is_the_newest_rows_and_no_row_is_in_two_places(times: list[int]) -> None:
    """Training ends before the holdout begins; together they are all rows; the reference is since + later."""
    ledger = Ledger()
    ledger.update(outcomes([(f"p{i}", t, t + 1, float(i), "a", 0) for i, t in enumerate(times)]))
    chosen = select(ledger.get(as_of=100, until=100), since=10, cut=100)
    train, held = set(chosen.train.prediction_id.tolist()), set(chosen.holdout.prediction_id.tolist())
    assert not train & held
    assert len(train) + len(held) == len(times)
    assert len(chosen.reference) == sum(t >= 10 for t in times)
    assert held <= set(chosen.reference.prediction_id.tolist())
    assert (
        chosen.reference.take(chosen.reference_held_out).prediction_id.tolist()
        == chosen.holdout.prediction_id.tolist()
    )
    if len(chosen.train) and len(chosen.holdout):
        assert chosen.train.event_time.max() <= chosen.holdout.event_time.min()


def test_the_count_is_what_the_selection_finds() -> None:
    """Rows since the change point, up to the cut, labelled before the boundary; corrections add none."""
    ledger = Ledger()
    ledger.update(outcomes([(f"p{i:03}", i, i + 10, 1.0, "a", 0) for i in range(100)]))
    ledger.update(outcomes([("p050", 50, 61, 1.0, "b", 1)]))
    chosen = select(ledger.get(as_of=100, until=80), since=40, cut=80)
    assert ledger.count(40, 80, 100) == len(chosen.reference) == 40
    assert chosen.holdout.event_time.tolist() == list(range(70, 80))
    assert ledger.count(40, 80, 60) == 10
    assert ledger.get(as_of=100, until=80, since=40).truth.tolist() == chosen.reference.truth.tolist()


@given(st.lists(st.integers(0, 400), min_size=20, max_size=400))
def test_the_split_lies_between_20_and_30_percent(times: list[int]) -> None:
    """And falls on a change of event time where there is one."""
    sorted_times = np.sort(np.array(times))
    at = split_point(sorted_times)
    assert 0.2 * len(times) - 1 <= len(times) - at <= 0.3 * len(times) + 1


# challenge

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200)


@given(PAIRS)
def test_mcnemar_is_the_binomial_test_on_discordant_rows(pairs: list[tuple[bool, bool]]) -> None:
    """To rounding, scipy's exact one-sided binomial test."""
    old, new = (np.array([p[i] for p in pairs], dtype=bool) for i in (0, 1))
    won, lost = int((~old & new).sum()), int((old & ~new).sum())
    expected = binomtest(won, won + lost, 0.5, alternative="greater").pvalue if won + lost else 1.0
    assert mcnemar(old, new) == pytest.approx(expected)


def test_the_proof_is_repeatable_and_tells_signal_from_noise() -> None:
    """A clear gain has a small p-value, none has a large one, and twice gives the same."""
    noise = np.random.default_rng(1).normal(size=(400, 1))
    assert proof(noise + 0.5, 0, symmetric=False)[0] < 0.001
    assert proof(noise - noise.mean(), 0, symmetric=False)[0] > 0.3
    assert proof(noise, 0, symmetric=False) == proof(noise, 0, symmetric=False)


def test_losses_and_auc_are_scikit_learns() -> None:
    """Log loss and AUC, ties in the score included."""
    random = np.random.default_rng(2)
    truth = random.integers(0, 2, 300)
    p = np.round(random.random(300), 1)
    probabilities = {"0": 1 - p, "1": p}
    assert log_losses(names_of(truth), probabilities).mean() == pytest.approx(log_loss(truth, p))
    assert auc(truth == 1, p) == pytest.approx(roc_auc_score(truth, p))


def verdict(old: Scored, new: Scored, truth: Any, **changed: Any) -> Any:
    """A challenge with ordinary settings."""
    settings: dict[str, Any] = {
        "metric": "accuracy",
        "task": "classification",
        "min_gain": 0.0,
        "promote_p_value": 0.05,
    }
    return challenge(np.asarray(truth), old, new, **{**settings, **changed})


def test_a_clearly_better_challenger_is_promoted() -> None:
    """Labels compare by the class they name, whatever type they travelled in."""
    truth = [5.0, 6.0] * 50
    found = verdict(Scored(np.array([5] * 100)), Scored(np.array([5, 6] * 50)), truth)
    assert found.promoted
    assert found.gain == pytest.approx(0.5)
    assert found.metrics["challenger"]["accuracy"] == 1.0
    assert found.reason.startswith("better: accuracy 1.0000 against the champion's 0.5000 on 100 unseen rows")


def test_an_equal_challenger_is_refused_as_not_better() -> None:
    """No gain, no change."""
    same = Scored(np.array([5, 6] * 50))
    found = verdict(same, same, [5.0, 6.0] * 50)
    assert not found.promoted
    assert found.reason.startswith("not better")


def test_a_slightly_better_challenger_is_refused_as_not_proven() -> None:
    """Two rows of a hundred prove nothing."""
    predictions = np.array([5] * 100)
    better = predictions.copy()
    better[:2] = 6
    found = verdict(Scored(predictions), Scored(better), [6.0, 6.0] + [5.0] * 98)
    assert not found.promoted
    assert found.reason.startswith("not proven")


def test_a_gain_below_the_minimum_is_refused() -> None:
    """However well proven."""
    found = verdict(Scored(np.array([5] * 100)), Scored(np.array([5, 6] * 50)), [5.0, 6.0] * 50, min_gain=0.6)
    assert not found.promoted


def test_losses_decide_for_probabilities_and_numbers() -> None:
    """log_loss and rmse: smaller is better."""
    truth = np.array([0, 1] * 100)
    sharp = {"0": np.where(truth == 0, 0.8, 0.2), "1": np.where(truth == 1, 0.8, 0.2)}
    flat = {"0": np.full(200, 0.5), "1": np.full(200, 0.5)}
    found = verdict(Scored(truth, flat), Scored(truth, sharp), truth, metric="log_loss")
    assert found.promoted
    assert found.metrics["challenger"]["auc"] == 1.0
    numbers = np.arange(50.0)
    noise = np.random.default_rng(3).normal(size=50)
    found = verdict(
        Scored(numbers + noise), Scored(numbers + noise / 2), numbers, metric="rmse", task="regression"
    )
    assert found.promoted
    assert not verdict(
        Scored(numbers), Scored(numbers + noise), numbers, metric="rmse", task="regression"
    ).promoted


# history


def test_history_finds_the_interrupted_run_and_the_newest_boundary() -> None:
    """A started decision without an end is unfinished; with one it is not, in any order."""
    history = History()
    history.record(decided("refused", as_of=10))
    history.record(decided("started", as_of=20))
    assert history.considered_through == 10
    found = history.unfinished()
    assert found is not None
    assert found.as_of == 20
    history.record(decided("promoted", as_of=20))
    history.record(decided("started", as_of=20))
    assert history.unfinished() is None
    assert history.considered_through == 20
    assert [d.decision for d in history.decisions] == ["refused", "promoted"]
    last = history.last("A")
    assert last is not None
    assert last.decision == "promoted"


@given(
    st.lists(st.sampled_from(["waiting", "started", "shadow", "approval", "refused", "promoted"]), min_size=1)
)
def test_a_run_never_goes_back_and_has_one_end(said: list[str]) -> None:
    """Whatever is read in whatever order, the last word is the furthest; of two ends the first holds."""
    history, order = History(), ["waiting", "started", "shadow", "approval", "end"]
    stages = []
    for words in said:
        waits = (
            {"waits_for": words, "decision": "waiting"}
            if words in ("shadow", "approval")
            else {"decision": words}
        )
        history.record(msgspec.structs.replace(decided("started"), **waits))
        (known,) = history.decisions
        stages.append(order.index(known.waits_for or known.decision) if known.decision in order else 4)
    assert stages == sorted(stages)
    ends = [words for words in said if words in ("refused", "promoted")]
    assert known.decision == (ends[0] if ends else known.decision)
    pending, unfinished = history.pending(), history.unfinished()
    assert [pending is not None, unfinished is not None] == [stages[-1] in (2, 3), stages[-1] == 1]


def test_a_run_answers_all_that_it_names() -> None:
    """An end is the answer to each; of records of before there were several, to the one that asked."""
    history = History()
    history.record(msgspec.structs.replace(decided("failed", as_of=10), answers=["A", "R"]))
    history.record(msgspec.structs.replace(decided("waiting", as_of=20, alert_id="R"), answers=["R"]))
    history.record(decided("refused", as_of=5, alert_id="R"))
    assert [history.failed(name) == history.failed("A") for name in ("A", "R", "B")] == [True, True, False]
    words = [(history.last(name), history.answer(name)) for name in ("A", "R", "B")]
    assert [[found and found.as_of for found in pair] for pair in words] == [[10, 10], [20, 10], [None, None]]
