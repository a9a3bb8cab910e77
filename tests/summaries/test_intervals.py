"""Confidence intervals cover what they should, by simulation, and equal the textbook's where there is one."""

from __future__ import annotations

import math
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from summaries.intervals import Z, class_intervals, intervals, wilson
from summaries.quality import LARGEST, Classification, Regression

EVERYBODY = 20_000
DRAWS, ROWS = 400, 300


def classified(classes, truth, predicted, scores):
    """A way to count some rows of a population of classes given by number."""

    def count(rows=slice(None)):
        names = np.array(classes)
        quality = Classification(classes)
        columns = dict(zip(classes, scores[rows].T, strict=True))
        quality.update(names[truth[rows]].tolist(), names[predicted[rows]].tolist(), columns)
        return quality

    return count


def two_classes(rng):
    """Scores that are near the chance of the positive class, but not it."""
    chance = rng.beta(1, 2, EVERYBODY)
    score = np.clip(chance + rng.normal(0, 0.1, EVERYBODY), 0.01, 0.99)
    truth = (rng.random(EVERYBODY) < chance).astype(int)
    return classified(["no", "yes"], truth, (score > 0.5).astype(int), np.stack([1 - score, score], axis=1))


def four_classes(rng):
    """Classes that are not equally frequent."""
    scores = rng.dirichlet([0.5, 0.4, 0.3, 0.3], EVERYBODY)
    truth = (rng.random(EVERYBODY)[:, None] > np.cumsum(scores, axis=1)[:, :-1]).sum(axis=1)
    return classified(list("abcd"), truth, scores.argmax(axis=1), scores)


def numbers(rng):
    """Truths that are skewed, errors with heavy tails that grow with the truth."""
    truth = 5 + rng.gamma(3, 10, EVERYBODY)
    predicted = 0.9 * truth + 3 + 3 * rng.standard_t(8, EVERYBODY) * (1 + truth / 50)

    def count(rows=slice(None)):
        quality = Regression()
        quality.update(truth[rows], predicted[rows])
        return quality

    return count


@pytest.mark.parametrize("population", [two_classes, four_classes, numbers])
def test_ninety_five_per_cent_cover_what_is_true_of_everybody(population):
    """Of 400 draws of 300 rows some 95% have an interval around the figure of the whole population."""
    rng = np.random.default_rng(1)
    count = population(rng)
    true, covered = count().get(), {}
    for _ in range(DRAWS):
        for name, (low, high) in intervals(count(rng.integers(0, EVERYBODY, ROWS))).items():
            covered.setdefault(name, []).append(low <= true[name] <= high)
    rates = {name: np.mean(each) for name, each in covered.items()}
    assert all(len(each) == DRAWS for each in covered.values())
    if population is four_classes:
        assert rates.pop("auc") >= 0.95  # wider than it need be, as it says
    assert all(0.92 <= rate <= 0.98 for rate in rates.values()), rates
    assert set(true) - set(covered) <= {"calibration_error", "pr_auc"}


@given(st.integers(0, 50), st.integers(0, 50))
def test_proportions_have_wilsons_interval(hits, misses):
    """The same limits as SciPy's."""
    if hits + misses:
        theirs = stats.binomtest(hits, hits + misses).proportion_ci(method="wilson")
        assert wilson(hits, hits + misses) == pytest.approx(tuple(theirs), abs=1e-9)


def test_the_auc_has_delongs_interval():
    """From the histogram the spread is that of the placements row by row, where no two rows share a bin."""
    rng = np.random.default_rng(0)
    score = rng.permutation(1_000)[:80] / 1_000 + 0.0005
    truth = rng.random(80) < score
    quality = Classification(["no", "yes"])
    quality.update(np.where(truth, "yes", "no").tolist(), ["no"] * 80, {"yes": score})
    above = score[truth][:, None] > score[~truth]
    spread = math.sqrt(
        above.mean(axis=1).var(ddof=1) / truth.sum() + above.mean(axis=0).var(ddof=1) / (~truth).sum()
    )
    auc = above.mean()
    half = 1.959964 * spread / (auc * (1 - auc))
    expected = [1 / (1 + math.exp(-(math.log(auc / (1 - auc)) + side * half))) for side in (-1, 1)]
    assert intervals(quality)["auc"] == pytest.approx(expected, abs=1e-6)


@st.composite
def qualities(draw):
    """Few rows of two to four classes, with and without probabilities; or of numbers of any size."""
    if draw(st.booleans()):
        pairs = draw(st.lists(st.tuples(*[st.floats(-LARGEST, LARGEST) | st.floats(-9, 9)] * 2), max_size=6))
        quality = Regression()
        quality.update([t for t, _ in pairs], [p for _, p in pairs])
        return quality
    classes = list("abcd")[: draw(st.integers(2, 4))]
    rows = draw(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde")), max_size=12))
    quality, rng = Classification(classes), np.random.default_rng(len(rows))
    scores = dict(zip(classes, rng.dirichlet(np.ones(len(classes)), len(rows)).T, strict=True))
    quality.update([t for t, _ in rows], [p for _, p in rows], draw(st.sampled_from([None, scores])))
    return quality


@settings(deadline=None)
@given(qualities())
def test_intervals_hold_their_figure(quality):
    """However few the rows: limits are finite, in order, around the figure, and those of shares within [0, 1]."""
    metrics = quality.get()
    for name, (low, high) in intervals(quality).items():
        assert math.isfinite(low)
        assert math.isfinite(high)
        slack = 1e-9 * max(1.0, abs(metrics[name]))
        assert low - slack <= metrics[name] <= high + slack, name
        if isinstance(quality, Classification) and name not in ("log_loss", "brier"):
            assert 0 <= low <= high <= 1
    if isinstance(quality, Classification):
        by_class = quality.by_class()
        for name, these in class_intervals(quality).items():
            for figure, (low, high) in these.items():
                assert 0 <= low <= by_class[name][figure] + 1e-9
                assert by_class[name][figure] - 1e-9 <= high <= 1


def test_no_error_at_all_still_leaves_doubt():
    """Twenty rows without an error do not prove that there are none."""
    quality = Classification(["a", "b", "c"])
    quality.update(["a", "b", "c", "a"] * 5, ["a", "b", "c", "a"] * 5)
    found = intervals(quality)
    assert {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_weighted"} <= set(found)
    assert all(low < 0.95 and high == 1.0 for low, high in found.values())


def naive(quality):
    """Standard errors of averages with the slopes written out [class, true, predicted]."""
    counts = quality.counts
    occurs = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    k, right = len(occurs), np.diag((occurs < len(counts) - 1).astype(float))
    padded = counts[np.ix_(occurs, occurs)] + 2 * right / right.sum() + 2 * (1 - right) / (1 - right).sum()
    share, eye = padded / padded.sum(), np.eye(k)
    actual, named = share.sum(axis=1), share.sum(axis=0)
    hits = (share * right).sum(axis=1)
    f1, precision = 2 * hits / (actual + named), hits / named
    hit = eye[:, :, None] * eye[:, None, :] * right
    by_f1 = 2 * hit - f1[:, None, None] * (eye[:, :, None] + eye[:, None, :])
    by_f1 /= (actual + named)[:, None, None]
    by_precision = (hit - precision[:, None, None] * eye[:, None, :]) / named[:, None, None]
    slopes = {
        "f1_macro": by_f1.mean(axis=0),
        "f1_weighted": (actual[:, None, None] * by_f1).sum(axis=0) + f1[:, None],
        "precision_weighted": (actual[:, None, None] * by_precision).sum(axis=0) + precision[:, None],
    }
    return {
        name: math.sqrt(((share * slope**2).sum() - (share * slope).sum() ** 2) / quality.rows)
        for name, slope in slopes.items()
    }


@given(st.lists(st.tuples(*[st.sampled_from("abcde")] * 2), min_size=2, max_size=40), st.integers(2, 5))
def test_averages_spread_as_their_slopes_written_out_say(rows, k):
    """The sums by row, column and diagonal equal those over all classes and cells, with rows of (other) or not."""
    quality = Classification(list("abcde")[:k])
    quality.update([t for t, _ in rows], [p for _, p in rows])
    metrics, found = quality.get(), intervals(quality)
    occurs = {min(ord(label) - ord("a"), k) for row in rows for label in row}
    assert ("f1_weighted" in found) == (len(occurs) > 1)
    if len(occurs) > 1:
        for name, spread in naive(quality).items():
            key = name if name != "f1_macro" or k == 2 else "f1"
            limits = (max(0.0, metrics[key] - Z * spread), min(1.0, metrics[key] + Z * spread))
            assert found[key] == pytest.approx(limits, abs=1e-9), key


def test_an_unknown_label_told_as_another_unknown_one_widens_as_a_miss():
    """The cell (other, other) is wrong in the metric: the spread is that of as many misses, not of hits."""
    misses, hits = (Classification(["a", "b"]) for _ in range(2))
    for quality, told in ((misses, ["z"] * 30), (hits, ["b"] * 30)):
        quality.update(["a"] * 50 + ["y" if quality is misses else "b"] * 30, ["a"] * 50 + told)
    assert misses.get()["f1_weighted"] == pytest.approx(50 / 80)
    low, high = intervals(misses)["f1_weighted"]
    half = Z * math.sqrt(50 * 30 / 80**3)  # of the share of hits, which F1 is here
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)
    assert (high - low) / 2 > 2 * np.diff(intervals(hits)["f1_weighted"])[0]


def test_a_thousand_classes_take_memory_by_the_square():
    """A few arrays of 1,001 by 1,001 cells, not of 1,001 times that."""
    names, rng = list(map(str, range(1_000))), np.random.default_rng(0)
    quality = Classification(names)
    truth = rng.integers(0, 1_000, 20_000)
    predicted = np.where(rng.random(20_000) < 0.7, truth, rng.integers(0, 1_000, 20_000))
    quality.update(truth.astype(str).tolist(), predicted.astype(str).tolist())
    tracemalloc.start()
    try:
        found = intervals(quality)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["f1"][0] < quality.get()["f1"] < found["f1"][1]
    assert peak < 120e6


@st.composite
def partial(draw):
    """Rows counted and other rows taken out, of classes with and without probabilities or of numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counted, out = draw(st.integers(0, 12)), draw(st.integers(0, 6))
    if draw(st.booleans()):
        quality = Regression()
        for move, n in ((quality.update, counted), (quality.revert, out)):
            size = 10.0 ** rng.integers(-9, 150) if draw(st.booleans()) else 1.0
            move(size * rng.integers(-3, 4, n), size * rng.integers(-3, 4, n))
        return quality
    classes = list("abcd")[: draw(st.integers(2, 4))]
    quality = Classification(classes)
    for move, n in ((quality.update, counted), (quality.revert, out)):
        truth, predicted = (np.array(list("abcde"))[rng.integers(0, 5, n)].tolist() for _ in range(2))
        tenths = rng.multinomial(10, np.ones(len(classes)) / len(classes), n).T / 10
        scores = dict(zip(classes, tenths, strict=True))
        move(truth, predicted, draw(st.sampled_from([None, scores])))
    return quality


@settings(deadline=None, max_examples=300)
@given(partial())
def test_sums_that_are_not_whole_neither_raise_nor_warn(quality):
    """Whatever was taken out: figures and limits are finite numbers in order, or not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics, found = quality.get(), intervals(quality)
        if isinstance(quality, Classification):
            by_class = class_intervals(quality)
            assert quality.errors().keys() <= {"auc", "pr_auc"}
            if (quality.counts < 0).any():
                assert found == by_class == {}
    assert found.keys() <= metrics.keys()
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())
    assert all(math.isfinite(low) and low <= high for low, high in found.values())


def test_only_reverted_rows_have_no_intervals():
    """A cell that holds no more than what a correction took out says nothing."""
    classes, numbers = Classification(["a", "b"]), Regression()
    classes.revert(["a", "b", "b"], ["a", "a", "b"], {"b": [0.2, 0.4, 0.9]})
    numbers.revert([1.0, 2.0, 4.0], [2.0, 2.0, 3.0])
    assert intervals(classes) == intervals(numbers) == class_intervals(classes) == {}


def test_negative_cells_of_scores_have_no_delong_interval():
    """Rows cancel in the confusion, not in the scores of class b, whose variance would be negative: b is left out."""
    quality = Classification(["a", "b", "c"])
    even = {"a": [0.5] * 5, "b": [0.5] * 5, "c": [0.0] * 5}
    quality.update(["b", "b", "c", "c", "a"], ["a"] * 5, even)
    quality.revert(["a"], ["a"], {"a": [0.5], "b": [0.0], "c": [0.5]})
    assert (quality.counts >= 0).all()
    assert (quality.histogram < 0).any(axis=(1, 2)).tolist() == [False, True, True]
    found = intervals(quality)
    assert "accuracy" in found
    assert "auc" not in found


def test_without_rows_there_are_no_intervals():
    """Nothing is said of nothing, and one row says nothing about a spread."""
    assert intervals(Classification(["a", "b"])) == intervals(Regression()) == {}
    one = Regression()
    one.update([1.0], [2.0])
    assert intervals(one) == {}
