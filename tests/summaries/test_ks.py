"""D and p against scipy's two-sample test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import smirnov
from summaries import ks
from summaries.cells import Cells
from summaries.compare import compare
from summaries.counts import count, zeros
from summaries.ks import ks_2samp_counts

# scipy says so where its exact p is not computable; ours falls back in silence.
pytestmark = pytest.mark.filterwarnings("ignore:ks_2samp. Exact calculation:RuntimeWarning")

tied = st.lists(st.integers(-4, 4), min_size=1, max_size=60)
whole = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30)
# Doubles one float32 apart and less: they tie or not only by the dtype they are cut in.
near = st.lists(st.integers(-6, 6).map(lambda i: 0.1 + i * 3e-9), min_size=1, max_size=60)
reals = st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=40)


def ks_of_counts(reference, live, dtype, cap=4096, **options):
    """(D, p) from cells and counts alone."""
    cells = Cells.from_reference(reference, dtype, cap=cap)
    counts = count(cells.index(live), cells.size)
    return ks_2samp_counts(cells.counts[:-1], counts[:-1], **options)


def scipy_of(reference, live, dtype, method="auto"):
    """(D, p) from the raw values, in one dtype."""
    return stats.ks_2samp(np.array(reference, dtype=dtype), np.array(live, dtype=dtype), method=method)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@given(reference=tied, live=tied)
def test_d_equals_scipys_to_the_last_bit_with_heavy_ties(dtype, reference, live):
    """Nine distinct values in up to sixty rows give scipy's very D, and its exact p."""
    d, p = ks_of_counts(reference, live, dtype)
    expected = scipy_of(reference, live, dtype)
    assert d == expected.statistic
    assert p == expected.pvalue


@given(reference=near, live=near)
def test_d_equals_scipys_where_float32_makes_ties(reference, live):
    """Both sides are cut in one dtype, so values tie exactly where scipy's float32 samples do."""
    assert ks_of_counts(reference, live, "float32")[0] == scipy_of(reference, live, "float32").statistic


@given(reference=reals, live=reals)
def test_d_equals_scipys_without_ties(reference, live):
    """Continuous values of any size give scipy's very D."""
    assert ks_of_counts(reference, live, "float32")[0] == scipy_of(reference, live, "float32").statistic


@given(reference=whole, live=whole)
def test_integers_beyond_2_to_53_keep_their_order(reference, live):
    """64-bit integers are never rounded to doubles."""
    live = [*live, *(value + 1 for value in reference)]
    assert ks_of_counts(reference, live, "int64")[0] == scipy_of(reference, live, "int64").statistic


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n1=st.integers(2, 25_000),
    n2=st.integers(2, 25_000),
    distinct=st.integers(1, 4_000),
    dtype=st.sampled_from(["float32", "int64"]),
)
def test_d_equals_scipys_on_large_samples(seed, n1, n2, distinct, dtype):
    """Both of scipy's ways to compute D, below and above 10,000 rows, are met to the last bit."""
    rng = np.random.default_rng(seed)
    scale = 0.1 if dtype == "float32" else 1
    reference, live = (rng.integers(0, distinct, n) * scale for n in (n1, n2))
    d, p = ks_of_counts(reference, live, dtype, exact_up_to=0)
    method = "auto" if max(n1, n2) > 10_000 else "asymp"
    expected = scipy_of(reference, live, dtype, method)
    if expected.pvalue > 0.955:  # the limit law answers
        assert p == pytest.approx(expected.pvalue, abs=0.004)
    else:
        assert p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-15)
    if method == "asymp":  # below 10,000 rows scipy's default rounds D to a multiple of 1/lcm
        assert d == pytest.approx(expected.statistic, abs=1e-12)
    else:
        assert d == expected.statistic


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n1=st.integers(1, 3_000), n2=st.integers(1, 3_000))
def test_d_equals_scipys_default_where_p_is_asymptotic(seed, n1, n2):
    """D is the default method's also where we spare ourselves its exact p."""
    rng = np.random.default_rng(seed)
    reference, live = rng.integers(0, 50, n1), rng.integers(0, 50, n2)
    assert ks_of_counts(reference, live, "int64", exact_up_to=0)[0] == scipy_of(reference, live, "int64")[0]


@given(reference=reals, live=reals, cap=st.integers(2, 10))
def test_above_the_cap_d_is_off_by_no_more_than_stated(reference, live, cap):
    """Quantile edges make D too small by at most the heaviest gap's share of the reference."""
    cells = Cells.from_reference(reference, "float64", cap=cap)
    d, _ = ks_of_counts(reference, live, "float64", cap=cap)
    true = scipy_of(reference, live, "float64").statistic
    assert -1e-12 <= true - d <= cells.error_bound + 1e-12


def test_the_bound_is_small_for_a_continuous_sample():
    """Of 50,000 distinct values 4,096 edges leave a bound of a few ten-thousandths, and ties stay exact."""
    rng = np.random.default_rng(1)
    sample = np.concatenate([rng.normal(size=50_000), np.zeros(20_000)])
    cells = Cells.from_reference(sample, "float64")
    assert len(cells.edges) <= 4096
    assert 0 < cells.error_bound < 4e-4
    assert cells.counts[cells.index([0.0])[0]] == 20_000


def test_p_is_a_number_for_one_row_against_one():
    """Where scipy's asymptotic p is NaN (one row a side) ours is a probability."""
    assert ks_2samp_counts(np.array([1, 0]), np.array([0, 1]), exact_up_to=0) == (1.0, 0.0)
    assert ks_2samp_counts(np.array([1, 0]), np.array([0, 1])) == (1.0, 1.0)


def test_an_empty_sample_contradicts_nothing():
    """Without rows D is 0 and p is 1."""
    assert ks_2samp_counts(np.array([0, 3]), zeros(2)) == (0.0, 1.0)
    assert ks_2samp_counts(zeros(2), np.array([0, 3])) == (0.0, 1.0)


def test_counts_over_different_cells_are_refused():
    """Two lengths cannot be compared."""
    with pytest.raises(ValueError, match="different cells"):
        ks_2samp_counts(zeros(3), zeros(5))


def test_missing_values_do_not_move_d():
    """compare() sets the missing cell apart and reports it."""
    cells = Cells.from_reference([1.0, 2.0, 3.0, None], "float32")
    counts = count(cells.index([1.0, 2.0, 3.0, None, None, None]), cells.size)
    result = compare(cells, counts)
    assert (result.statistic, result.p_value, result.missing) == (0.0, 1.0, 3)


@given(st.integers(300, 5000), st.floats(2.2, 300))
@settings(max_examples=100, deadline=None)
def test_the_far_tail_is_scipys_to_ten_digits(n, far):
    """Where the two tails add up, as sums of terms: a fiftieth of scipy's time."""
    d = math.sqrt(far / n)
    assert math.isclose(ks._one_sided(n, d), smirnov(n, d), rel_tol=1e-10, abs_tol=1e-300)


@pytest.mark.parametrize("n", [5001, 20_000, 100_000])
def test_beyond_five_thousand_rows_the_tail_is_off_by_no_more_than_stated(n):
    """0.2% where it is 1e-4, 2% at 1e-10, a factor of three at 1e-130; and no p above scipy's by more."""
    for far, off in ((2.2, 0.002), (5, 0.002), (12, 0.02), (150, 2 / 3)):
        d = math.sqrt(far / n)
        assert -off <= ks._one_sided(n, d) / smirnov(n, d) - 1 <= 1e-9
    assert ks._one_sided(n, math.sqrt(400 / n)) == 0 == ks._one_sided(n, 1.0)
