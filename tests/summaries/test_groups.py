"""A chunk that falls into many counts leaves each as an update of its own rows would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from summaries.delays import Delays
from summaries.forecast import Forecast
from summaries.label_pairs import LabelPairs
from summaries.quality import Classification, Regression

COUNTS = 4
CLASSES = {2: ["no", "yes"], 9: list("abcdefghi")}


@st.composite
def chunks(draw):
    """Groups, class numbers, and probabilities [rows, classes], of which some may be outside the classes."""
    k = draw(st.sampled_from([2, 9]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 40))
    names = [*CLASSES[k], "other"]
    truth, predicted = (np.array(names)[rng.integers(0, k + 1, n)] for _ in range(2))
    return CLASSES[k], rng.integers(0, COUNTS, n), truth, predicted, rng.dirichlet(np.full(k, 0.5), n)


@settings(deadline=None)
@given(chunks(), st.booleans(), st.sampled_from([1, -1]))
def test_a_chunk_of_classes_is_counted_as_group_by_group(chunk, scored, sign):
    """With and without probabilities, in and out, to the last bit."""
    classes, groups, truth, predicted, scores = chunk
    each, whole = [[Classification(classes) for _ in range(COUNTS)] for _ in range(2)]
    given = dict(zip(classes, scores.T, strict=True)) if scored else None
    Classification.update_each(whole, groups, truth.tolist(), predicted.tolist(), given, sign)
    for name, quality in enumerate(each):
        at = groups == name
        part = None if given is None else {c: column[at] for c, column in given.items()}
        move = quality.update if sign > 0 else quality.revert
        move(truth[at].tolist(), predicted[at].tolist(), part)
    assert whole == each


@settings(deadline=None)
@given(chunks())
def test_a_chunk_of_predictions_is_counted_as_group_by_group(chunk):
    """The same for what is counted before labels come."""
    classes, groups, _, predicted, scores = chunk
    each, whole = [[Forecast(classes) for _ in range(COUNTS)] for _ in range(2)]
    Forecast.update_each(whole, groups, predicted.tolist(), dict(zip(classes, scores.T, strict=True)))
    for name, forecast in enumerate(each):
        at = groups == name
        forecast.update(predicted[at].tolist(), dict(zip(classes, scores[at].T, strict=True)))
    assert whole == each


rows = st.lists(
    st.tuples(
        st.integers(0, COUNTS - 1),
        st.sampled_from(["a", "5", 5, 6.5, -1e200]),
        st.sampled_from(["a", "5", 7, 2.25]),
        st.floats(-1e6, 1e6),
        st.floats(-1e6, 1e6),
        st.integers(-9, 10**9),
    ),
    max_size=30,
)


@given(rows, st.sampled_from([1, -1]))
def test_chunks_of_numbers_pairs_and_delays_are_counted_as_group_by_group(rows, sign):
    """The same for regressions, for labels whose task is not known, and for delays."""
    regressions, pairs, delays = (
        [kind() for _ in range(COUNTS)] for kind in (Regression, LabelPairs, Delays)
    )
    groups, labels, predicted, y, p, ms = zip(*rows, strict=True) if rows else [[]] * 6
    Regression.update_each(regressions, groups, y, p, sign)
    LabelPairs.update_each(pairs, groups, labels, predicted, sign)
    Delays.update_each(delays, groups, ms)
    for name in range(COUNTS):
        _, labels, predicted, y, p, ms = (
            zip(*own, strict=True) if (own := [r for r in rows if r[0] == name]) else [[]] * 6
        )
        regression, pair, delay = Regression(), LabelPairs(), Delays()
        (regression.update if sign > 0 else regression.revert)(y, p)
        (pair.update if sign > 0 else pair.revert)(labels, predicted)
        delay.update(ms)
        assert (regressions[name], pairs[name], delays[name]) == (regression, pair, delay)


def test_thousands_of_rows_in_few_groups_are_counted_in_pieces():
    """A group that goes on from one piece into the next is whole."""
    rng = np.random.default_rng(0)
    n = 10_000
    groups, score = rng.integers(0, COUNTS, n), rng.random(n)
    truth = np.where(rng.random(n) < score, "yes", "no")
    whole = [Classification(CLASSES[2]) for _ in range(COUNTS)]
    Classification.update_each(whole, groups, truth.tolist(), ["yes"] * n, {"yes": score})
    for name, quality in enumerate(whole):
        at = groups == name
        single = Classification(CLASSES[2])
        single.update(truth[at].tolist(), ["yes"] * int(at.sum()), {"yes": score[at]})
        assert quality == single


@pytest.mark.parametrize("groups", [[0], [0, 4], [-1, 0], [0, 1, 2]])
def test_groups_that_do_not_fit_are_refused_and_change_nothing(groups):
    """A group for each row, and a count for each group."""
    qualities, pairs = [Classification(["a", "b"]) for _ in range(4)], [LabelPairs() for _ in range(4)]
    with pytest.raises(ValueError, match="group"):
        Classification.update_each(qualities, groups, ["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match="group"):
        LabelPairs.update_each(pairs, groups, ["a", "b"], ["a", "b"])
    assert all(quality == Classification(["a", "b"]) for quality in qualities)
    assert all(pair == LabelPairs() for pair in pairs)


def test_counts_of_other_classes_are_refused():
    """A chunk has one set of classes."""
    for kind, rows in ((Classification, (["a"], ["a"])), (Forecast, (["a"], {"a": [1.0]}))):
        with pytest.raises(ValueError, match="same classes"):
            kind.update_each([kind(["a", "b"]), kind(["a", "c"])], [0], *rows)
