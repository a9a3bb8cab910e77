"""Calibration from counts against scikit-learn's isotonic regression on the rows, and when it is done at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from summaries.calibration import Calibration, isotonic, needs_calibration
from summaries.quality import Classification
from summaries.scores import BINS, middles


def histogram(truth, score):
    """Misses and hits by bin."""
    bins = np.minimum((score * BINS).astype(int), BINS - 1)
    return [np.bincount(bins[truth == is_it], minlength=BINS) for is_it in (False, True)]


def reference(truth, score, classes=("no", "yes")):
    """A counted reference of two classes, predicted at a half."""
    names = np.array(classes)
    quality = Classification(classes)
    quality.update(
        names[truth.astype(int)].tolist(), names[(score > 0.5).astype(int)].tolist(), {"yes": score}
    )
    return quality


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, BINS - 1)), min_size=1, max_size=60))
def test_the_curve_is_scikit_learns_isotonic_regression(rows):
    """At every bin, those without rows and those beyond the outermost included."""
    truth, bins = np.array([t for t, _ in rows]), np.array([b for _, b in rows])
    theirs = IsotonicRegression(out_of_bounds="clip").fit(bins, truth).predict(np.arange(BINS))
    ours = np.interp(np.arange(BINS), *isotonic(*histogram(truth, (bins + 0.5) / BINS)))
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_overconfident_scores_are_calibrated():
    """Scores that are twice too far from a half come back to what happens, within the noise of the rows."""
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.25, 0.75, 20_000)
    truth = rng.random(20_000) < chance
    calibration = Calibration.fit(reference(truth, 2 * (chance - 0.5) + 0.5))
    found = calibration.probabilities("yes")
    np.testing.assert_allclose(found[[100, 500, 900]], [0.3, 0.5, 0.7], atol=0.05)


def test_right_scores_stay_about_right():
    """Where scores are right already the rule says yes or no by chance; what comes out is near them either way."""
    rng = np.random.default_rng(0)
    decided = set()
    for _ in range(8):
        chance = rng.random(3_000)
        truth = rng.random(3_000) < chance
        decided.add(needs_calibration(*histogram(truth, chance)))
        found = Calibration.fit(reference(truth, chance)).probabilities("yes")
        assert np.abs(found - middles()).mean() < 0.04
    assert decided == {True, False}


def test_few_or_separated_rows_are_not_calibrated():
    """Nine rows of a kind say too little, and classes that do not overlap leave nothing to say."""
    wrong = np.full(209, 0.9)
    assert needs_calibration(*histogram(np.arange(209) < 10, wrong))
    assert not needs_calibration(*histogram(np.arange(209) < 9, wrong))
    assert not needs_calibration(*histogram(np.arange(200) < 100, np.where(np.arange(200) < 100, 0.6, 0.4)))


def test_of_more_classes_the_predicted_ones_probability_is_calibrated():
    """Each predicted class has its own curve; one that was seldom predicted has that of all together."""
    rng = np.random.default_rng(0)
    names, n = ["a", "b", "c"], 12_000
    predicted = rng.choice(names, n, p=[0.6, 0.3999, 0.0001])
    confidence = rng.uniform(0.4, 1.0, n)
    rate = np.where(predicted == "a", confidence * 0.5, confidence)
    hit = rng.random(n) < rate
    other = {"a": "b", "b": "c", "c": "a"}
    truth = [p if h else other[p] for p, h in zip(predicted, hit, strict=True)]
    scores = {
        name: np.where(predicted == name, confidence, (1 - confidence) / 2) for name in names
    }  # fmt: skip
    quality = Classification(names)
    quality.update(truth, predicted.tolist(), scores)
    calibration = Calibration.fit(quality)
    assert calibration.probabilities("a")[800] == pytest.approx(0.4, abs=0.06)
    assert calibration.probabilities("b")[800] == pytest.approx(0.8, abs=0.06)
    pooled = (calibration.probabilities("a") * 0.6 + calibration.probabilities("b") * 0.4)[800]
    assert calibration.probabilities("c")[800] == pytest.approx(pooled, abs=0.06)


def test_a_calibration_survives_json():
    """The same probabilities come out of its JSON, for curves and where there are none."""
    rng = np.random.default_rng(0)
    score = rng.random(2_000)
    for truth in (rng.random(2_000) < score**2, rng.random(2_000) < score):
        calibration = Calibration.fit(reference(truth, score))
        again = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
        assert again == calibration
        np.testing.assert_array_equal(again.probabilities("yes"), calibration.probabilities("yes"))
