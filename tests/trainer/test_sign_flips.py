"""The joint test of several candidates: its level, its power, and what it is for one."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer.domain.challenge import mcnemar
from trainer.domain.sign_flips import sign_flips

RUNS, ALPHA = 400, 0.1


def correlated(generator: np.random.Generator, rows: int, gains: list[float], shared: float) -> np.ndarray:
    """Differences [rows, candidates] of losses that are heavy-tailed and share a part of their noise."""
    common, own = generator.laplace(size=(rows, 1)), generator.laplace(size=(rows, len(gains)))
    spread = np.linspace(0.5, 2.0, len(gains))
    return spread * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own) + np.array(gains)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 5))
def test_one_candidate_and_accuracy_is_mcnemar_s_exact_test(won: int, lost: int, ties: int) -> None:
    """Below thirteen rows that differ every flip is counted: the p-values are equal; rows on which both agree change nothing."""
    won, lost = (won, lost) if won + lost <= 12 else (won // 2, lost // 2)
    gain = np.array([1.0] * won + [-1.0] * lost + [0.0] * ties)
    exact = mcnemar(gain < 0, gain > 0) if len(gain) else 1.0
    assert sign_flips(gain[:, None], 0) == pytest.approx(exact, abs=1e-12)


def test_sampled_flips_come_near_the_exact_law() -> None:
    """60 rows, 38 of them won: the binomial tail, within three standard errors of 9,999 flips."""
    gain = np.array([1.0] * 38 + [-1.0] * 22)
    exact = sum(comb(60, k) for k in range(38, 61)) / 2**60
    assert abs(sign_flips(gain[:, None], 0) - exact) < 3 * np.sqrt(exact / 9_999)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=3, max_size=3), min_size=1, max_size=40
    )
)
def test_a_copy_of_a_candidate_costs_nothing_and_another_one_never_pays(rows: list[list[float]]) -> None:
    """p of a candidate is the same beside its double, and only larger beside others; it repeats with its seed."""
    d = np.array(rows)
    alone = sign_flips(d[:, :1], 0)
    assert sign_flips(d[:, [0, 0]], 0) == pytest.approx(alone)
    jointly = sign_flips(d, 0)
    assert jointly == sign_flips(d, 0)
    # Rows that are nothing to the first alone leave the flips that are drawn another order: three standard errors.
    assert jointly >= alone - 3 * np.sqrt(alone / 9_999)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_no_better_candidate_is_promoted_more_often_than_stated(shared: float) -> None:
    """The best of four that gain nothing: at most ten in a hundred promotions, within the error of 400 runs."""
    promoted = 0
    for run in range(RUNS):
        d = correlated(np.random.default_rng(run), 60, [0.0] * 4, shared)
        chosen = int(np.argmax(d.mean(axis=0)))
        promoted += sign_flips(d, chosen, seed=run, flips=499) <= ALPHA
    assert promoted / RUNS <= ALPHA + 2.33 * np.sqrt(
        ALPHA * (1 - ALPHA) / RUNS
    )  # one in a hundred such tests would exceed it


def test_on_correlated_candidates_it_finds_more_than_bonferroni() -> None:
    """Four candidates that share nine tenths of their noise, all better: the joint test proves it more often."""
    jointly = bonferroni = 0
    for run in range(RUNS // 2):
        d = correlated(np.random.default_rng(run), 60, [0.1, 0.15, 0.2, 0.25], 0.9)
        chosen = int(np.argmax(d.mean(axis=0)))
        jointly += sign_flips(d, chosen, seed=run, flips=499) <= ALPHA
        bonferroni += 4 * sign_flips(d[:, [chosen]], 0, seed=run, flips=499) <= ALPHA
    assert jointly > bonferroni + 10
