"""The learning curve: what it is fitted to, and the rows that it says are needed."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from trainer.domain.learning_curve import EXPONENTS, MOST, LearningCurve, fit, needed

ROWS = np.array([50.0, 100.0, 200.0, 400.0, 800.0])


@given(st.floats(0, 1), st.floats(0.1, 5), st.sampled_from(list(EXPONENTS)))
def test_a_power_law_is_found_again(a: float, b: float, c: float) -> None:
    """Losses that follow the law exactly give back its losses, between the sizes and beyond."""
    found = LearningCurve("log_loss", *fit(ROWS, a + b * ROWS**-c))
    at = np.array([75.0, 600.0, 1_600.0])
    assert found.loss(at) == pytest.approx(a + b * at**-c, abs=1e-6)


@given(st.lists(st.floats(0, 3), min_size=5, max_size=5))
def test_the_fit_is_that_of_non_negative_least_squares(losses: list[float]) -> None:
    """For any losses, no exponent of the grid gives a smaller residual than the one that is taken (Lawson and Hanson's NNLS)."""
    y = np.array(losses)
    a, b, c = fit(ROWS, y)
    assert min(a, b) >= 0
    best = min(nnls(np.column_stack([np.ones(5), ROWS**-e]), y)[1] for e in EXPONENTS)
    assert np.linalg.norm(a + b * ROWS**-c - y) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"metric": "mae", "rows": [1, 2, 3]},
        {"metric": "mae", "rows": [1, 2, 3], "loss": [1, 2]},
        {"metric": "mae", "rows": [10, 10, 20], "loss": [1, 2, 3]},
        {"metric": "mae", "rows": [0, 10, 20], "loss": [1, 2, 3]},
        {"metric": "mae", "rows": [5, 10, 20], "loss": [1, 2, float("nan")]},
        {"metric": "mae", "rows": [5, 10, 20], "loss": [1, 2, None]},
        {"metric": "mae", "rows": 5, "loss": 6},
        [],
    ],
)
def test_what_is_no_curve_is_none(described: Any) -> None:
    """Something is missing, of other lengths, not finite, or of too few sizes for three parameters."""
    assert LearningCurve.of(described) is None


CURVE = LearningCurve("accuracy", 0.2, 2.0, 0.5)


def wrong(share: float, rows: int = 1_000) -> Any:
    """A champion's errors."""
    return (np.arange(rows) < share * rows).astype(float)


def test_the_needed_rows_prove_the_gain_they_promise_four_times_in_five() -> None:
    """Drawn from two models whose errors correlate by one half, the one-sided test has the power that was asked for."""
    share, n = 0.5, needed(CURVE, wrong(0.5), 0.25, 0.0, 0.05, 100)
    held = round(0.25 * n)
    generator = np.random.default_rng(7)
    cut = NormalDist().inv_cdf
    gain = share - float(CURVE.loss(0.75 * n))
    assert n == 256
    proven = 0
    for _ in range(2_000):
        both = generator.normal(size=(held, 1)) * np.sqrt(0.7)  # of thresholded normals: phi near one half
        old, new = (both + generator.normal(size=(held, 2)) * np.sqrt(0.3)).T
        difference = (old < cut(share)).astype(float) - (new < cut(share - gain))
        proven += difference.mean() / (difference.std() / np.sqrt(held)) > cut(0.95)
    assert proven / 2_000 == pytest.approx(0.8, abs=0.06)


@given(st.floats(0, 1), st.integers(10, 300), st.sampled_from(["accuracy", "log_loss", "mae", "rmse"]))
def test_no_need_is_below_the_least_rows_or_beyond_ten_times_as_many(
    share: float, least: int, metric: str
) -> None:
    """Whatever the champion loses; so no curve holds a training back for ever."""
    curve = LearningCurve(metric, 0.2, 2.0, 0.5)
    assert least <= needed(curve, wrong(share), 0.25, 0.0, 0.05, least) <= MOST * least


def test_the_worse_the_champion_the_fewer_rows_are_needed() -> None:
    """A gain that is larger shows earlier, and a stricter test or a least gain asks for more."""
    found = [needed(CURVE, wrong(share), 0.25, 0.0, 0.05, 50) for share in (0.4, 0.5, 0.7, 0.9)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4
    assert needed(CURVE, wrong(0.5), 0.25, 0.0, 0.01, 50) > found[1]
    assert needed(CURVE, wrong(0.5), 0.25, 0.18, 0.05, 50) > found[1]


def test_a_champion_as_good_as_the_curve_gets_asks_for_the_least_rows() -> None:
    """Nothing to gain within reach, whatever the curve's limit is: the challenge tells. A gain too small to be shown asks for
    the most there is."""
    within = float(CURVE.loss(0.75 * MOST * 50))
    assert within > CURVE.a + 0.1
    for share, rows in ((within - 0.01, 50), (within + 0.01, MOST * 50)):
        assert needed(CURVE, wrong(share), 0.25, 0.0, 0.05, 50) == rows
    assert needed(CURVE, wrong(0.5), 0.25, 0.3, 0.05, 50) == 50


def test_squares_are_laid_beside_the_square_of_an_rmse() -> None:
    """Errors in other units ask for as many rows."""
    errors = np.random.default_rng(3).normal(size=500) * 0.9
    found = [
        needed(LearningCurve("rmse", 0.5 * unit, 3.0 * unit, 0.5), (errors * unit) ** 2, 0.25, 0.0, 0.05, 50)
        for unit in (1, 1_000)
    ]
    assert found[0] == found[1]
    assert 50 < found[0] < 500


def test_losses_on_a_scale_ask_for_fewer_rows_than_right_or_wrong() -> None:
    """Of the same spread: two models share what is hard about a row, so a difference shows earlier."""
    named = [
        needed(LearningCurve(name, 0.2, 2.0, 0.5), wrong(0.5), 0.25, 0.0, 0.05, 50)
        for name in ("accuracy", "mae")
    ]
    assert named[0] > named[1] > 50
