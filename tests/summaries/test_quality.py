"""Windowed quality against scikit-learn on the raw rows, and the laws of merging."""

from __future__ import annotations

import json
import math
from collections import Counter
from functools import reduce
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from summaries.quality import LARGEST, Classification, Regression

CLASSES = {2: ["no", "yes"], 4: ["3", "4", "5", "6"]}


@st.composite
def scored(draw, sizes=(2, 4)):
    """Labels, predictions and probabilities of a random classifier; scores tie often or never."""
    k = draw(st.sampled_from(sizes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 80))
    scores = rng.dirichlet(np.full(k, draw(st.sampled_from([0.05, 1.0]))), size=n)
    if draw(st.booleans()):
        scores = np.eye(k)[scores.argmax(axis=1)] * 0.5 + 0.5 / k
    names = np.array(CLASSES[k])
    truth, predicted = names[rng.integers(0, k, n)], names[scores.argmax(axis=1)] if n else names[:0]
    return CLASSES[k], truth.tolist(), predicted.tolist(), dict(zip(names.tolist(), scores.T, strict=True))


def counted(batch, rows=slice(None)):
    """The quality of some rows of a batch."""
    classes, truth, predicted, scores = batch
    quality = Classification(classes)
    quality.update(truth[rows], predicted[rows], {name: column[rows] for name, column in scores.items()})
    return quality


def expected_calibration_error(batch, bins=10):
    """The definition row by row, from ten bins of equal width."""
    classes, truth, predicted, scores = batch
    if len(classes) == 2:
        confidence, hit = scores[classes[1]], np.array(truth) == classes[1]
    else:
        confidence = np.array([scores[p][i] for i, p in enumerate(predicted)])
        hit = np.array(truth) == np.array(predicted)
    at = np.minimum((confidence * 1000).astype(int) // (1000 // bins), bins - 1)
    return sum(abs((hit[at == b] - confidence[at == b]).sum()) for b in range(bins)) / len(truth)


@settings(deadline=None)
@given(scored())
def test_classification_equals_scikit_learns(batch):
    """Every metric is scikit-learn's on the raw rows; AUC within the stated error of its histogram."""
    classes, truth, predicted, scores = batch
    quality = counted(batch)
    got = quality.get()
    if not truth:
        assert got == {}
        return
    average = {"average": "binary", "pos_label": classes[-1]} if len(classes) == 2 else {"average": "macro"}
    options = {**average, "zero_division": 0}
    matrix = np.stack([scores[name] for name in classes], axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": np.mean(
            metrics.recall_score(truth, predicted, labels=sorted(set(truth)), average=None, zero_division=0)
        ),
        "precision": metrics.precision_score(truth, predicted, **options),
        "recall": metrics.recall_score(truth, predicted, **options),
        "f1": metrics.f1_score(truth, predicted, **options),
        "log_loss": metrics.log_loss(truth, matrix, labels=classes),
        "brier": metrics.brier_score_loss(truth, matrix, labels=classes)
        if len(classes) > 2
        else metrics.brier_score_loss(truth, matrix[:, 1], pos_label="yes", labels=classes),
    }
    for average in ("macro", "weighted"):
        for name in ("precision", "recall", "f1"):
            score = getattr(metrics, f"{name}_score")
            expected[f"{name}_{average}"] = score(truth, predicted, average=average, zero_division=0)
    assert expected.pop("recall_weighted") == pytest.approx(got["accuracy"])
    for name, value in expected.items():
        # Where the macro average is what the plain name says, it is not said twice.
        said = name.removesuffix("_macro") if len(classes) > 2 else name
        assert got[said] == pytest.approx(value, abs=1e-9), name
    assert got["calibration_error"] == pytest.approx(expected_calibration_error(batch), abs=1e-9)
    for name, score in (("auc", metrics.roc_auc_score), ("pr_auc", metrics.average_precision_score)):
        each = [
            score(np.array(truth) == c, scores[c])
            for c in (classes[-1:] if len(classes) == 2 else classes)
            if len(set(truth)) > 1 and c in truth
        ]
        assert (name in got) == (name in quality.errors()) == bool(each)
        if each:
            assert abs(got[name] - np.mean(each)) <= quality.errors()[name] + 1e-12
    assert quality.auc_error == quality.errors().get("auc", 0.0)
    confusion = metrics.confusion_matrix(truth, predicted, labels=classes)
    assert [list(row.values()) for row in quality.confusion().values()] == confusion.tolist()


@settings(deadline=None)
@given(scored())
def test_each_class_has_scikit_learns_precision_recall_and_f1(batch):
    """The figures of a class are scikit-learn's, and its rows are those that truly are of it."""
    classes, truth, predicted, _ = batch
    if not truth:
        return
    expected = metrics.precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    for name, *figures in zip(classes, *expected, strict=True):
        got = counted(batch).by_class()[name]
        assert [got[f] for f in ("precision", "recall", "f1", "rows")] == pytest.approx(figures)


def test_a_label_outside_the_classes_has_figures_of_its_own():
    """(other) is among the classes where it occurs, never a hit."""
    quality = Classification(["a", "b"])
    quality.update(["a", "c"], ["a", "a"])
    assert quality.by_class()["(other)"] == {"precision": 0, "recall": 0, "f1": 0, "rows": 1}
    assert "(other)" not in Classification(["a", "b"]).by_class()


@settings(deadline=None)
@given(scored())
def test_scores_are_split_by_the_predicted_class(batch):
    """The cells hold, for each row with probabilities, what was predicted, whether it hit, and the score's bin."""
    classes, truth, predicted, scores = batch
    expected = Counter()
    for row, (t, p) in enumerate(zip(truth, predicted, strict=True)):
        of = classes[1] if len(classes) == 2 else p
        expected[classes.index(p), t == of, min(int(scores[of][row] * 1000), 999)] += 1
    found = Counter()
    for *cell, rows in zip(*(column.tolist() for column in counted(batch).scored_cells()), strict=True):
        found[tuple(cell)] += rows
    assert found == expected


def test_auc_of_continuous_scores_is_off_by_less_than_a_thousandth():
    """A thousand bins cost next to nothing on scores spread over [0, 1]."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 20_000)
    score = np.clip(rng.normal(0.4 + 0.2 * truth, 0.15), 0, 1)
    quality = Classification([0, 1])
    quality.update(truth.tolist(), (score > 0.5).astype(int).tolist(), {"1": score})
    assert quality.auc_error < 1e-3
    assert abs(quality.get()["auc"] - metrics.roc_auc_score(truth, score)) <= quality.auc_error


def test_pr_auc_of_continuous_scores_is_off_by_less_than_a_hundredth():
    """The bound that is stated for average precision is small, and holds."""
    rng = np.random.default_rng(1)
    truth = rng.random(20_000) < 0.1
    score = np.clip(rng.normal(0.3 + 0.2 * truth, 0.15), 0, 1)
    quality = Classification(["false", "true"])
    quality.update(truth.tolist(), (score > 0.5).tolist(), {"true": score})
    assert quality.errors()["pr_auc"] < 1e-2
    off = abs(quality.get()["pr_auc"] - metrics.average_precision_score(truth, score))
    assert off <= quality.errors()["pr_auc"]


def test_a_certain_wrong_prediction_costs_what_scikit_learn_says():
    """A probability of 0 is clipped as scikit-learn clips it."""
    quality = Classification([0, 1])
    quality.update([1, 0], [0, 0], {"0": [1.0, 1.0], "1": [0.0, 0.0]})
    assert quality.get()["log_loss"] == pytest.approx(metrics.log_loss([1, 0], [[1.0, 0.0]] * 2), rel=1e-9)


@settings(deadline=None)
@given(scored(), st.lists(st.integers(0, 80), max_size=4))
def test_merged_parts_equal_one_pass(batch, cuts):
    """However the rows are split, the merged parts are one pass's state to the last bit."""
    n = len(batch[1])
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [counted(batch, slice(a, b)) for a, b in pairwise(bounds)]
    whole = counted(batch)
    assert reduce(Classification.merge, parts) == whole
    assert reduce(Classification.merge, reversed(parts)) == whole


@settings(deadline=None)
@given(scored((2,)), scored((2,)), scored((2,)))
def test_merge_is_associative_and_commutative_with_an_identity(x, y, z):
    """The laws hold exactly, because all state is whole numbers."""
    a, b, c = map(counted, (x, y, z))
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b) == b.merge(a)
    assert a.merge(Classification(CLASSES[2])) == a == Classification(CLASSES[2]).merge(a)


@settings(deadline=None)
@given(scored((4,)), scored((4,)))
def test_revert_undoes_update_to_the_last_bit(x, y):
    """A corrected label leaves no trace of the old one."""
    quality = counted(x)
    quality.update(*y[1:])
    quality.revert(*y[1:])
    assert quality == counted(x)


@settings(deadline=None)
@given(scored())
def test_classification_round_trips_json(batch):
    """State survives JSON bit by bit."""
    quality = counted(batch)
    again = Classification.from_dict(json.loads(json.dumps(quality.to_dict())))
    assert again == quality
    assert again.get() == quality.get()


@settings(deadline=None)
@given(scored(), scored())
def test_classification_round_trips_bytes_the_same_for_equal_states(x, y):
    """State survives its compact form bit by bit, and how a state came about does not show in its bytes."""
    a, b = counted(x), counted(y)
    again = Classification.from_bytes(a.to_bytes())
    assert again == a
    assert again.get() == a.get()
    if x[0] == y[0]:
        assert a.merge(b).to_bytes() == b.merge(a).to_bytes()
        b.update(*x[1:])
        assert b.to_bytes() == a.merge(counted(y)).to_bytes()


def test_two_hundred_rows_take_less_than_two_kilobytes():
    """A cell of the panes' topic stays small: 200 rows of two classes with continuous scores."""
    rng = np.random.default_rng(0)
    score = rng.random(200)
    quality = Classification(["no", "yes"])
    truth, predicted = (
        ["yes" if x else "no" for x in column] for column in (rng.random(200) < score, score > 0.5)
    )
    quality.update(truth, predicted, {"yes": score})
    assert len(quality.to_bytes()) < 1_024


def test_many_rows_at_once_equal_them_one_by_one():
    """An upload of thousands is counted in pieces that add up to what single rows give."""
    rng = np.random.default_rng(0)
    names = np.array(["a", "b", "c"])
    scores = rng.dirichlet(np.ones(3), 5_000)
    truth, predicted = names[rng.integers(0, 3, 5_000)].tolist(), names[scores.argmax(axis=1)].tolist()
    whole, single = Classification(names.tolist()), Classification(names.tolist())
    whole.update(truth, predicted, dict(zip(names, scores.T, strict=True)))
    for t, p, s in zip(truth, predicted, scores, strict=True):
        single.update([t], [p], {name: [x] for name, x in zip(names, s, strict=True)})
    assert whole == single


@pytest.mark.parametrize(
    "packed", [b"", b"\x21\x90", b"\x11\x90", b"\x12", b"\x12\xc1", Regression().to_bytes()]
)
def test_bytes_of_anything_else_are_refused(packed):
    """Another kind's, another version's and broken bytes are never misread."""
    with pytest.raises(ValueError, match="form"):
        Classification.from_bytes(packed)


def test_bytes_with_cells_beyond_the_classes_are_refused():
    """Counts over more cells than the classes have are not of these classes."""
    quality = Classification(["a", "b", "c"])
    quality.update(["c"], ["c"])
    content = list(msgspec.msgpack.decode(quality.to_bytes()[1:]))
    content[0] = ["a", "b"]
    with pytest.raises(ValueError, match="do not fit"):
        Classification.from_bytes(b"\x12" + msgspec.msgpack.encode(content))


def test_a_label_outside_the_classes_counts_as_an_error():
    """A truth the model cannot say is never a hit, costs the full log loss and is shown as (other)."""
    quality = Classification(["a", "b"])
    quality.update(["a", "c", "c"], ["a", "b", "d"], {"b": [0.0, 1.0, 0.5]})
    got = quality.get()
    assert got["accuracy"] == pytest.approx(1 / 3)
    assert got["log_loss"] == pytest.approx(2 * -np.log(np.finfo(float).eps) / 3)
    assert quality.confusion()["(other)"] == {"a": 0, "b": 1, "(other)": 1}


def test_without_probabilities_there_are_no_losses():
    """A model that only names classes has accuracy and its kin."""
    quality = Classification([5, 6])
    quality.update([5, 6.0, "6"], [5, 5, 6])
    names = {"accuracy", "balanced_accuracy", "precision", "recall", "f1"}
    averages = {"precision_macro", "recall_macro", "f1_macro", "precision_weighted", "f1_weighted"}
    assert set(quality.get()) == names | averages
    assert quality.scored == 0
    assert quality.errors() == {}
    assert quality.rows == 3


@pytest.mark.parametrize(
    ("truth", "predicted", "probabilities"),
    [
        (["a"], ["a", "b"], None),
        ([None], ["a"], None),
        (["a"], ["a"], {"a": [1.5]}),
        (["a"], ["a"], {"a": [float("nan")]}),
        (["a"], ["a"], {"a": [0.5, 0.5]}),
        (["a"], ["a"], {"c": [0.5]}),
    ],
)
def test_bad_rows_are_refused_and_change_nothing(truth, predicted, probabilities):
    """A refused update leaves the state as it was."""
    quality = Classification(["a", "b"])
    with pytest.raises(ValueError, match=r".+"):
        quality.update(truth, predicted, probabilities)
    assert quality == Classification(["a", "b"])


def test_other_classes_do_not_add():
    """Merging the qualities of two different models' classes is refused."""
    with pytest.raises(ValueError, match="do not add"):
        Classification([0, 1]).merge(Classification([0, 2]))


numbers = st.floats(-1e6, 1e6)
pairs = st.lists(st.tuples(numbers, numbers), max_size=40)


def fitted(rows):
    """The quality of (truth, prediction) pairs."""
    quality = Regression()
    quality.update([t for t, _ in rows], [p for _, p in rows])
    return quality


@given(pairs)
def test_regression_equals_scikit_learns(rows):
    """MAE, RMSE, MAPE and R² are scikit-learn's on the raw rows, bias is the mean error."""
    got = fitted(rows).get()
    if not rows:
        assert got == {}
        return
    truth, predicted = map(np.array, zip(*rows, strict=True))
    assert got["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted), rel=1e-9, abs=1e-9)
    assert got["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted), rel=1e-9, abs=1e-9)
    percentage = metrics.mean_absolute_percentage_error(truth, predicted)
    assert got["mape"] == pytest.approx(percentage, rel=1e-9, abs=1e-9)
    assert got["bias"] == pytest.approx(np.mean(predicted - truth), rel=1e-9, abs=1e-9)
    if np.ptp(truth) > 1e-3:
        assert got["r2"] == pytest.approx(metrics.r2_score(truth, predicted), rel=1e-6, abs=1e-6)


def test_r2_of_a_large_constant_offset_is_exact():
    """Sums of squares cancel without loss: a truth around 10⁹ with a spread of 1 keeps its R²."""
    rng = np.random.default_rng(0)
    truth = 1e9 + rng.normal(size=1000)
    predicted = truth + rng.normal(scale=0.1, size=1000)
    got = fitted(list(zip(truth, predicted, strict=True))).get()
    assert got["r2"] == pytest.approx(metrics.r2_score(truth, predicted), rel=1e-9)


@given(pairs, pairs, pairs)
def test_regression_merges_exactly(x, y, z):
    """Identity, associativity, commutativity and equality with one pass, to the last bit."""
    a, b, c = map(fitted, (x, y, z))
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == fitted(x + y + z)
    assert a.merge(b) == b.merge(a)
    assert a.merge(Regression()) == a
    assert Regression.from_dict(json.loads(json.dumps(a.to_dict()))) == a
    assert Regression.from_bytes(a.to_bytes()) == a
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes()


@given(pairs, pairs)
def test_revert_undoes_update_of_numbers_to_the_last_bit(x, y):
    """A corrected label leaves no trace of the old one, however large its powers."""
    quality = fitted(x + y)
    quality.revert([t for t, _ in y], [p for _, p in y])
    assert quality == fitted(x)


def test_a_truth_of_zero_makes_the_percentage_error_scikit_learns():
    """A truth of 0 is divided by as the least float's step, as scikit-learn does."""
    got = fitted([(0.0, 1.0), (2.0, 1.0)]).get()["mape"]
    assert got == pytest.approx(metrics.mean_absolute_percentage_error([0.0, 2.0], [1.0, 1.0]), rel=1e-12)


def test_regression_refuses_what_is_not_finite():
    """NaN and infinities are refused, and change nothing."""
    quality = Regression()
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            quality.update([bad], [1.0])
    assert quality == Regression()


def test_regression_refuses_what_it_could_not_square():
    """A truth or a prediction beyond ±1e150 is refused, and changes nothing."""
    quality = Regression()
    for truth, predicted in ((1e160, 1.0), (1.0, -1e160)):
        with pytest.raises(ValueError, match="beyond"):
            quality.update([truth], [predicted])
    assert quality == Regression()


@given(st.lists(st.tuples(*[st.floats(-LARGEST, LARGEST)] * 2), min_size=1, max_size=5))
def test_whatever_regression_takes_it_measures(rows):
    """No rows within ±1e150 make a metric that is not finite, or raise."""
    got = fitted(rows).get()
    assert all(map(math.isfinite, got.values()))
    assert {"mae", "rmse", "mape", "bias"} <= set(got)
    assert Regression.from_bytes(fitted(rows).to_bytes()) == fitted(rows)


def test_an_r2_beyond_floats_is_left_out():
    """Huge errors on a truth that hardly varies have no R² that a float holds."""
    got = fitted([(0.0, 1e150), (1e-12, 1e150)]).get()
    assert set(got) == {"mae", "rmse", "mape", "bias"}
