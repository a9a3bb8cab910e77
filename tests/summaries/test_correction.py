"""Corrections against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from summaries.correction import adjust, benjamini_hochberg, bonferroni

p_values = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.01, 0.05, 1.0]), min_size=1, max_size=30)


@given(p_values)
def test_benjamini_hochberg_equals_scipys(p):
    """Adjusted p-values are those of scipy.stats.false_discovery_control."""
    assert benjamini_hochberg(p).tolist() == pytest.approx(false_discovery_control(p).tolist(), rel=1e-12)


@given(p_values)
def test_bonferroni_is_the_strictest(p):
    """Bonferroni multiplies by the number of tests, and none adjusts less than Benjamini–Hochberg."""
    strict = bonferroni(p)
    assert strict.tolist() == [min(1.0, value * len(p)) for value in p]
    assert (strict >= adjust(p, "bh") - 1e-12).all()
    assert adjust(p, "none").tolist() == p


def test_no_test_needs_no_correction():
    """Without features there is nothing to adjust."""
    assert benjamini_hochberg([]).tolist() == bonferroni([]).tolist() == []


def test_what_is_no_p_value_is_refused():
    """NaN, or a number outside [0, 1], is an error and not a silent pass; so is a misspelt correction."""
    for bad in ([float("nan")], [1.5], [-0.1]):
        with pytest.raises(ValueError, match="p-value"):
            benjamini_hochberg(bad)
    with pytest.raises(ValueError, match="correction"):
        adjust([0.5], "holm")
