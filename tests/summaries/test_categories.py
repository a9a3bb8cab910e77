"""Categories, the chi-square test on their counts, and effect sizes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association
from summaries.categories import Categories
from summaries.chi2 import chi2_counts, pool
from summaries.compare import compare
from summaries.counts import count, zeros
from summaries.effects import coarsen, jensen_shannon, psi

cells = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=12)
tables = cells.map(lambda pairs: tuple(np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True)))


@given(tables, st.sampled_from([0.0, 1.0, 5.0]))
def test_chi_square_equals_scipys(table, min_expected):
    """Statistic, p, degrees of freedom and V are scipy's on the pooled table."""
    reference, live = table
    result = chi2_counts(reference, live, min_expected)
    pooled = pool(reference, live, min_expected)
    if pooled.shape[1] < 2 or not pooled.sum(axis=1).all():
        assert result == (0.0, 1.0, 0, 0.0)
        return
    expected = chi2_contingency(pooled, correction=False)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12, abs=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-15)
    assert result.dof == expected.dof
    assert result.cramers_v == pytest.approx(association(pooled, method="cramer"), abs=1e-9)


@given(tables)
def test_pooling_keeps_every_row_and_leaves_no_sparse_category(table):
    """The pooled table has the same totals, and expects at least five rows in each cell."""
    pooled = pool(*table)
    assert pooled.sum(axis=1).tolist() == [int(side.sum()) for side in table]
    if pooled.shape[1] > 1 and pooled.sum(axis=1).all():
        assert chi2_contingency(pooled).expected_freq.min() >= 5 - 1e-9


def test_plenty_of_rows_are_not_pooled():
    """Where every category is expected often enough the test is scipy's on the counts as they are."""
    reference, live = np.array([400, 300, 300, 0, 0]), np.array([30, 40, 30, 0, 0])
    assert chi2_counts(reference, live).statistic == pytest.approx(
        chi2_contingency([[400, 300, 300], [30, 40, 30]]).statistic, rel=1e-12
    )


def test_an_unseen_category_that_takes_over_is_drift():
    """The unseen share one cell, and the test sees it."""
    reference = Categories.from_reference(["a", "b"] * 200)
    counts = count(reference.index(["a"] * 50 + ["new"] * 50), reference.size)
    result = compare(reference, counts)
    assert result.p_value < 1e-10
    assert result.effect > 0.3


def test_a_category_that_goes_missing_is_drift():
    """For a categorical feature missing is a category like any other, and it is reported."""
    reference = Categories.from_reference(["a", "b"] * 200)
    result = compare(reference, count(reference.index(["a", None] * 100), reference.size))
    assert result.p_value < 1e-10
    assert result.missing == 100


def test_no_live_rows_are_no_drift():
    """An empty window contradicts nothing."""
    reference = Categories.from_reference(["a", "b"])
    result = compare(reference, zeros(reference.size))
    assert (result.p_value, result.effect, result.psi) == (1.0, 0.0, 0.0)


@given(st.lists(st.sampled_from(["a", "b", "c", None, float("nan"), 1, 1.0, "1", True, False, "true", 2.5])))
def test_every_row_is_in_one_cell_and_types_do_not_matter(values):
    """5, 5.0 and "5" are one category, True is "true" and not 1, NaN is missing."""
    reference = Categories.from_reference(values)
    assert reference.rows == len(values)
    assert reference.counts[reference.unseen] == 0
    for value, cell in zip(values, reference.index(values), strict=True):
        assert reference.index([value]).tolist() == [cell]
    if 1 in [v for v in values if v is not True]:
        assert len(set(reference.index([1, 1.0, "1", np.int64(1)]).tolist())) == 1
        assert reference.index([True])[0] != reference.index([1])[0]


@given(
    st.lists(st.floats(allow_infinity=False) | st.sampled_from([1.0, 2.0, -0.0, 2.0**53, 1e300]), max_size=20)
)
def test_an_array_of_numbers_is_indexed_as_its_values(values):
    """By its distinct values, NaN and -0.0 among them."""
    categories = Categories.from_reference([0, 1, 2.5, "a", None, 2**53])
    assert categories.index(np.array(values)).tolist() == categories.index(values).tolist()
    whole = [int(value) for value in values if abs(value) < 2.0**62]
    assert categories.index(np.array(whole, dtype=np.int64)).tolist() == categories.index(whole).tolist()


def test_known_categories_need_not_occur():
    """A class nobody predicted yet has a cell of its own."""
    categories = Categories.from_reference([5, 5], known=[4, 5, 6])
    assert categories.names == ["4", "5", "6"]
    assert categories.counts.tolist() == [0, 2, 0, 0, 0]


def test_above_the_cap_the_rarest_share_the_unseen_cell():
    """Memory is bounded, whatever a free-text column holds."""
    categories = Categories.from_reference(["a"] * 3 + ["b"] * 2 + ["c", "d"], cap=2)
    assert categories.names == ["a", "b"]
    assert categories.counts.tolist() == [3, 2, 2, 0]


def test_infinity_is_no_category():
    """Infinities are refused here too, as is what is no scalar."""
    categories = Categories.from_reference(["a"])
    for bad in (float("inf"), ("a",)):
        with pytest.raises(ValueError, match="no category"):
            categories.index([bad])


@given(st.lists(st.text(max_size=3) | st.none()))
def test_categories_round_trip_json(values):
    """Names and counts survive JSON."""
    categories = Categories.from_reference(values)
    again = Categories.from_dict(json.loads(json.dumps(categories.to_dict())))
    assert again == categories
    assert again.index(values).tolist() == categories.index(values).tolist()


@given(tables)
def test_jensen_shannon_equals_scipys(table):
    """The distance is scipy's, in bits."""
    reference, live = table
    if reference.sum() and live.sum():
        expected = jensenshannon(reference, live, base=2)
        assert jensen_shannon(reference, live) == pytest.approx(np.nan_to_num(expected), abs=1e-7)


@given(tables)
def test_psi_is_zero_for_equal_shares_and_never_negative(table):
    """PSI of a sample and its triple is 0; of any two it is at least 0, in bins as well."""
    reference, live = table
    assert psi(reference, 3 * reference) == pytest.approx(0, abs=1e-12)
    assert psi(reference, live) >= 0
    assert psi(reference, live, bins=4) >= 0


def test_quantile_bins_hold_about_equal_shares():
    """Ten bins of a continuous reference hold a tenth each."""
    reference = np.tile([0, 1], 1000)
    assert np.bincount(coarsen(reference), weights=reference).tolist() == [100.0] * 10
