"""What is counted before the task is known equals what is counted with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries.label_pairs import MAX_PAIRS, LabelPairs
from summaries.quality import Classification, Regression

labels = st.sampled_from(["a", "b", "5", "1e3", "nan", 5, 6.0, 6.5, True, 10**160, -0.0])
rows = st.lists(st.tuples(labels, labels), max_size=30)
distinct = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=900)


def columns(rows):
    """Truths and predictions of rows."""
    return [t for t, _ in rows], [p for _, p in rows]


def counted(*groups):
    """Pairs of groups of rows, one after the other."""
    pairs = LabelPairs()
    for group in groups:
        pairs.update(*columns(group))
    return pairs


@given(rows)
def test_what_the_task_asks_for_is_what_it_would_have_counted(rows):
    """Later the same classification and the same regression come out, less the rows that are no numbers."""
    pairs, classes = counted(rows), ["a", "5", "6"]
    classification, regression = Classification(classes), Regression()
    classification.update(*columns(rows))
    assert pairs.classification(classes) == classification
    known = {"a", "5", 5, 6.0}
    assert pairs.unknown(classes) == sum(t not in known for t, _ in rows)
    numbers = {"5": 5.0, "1e3": 1e3, 5: 5.0, 6.0: 6.0, 6.5: 6.5, True: 1.0, -0.0: 0.0}
    usable = [(numbers[t], numbers[p]) for t, p in rows if t in numbers and p in numbers]
    regression.update(*columns(usable))
    assert pairs.regression() == regression
    assert (pairs.rows, pairs.unusable) == (len(rows), len(rows) - len(usable))


@given(rows, rows, rows)
def test_label_pairs_add_exactly(x, y, z):
    """Identity, associativity, commutativity, equality with one pass, and bytes that are equal for equal states."""
    a, b, c = counted(x), counted(y), counted(z)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == counted(x + y, z)
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes() == counted(x, y).to_bytes()
    assert a.merge(LabelPairs()) == a == LabelPairs.from_bytes(a.to_bytes())


@given(rows, rows)
def test_revert_undoes_update_of_pairs(x, y):
    """A corrected label leaves no trace of the old one in any figure, through bytes as well."""
    pairs, classes = counted(x, y), ["a", "5", "6"]
    pairs.revert(*columns(y))
    for found in (pairs, LabelPairs.from_bytes(pairs.to_bytes())):
        assert found.classification(classes) == counted(x).classification(classes)
        assert found.regression() == counted(x).regression()
        assert found.unknown(classes) == counted(x).unknown(classes)
        assert (found.rows, found.unusable) == (counted(x).rows, counted(x).unusable)


steps = st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(0, 6)), min_size=1, max_size=8)


@given(st.integers(MAX_PAIRS - 4, MAX_PAIRS + 1), steps, st.data())
def test_corrections_near_the_cap_are_said_whatever_the_order(kept, steps, data):
    """Parts with rows counted and taken out, merged in any order and tree, packed between or not, come to one state."""
    full = LabelPairs()
    full.update(["x"] * kept, list(range(kept)))
    parts = [full]
    for sign, label in steps:
        part = LabelPairs()
        (part.update if sign > 0 else part.revert)(["y"], [label])
        parts.append(part)
    whole = full
    for part in parts[1:]:
        whole = whole.merge(part)
    left = data.draw(st.permutations(parts))
    while len(left) > 1:
        at = data.draw(st.integers(0, len(left) - 2))
        both = left[at].merge(left[at + 1])
        if data.draw(st.booleans()):
            both = LabelPairs.from_bytes(both.to_bytes())
        left[at : at + 2] = [both]
    assert left[0] == whole
    assert left[0].to_bytes() == whole.to_bytes()
    assert whole.too_many == (kept + len({label for _, label in steps}) > MAX_PAIRS)


def test_a_correction_beside_a_full_count_is_too_many_in_both_orders():
    """1,000 pairs, one more counted and taken out again: both ways of putting them together say so."""
    a, b, c = LabelPairs(), LabelPairs(), LabelPairs()
    a.update(["x"] * MAX_PAIRS, list(range(MAX_PAIRS)))
    b.update(["y"], ["y"])
    c.revert(["y"], ["y"])
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a).merge(b)
    assert a.merge(b.merge(c)).too_many


@given(distinct, distinct, distinct)
def test_too_many_pairs_are_said_whatever_the_order(x, y, z):
    """Beyond the cap the pairs are dropped, and every order of merging says so; the regression stays."""
    a, b, c = counted(x), counted(y), counted(z)
    whole = counted(x + y + z)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == whole == LabelPairs.from_bytes(whole.to_bytes())
    assert whole.too_many == (len(set(x + y + z)) > MAX_PAIRS)
    assert whole.regression().rows == whole.rows == len(x + y + z)


def test_too_many_pairs_stay_too_many():
    """Absorbing: a merge with few keeps it, more rows are still numbers, and no classification is made up."""
    rng = np.random.default_rng(0)
    pairs = LabelPairs()
    pairs.update(rng.normal(size=MAX_PAIRS + 1), rng.normal(size=MAX_PAIRS + 1))
    assert pairs.too_many
    assert LabelPairs().merge(pairs).too_many
    assert len(pairs.to_bytes()) < 300
    pairs.update(["1"], [2])
    assert pairs.regression().rows == pairs.rows == MAX_PAIRS + 2
    for ask in (pairs.classification, pairs.unknown):
        with pytest.raises(ValueError, match="not kept"):
            ask(["1", "2"])


@pytest.mark.parametrize("bad", [([None], [1]), ([1], [float("nan")]), ([float("inf")], [1]), ([1], [1, 2])])
def test_bad_labels_are_refused_and_change_nothing(bad):
    """What is neither text nor a number is refused as in a classification."""
    pairs = LabelPairs()
    with pytest.raises(ValueError, match=r".+"):
        pairs.update(*bad)
    assert pairs == LabelPairs()
