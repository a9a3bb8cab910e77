"""Rank statistics from counts against scipy's on the same samples, with heavy ties."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from summaries.anderson_darling import anderson_darling_counts, null_law
from summaries.cells import Cells
from summaries.cramer_von_mises import cramer_von_mises_counts
from summaries.mann_whitney import mann_whitney_counts
from summaries.missing import missing_log_p
from summaries.quadratic_form import QuadraticForm

TIED = st.lists(st.integers(0, 6), min_size=2, max_size=40)


def counted(x: list[int], y: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Counts over the reference's own cells; live values in one gap are as if tied, which scipy is told too."""
    cells = Cells.from_reference(x, "int64")
    live = np.bincount(cells.index(y), minlength=cells.size)
    return cells.counts[:-1], live[:-1]


def numbers(x: list[int], y: list[int]) -> tuple[list[int], list[int]]:
    """The samples' cell numbers."""
    cells = Cells.from_reference(x, "int64")
    return cells.index(x).tolist(), cells.index(y).tolist()


def variance(n1: int, n2: int) -> float:
    """Of A² under sameness without ties: Scholz and Stephens (1987), equation 4, for k = 2."""
    n = n1 + n2
    h = sum(1 / i for i in range(1, n))
    big_h = 1 / n1 + 1 / n2
    g = sum(sum(1 / ((n - i) * j) for j in range(i + 1, n)) for i in range(1, n - 1))
    a = (4 * g - 6) + (10 - 6 * g) * big_h
    b = (2 * g - 4) * 4 + 16 * h + (2 * g - 14 * h - 4) * big_h - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * 4 + (4 * h - 4 * g + 6) * 2 + (2 * h - 6) * big_h + 4 * h
    d = (2 * h + 6) * 4 - 8 * h
    return (a * n**3 + b * n**2 + c * n + d) / ((n - 1) * (n - 2) * (n - 3))


@given(TIED, TIED)
def test_anderson_darling_is_scipys(x: list[int], y: list[int]) -> None:
    """A², standardised as scipy does, equals ``anderson_ksamp``'s statistic with midranks."""
    a, b = numbers(x, y)
    if len(set(a + b)) < 2:
        assert float(anderson_darling_counts(*counted(x, y))) == 0
        return
    found = (float(anderson_darling_counts(*counted(x, y))) - 1) / math.sqrt(variance(len(x), len(y)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its p-value, which it cuts off at both ends
        expected = stats.anderson_ksamp([a, b], variant="midrank").statistic
    assert found == pytest.approx(expected, abs=1e-9)


@given(TIED, TIED)
def test_cramer_von_mises_is_scipys(x: list[int], y: list[int]) -> None:
    """T equals ``cramervonmises_2samp``'s statistic, ties by midranks."""
    expected = stats.cramervonmises_2samp(*numbers(x, y), method="asymptotic").statistic
    assert cramer_von_mises_counts(*counted(x, y)) == pytest.approx(expected, abs=1e-9)


@given(TIED, TIED)
def test_mann_whitney_is_scipys(x: list[int], y: list[int]) -> None:
    """U and its asymptotic p-value equal ``mannwhitneyu``'s, on the values themselves."""
    u, p = mann_whitney_counts(*counted(x, y))
    if len(set(x + y)) < 2:
        assert p == 1
        return
    reference, live = numbers(x, y)  # live values in one gap are tied for the variance, not for U
    expected = stats.mannwhitneyu(live, reference, method="asymptotic")
    assert u == stats.mannwhitneyu(y, x).statistic
    assert p == pytest.approx(expected.pvalue, abs=1e-9)


@pytest.mark.parametrize("weights", [[1.0], [0.5] * 4, [1 / (j * (j + 1)) for j in range(1, 60)]])
def test_the_tail_of_a_quadratic_form_errs_on_the_side_of_fewer_alarms(weights: list[float]) -> None:
    """Beyond the median the chance is at most 1% too small and 13% too large; checked where it is known."""
    law = QuadraticForm(weights)
    known = {
        1: lambda q: stats.chi2.sf(q, 1), 4: lambda q: stats.chi2.sf(2 * q, 4),
        # Anderson and Darling's limit: Marsaglia and Marsaglia (2004)
        59: lambda q: {1.933: 0.1, 2.492: 0.05, 3.070: 0.025, 3.857: 0.01}[q],
    }[len(weights)]  # fmt: skip
    for q in (1.933, 2.492, 3.070, 3.857) if len(weights) == 59 else (1, 2, 5, 10, 30, 60):
        assert 0.98 < float(law.sf(q)) / known(q) < 1.14


@pytest.mark.parametrize("distinct", [2, 5, 40, 0])
def test_the_null_law_holds_for_few_distinct_values(distinct: int) -> None:
    """p <= 1% in about 1% of quiet windows, whether a feature has 2, 5, 40 values or is continuous."""
    generator = np.random.default_rng(7)

    def draw(n: int) -> np.ndarray:
        return generator.normal(size=n) if not distinct else generator.integers(0, distinct, n).astype(float)

    below = 0
    for _ in range(40):
        cells = Cells.from_reference(draw(1000), "float64")
        law = null_law(cells.counts[:-1])
        live = np.stack([np.bincount(cells.index(draw(300)), minlength=cells.size)[:-1] for _ in range(50)])
        below += int((law.log_sf(anderson_darling_counts(cells.counts[:-1], live)) <= math.log(0.01)).sum())
    assert 5 <= below <= 40  # 20 expected of 2,000; windows share references


@given(st.integers(0, 30), st.integers(30, 60), st.integers(0, 30), st.integers(30, 60))
def test_few_missing_values_are_tested_exactly(a: int, n: int, b: int, m: int) -> None:
    """ln p is twice the smaller hypergeometric tail."""
    tails = stats.hypergeom.sf(b - 1, n + m, a + b, m), stats.hypergeom.cdf(b, n + m, a + b, m)
    expected = min(1.0, 2 * min(tails)) if a + b else 1.0
    if min(a + b, n + m - a - b) * min(n, m) / (n + m) < 25:
        assert math.exp(missing_log_p(a, n, b, m)) == pytest.approx(expected, rel=1e-6)


def test_many_missing_values_are_tested_by_the_normal_approximation() -> None:
    """With hundreds expected the two-proportion test agrees with the exact one within a third."""
    exact = stats.fisher_exact([[1000, 9000], [260, 1740]]).pvalue
    assert math.exp(missing_log_p(1000, 10000, 260, 2000)) == pytest.approx(exact, rel=0.35)
