"""Estimates from counts against the formula of CBPE row by row, and against what happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from summaries.calibration import Calibration
from summaries.forecast import Forecast
from summaries.quality import Classification
from summaries.scores import BINS

CLASSES = {2: ["no", "yes"], 3: ["a", "b", "c"]}


@st.composite
def predictions(draw, sizes=(2, 3)):
    """Classes, predicted ones (also others than the likeliest) and probabilities [rows, classes]."""
    k = draw(st.sampled_from(sizes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 60))
    scores = rng.dirichlet(np.full(k, 0.7), size=n)
    predicted = np.where(rng.random(n) < 0.2, rng.integers(0, k, n), scores.argmax(axis=1) if n else [])
    return CLASSES[k], predicted.astype(int), scores


def counted(batch, rows=slice(None)):
    """The forecast of some rows."""
    classes, predicted, scores = batch
    forecast = Forecast(classes)
    columns = dict(zip(classes, scores[rows].T, strict=True))
    forecast.update([classes[p] for p in predicted[rows]], columns)
    return forecast


def curve(power):
    """A calibration that raises every score to a power."""
    bins = list(range(BINS))
    values = [((b + 0.5) / BINS) ** power for b in bins]
    return lambda classes: Calibration(classes, dict.fromkeys(classes, (bins, values)))


def by_rows(batch, probability):
    """CBPE row by row: every row is so much of a hit and so much of a miss."""
    classes, predicted, scores = batch
    rows = np.arange(len(predicted))
    if len(classes) > 2:
        return {"accuracy": probability(scores[rows, predicted]).mean()}
    p = probability(scores[:, 1])
    truth, twice, weights = np.repeat([1, 0], len(p)), np.tile(predicted, 2), np.concatenate([p, 1 - p])
    given = {"sample_weight": weights, "zero_division": 0}
    return {
        "accuracy": metrics.accuracy_score(truth, twice, sample_weight=weights),
        "balanced_accuracy": metrics.recall_score(truth, twice, average="macro", **given),
        "precision": metrics.precision_score(truth, twice, **given),
        "recall": metrics.recall_score(truth, twice, **given),
        "f1": metrics.f1_score(truth, twice, **given),
        "auc": metrics.roc_auc_score(truth, np.tile(scores[:, 1], 2), sample_weight=weights),
        "pr_auc": metrics.average_precision_score(truth, np.tile(scores[:, 1], 2), sample_weight=weights),
        "brier": np.average((np.tile(scores[:, 1], 2) - truth) ** 2, weights=weights),
    }


@settings(deadline=None)
@given(predictions(), st.sampled_from([1.0, 0.5, 2.0]))
def test_estimates_are_the_row_by_row_formula_of_the_bins(batch, power):
    """Rows in the middle of their bins: every estimate is the metric of rows weighted by their probabilities."""
    classes, predicted, scores = batch
    middle = (np.minimum((scores * BINS).astype(int), BINS - 1) + 0.5) / BINS
    got = counted(batch).estimate(None if power == 1 else curve(power)(classes))
    if not len(predicted):
        assert got == {}
        return
    expected = by_rows((classes, predicted, middle), lambda p: p**power)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-9), name


@settings(deadline=None)
@given(predictions())
def test_the_bins_cost_half_a_thousandth_of_accuracy(batch):
    """Without calibration the estimated accuracy is within half a bin of that of the raw probabilities."""
    if len(batch[1]):
        expected = by_rows(batch, lambda p: p)["accuracy"]
        assert abs(counted(batch).estimate()["accuracy"] - expected) <= 0.5 / BINS + 1e-12


@settings(deadline=None)
@given(predictions((2,)), predictions((2,)), predictions((2,)))
def test_forecasts_add_exactly(x, y, z):
    """Identity, associativity, commutativity, revert, and bytes that are equal for equal states."""
    a, b, c = map(counted, (x, y, z))
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes()
    assert a.merge(Forecast(CLASSES[2])) == a == Forecast.from_bytes(a.to_bytes())
    both = a.merge(b)
    both.revert([CLASSES[2][p] for p in y[1]], dict(zip(CLASSES[2], y[2].T, strict=True)))
    assert both == a


def test_estimates_come_true_where_calibration_holds():
    """Inputs that became harder: the estimate follows the accuracy that labels show later, within their noise."""
    rng = np.random.default_rng(0)

    def rows(n, spread):
        chance = np.clip(rng.normal(0.5, spread, n), 0.01, 0.99)
        score = np.clip(2 * (chance - 0.5) + 0.5, 0, 1)  # overconfident
        names = np.array(CLASSES[2])
        truth, predicted = names[(rng.random(n) < chance).astype(int)], names[(score > 0.5).astype(int)]
        return truth.tolist(), predicted.tolist(), {"yes": score}

    reference = Classification(CLASSES[2])
    reference.update(*rows(40_000, 0.2))
    calibration = Calibration.fit(reference)
    for spread in (0.2, 0.1, 0.05):
        batch, forecast, realised = rows(40_000, spread), Forecast(CLASSES[2]), Classification(CLASSES[2])
        forecast.update(*batch[1:])
        realised.update(*batch)
        estimated, measured = forecast.estimate(calibration), realised.get()
        for name in ("accuracy", "f1", "auc", "brier"):
            assert estimated[name] == pytest.approx(measured[name], abs=0.02), (spread, name)


def test_a_prediction_outside_the_classes_is_expected_to_be_wrong():
    """It can be no hit, but its row may still be of the positive class."""
    for classes, scores in (
        (CLASSES[2], {"yes": [0.75, 1.0]}),
        (CLASSES[3], {"a": [1, 1], "b": [0, 0], "c": [0, 0]}),
    ):
        forecast = Forecast(classes)
        forecast.update(["other", classes[-1] if len(classes) == 2 else "a"], scores)
        assert forecast.estimate()["accuracy"] == pytest.approx(0.5, abs=1e-3)
        assert forecast.rows == 2


def test_other_classes_are_refused():
    """Forecasts of other classes do not add, and their calibration says nothing."""
    with pytest.raises(ValueError, match="do not add"):
        Forecast(["a", "b"]).merge(Forecast(["a", "c"]))
    with pytest.raises(ValueError, match="says nothing"):
        Forecast(["a", "b"]).estimate(Calibration(["a", "c"], {"a": None, "c": None}))


def test_bad_probabilities_are_refused_and_change_nothing():
    """As in a classification."""
    forecast = Forecast(["a", "b"])
    for bad in ({"a": [1.5]}, {"c": [0.5]}, {"a": [float("nan")]}, {"a": [0.5, 0.5]}):
        with pytest.raises(ValueError, match="probabilit"):
            forecast.update(["a"], bad)
    assert forecast == Forecast(["a", "b"])
