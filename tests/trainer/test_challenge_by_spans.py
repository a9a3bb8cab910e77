"""What the challenge takes as independent, and how often it then proves what is not so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contracts.events import CandidateTried
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from servicekit.config import Settings
from trainer.domain.bootstrap import MOST, bootstrap_t, neighbours
from trainer.domain.challenge import Scored, challenge, proof
from trainer.domain.sign_flips import sign_flips
from trainer.domain.spans import DAY, HOUR, fewest, units
from trainer.domain.tried import Tried

RUNS, ALPHA = 200, 0.05
MOST_OFTEN = ALPHA + 2.33 * np.sqrt(
    ALPHA * (1 - ALPHA) / RUNS
)  # one in a hundred honest tests would exceed it
Gains = Callable[[np.random.Generator], Any]


def share(proves: Callable[[Any, int], bool], make: Gains) -> float:
    """Of so many samples, how many prove a gain."""
    return sum(proves(make(np.random.default_rng(run)), run) for run in range(RUNS)) / RUNS


def days(rng: np.random.Generator) -> Any:
    """Gains of 7 days with 60 rows each and a luck of their own; 0 on the mean."""
    return np.repeat(rng.normal(0, 0.05, 7), 60) + rng.normal(0, 0.1, 420)


def seldom_much_worse(rng: np.random.Generator) -> Any:
    """Gains of 2,800 rows as of log losses: a little better, and by 5 worse once in 500; 0 on the mean."""
    return np.where(rng.random(2800) < 1 / 500, -5.0, 5 / 499)


def decided(gains: Any, event_time: Any, seed: int = 0, p_value: float = ALPHA, several: bool = False) -> Any:
    """The challenge by mae: the champion errs by 10, the challenger by ``gains`` less."""
    n = len(gains)
    one = CandidateTried(rows=n, since=None, half_life_ms=None, metrics={})
    table = {"a": 10 - gains, "b": np.full(n, 11.0)}
    tried = Tried("mae", "a", dict.fromkeys(table, one), table, 0) if several else None
    return challenge(
        np.zeros(n), Scored(np.full(n, 10.0)), Scored(10 - gains), metric="mae", task="regression", min_gain=0.0,
        promote_p_value=p_value, seed=seed, event_time=event_time, tried=tried,
    )  # fmt: skip


@pytest.mark.parametrize("several", [False, True])
def test_days_that_differ_prove_nothing(several: bool) -> None:
    """Seven days with a luck of their own: by days at most the 5% are promoted; row by row, and by parts of a day, many more."""
    time = np.repeat(np.arange(7) * DAY, 60) + np.tile(np.arange(60) * (DAY // 60), 7)
    promoted = [decided(days(np.random.default_rng(run)), time, run, several=several) for run in range(60)]
    assert sum(v.promoted for v in promoted) / 60 <= ALPHA + 2.33 * np.sqrt(ALPHA * (1 - ALPHA) / 60)
    assert all(" by days p = " in v.reason for v in promoted if not v.reason.startswith("not better"))
    assert share(lambda gain, run: sign_flips(gain[:, None], 0, run, 499) <= ALPHA, days) > 0.2


def test_rare_and_large_losses_are_seen_where_there_are_any() -> None:
    """Sign flips alone take a mean above 0 for proof that only the large losses' absence gives; the bootstrap-t does not."""
    assert (
        share(lambda g, run: bootstrap_t(g[:, None], 0, run, 199) <= ALPHA, seldom_much_worse) <= MOST_OFTEN
    )
    assert (
        share(lambda g, run: sign_flips(neighbours(g[:, None]), 0, run, 199) <= ALPHA, seldom_much_worse)
        > 0.07
    )


@pytest.mark.parametrize("candidates", [1, 4])
def test_the_bootstrap_keeps_its_level_over_candidates(candidates: int) -> None:
    """The best of several that gain nothing is proven no more often than stated, on 60 units with heavy tails."""

    def proven(gains: Any, run: int) -> bool:
        return bootstrap_t(gains, int(np.argmax(gains.mean(axis=0))), run, 499) <= ALPHA

    assert (
        share(proven, lambda rng: rng.laplace(size=(60, candidates)) + rng.laplace(size=(60, 1)))
        <= MOST_OFTEN
    )


def test_a_clear_gain_is_proven_by_days_too() -> None:
    """Seven days of 60 rows, each a tenth better."""
    time = np.repeat(np.arange(7) * DAY, 60)
    found = decided(days(np.random.default_rng(1)) + 0.15, time)
    assert found.promoted
    assert "(bootstrap test by days p = " in found.reason


@pytest.mark.parametrize("candidates", [1, 3])
def test_of_skew_days_the_bootstrap_proves_less(candidates: int) -> None:
    """Seven days, a little better on most and much worse on few: sign flips prove that in one sample of six, the
    bootstrap in one of ten, still twice what is stated."""

    def skew(rng: np.random.Generator) -> Any:
        shared, own = -rng.lognormal(0, 1, (7, 1)), -rng.lognormal(0, 1, (7, candidates))
        return np.sqrt(0.8) * shared + np.sqrt(0.2) * own + (np.sqrt(0.8) + np.sqrt(0.2)) * np.exp(0.5)

    def best(gains: Any) -> int:
        return int(np.argmax(gains.mean(axis=0)))

    bootstrap = share(lambda g, run: bootstrap_t(g, best(g), run, 299) <= ALPHA, skew)
    assert bootstrap <= 0.12
    assert bootstrap < 0.75 * share(lambda g, run: sign_flips(g, best(g), run, 299) <= ALPHA, skew)


def test_where_few_rows_differ_both_tests_count() -> None:
    """Six rows of sixty that differ are six signs: no p-value below the sign flips', whatever the bootstrap says."""
    gains = np.zeros((60, 1))
    gains[:6] = [[1.0], [1.0], [1.0], [1.0], [1.0], [-1.0]]
    assert bootstrap_t(gains, 0) < sign_flips(gains, 0)
    assert proof(gains, 0, symmetric=False) == (sign_flips(gains, 0), "bootstrap and sign-flip tests")


def test_equal_gains_prove_no_more_than_their_signs() -> None:
    """Seven days with one and the same gain: 1 in 2^7, though their t is infinite."""
    assert bootstrap_t(np.ones((7, 1)), 0) == 0.5**7


@pytest.mark.parametrize("several", [False, True])
def test_right_and_wrong_answers_are_flipped_by_days(several: bool) -> None:
    """McNemar's test is of rows; where there are days enough, days are what changes sign."""
    truth, time = np.zeros(700, dtype=np.int64), np.repeat(np.arange(7) * DAY, 100)
    champion = np.tile((np.arange(100) < 20).astype(np.int64), 7)
    one = CandidateTried(rows=9, since=None, half_life_ms=None, metrics={})
    table = {"a": np.zeros(700), "b": np.zeros(700)}
    found = challenge(
        truth, Scored(champion), Scored(truth), metric="accuracy", task="classification", min_gain=0.0,
        promote_p_value=ALPHA, event_time=time,
        tried=Tried("accuracy", "a", dict.fromkeys(table, one), table, 0) if several else None,
    )  # fmt: skip
    assert found.p_value == pytest.approx(1 / 2**7)
    assert f"({'joint ' if several else ''}sign-flip test by days p = 0.0078)" in found.reason


@pytest.mark.parametrize(
    ("step", "rows", "name"),
    [
        (HOUR, 7 * 24, "days"),
        (HOUR, 6 * 24, "spans of 6 h"),
        (HOUR // 10, 200, "spans of 1 h"),
        (60_000, 60, "rows"),  # the wine's held-out rows: an hour, a row a minute
    ],
)
def test_the_coarsest_unit_of_which_there_are_enough(step: int, rows: int, name: str) -> None:
    """Days where there are seven, else parts of them where there are fourteen, else rows."""
    assert units(np.arange(rows) * step, DAY, fewest(ALPHA)).name == name


@given(st.lists(st.integers(0, 30 * DAY), min_size=1, max_size=60), st.integers(1, DAY))
def test_units_add_up_to_the_whole_and_none_is_empty(times: list[int], length: int) -> None:
    """Whatever the times: each row is in one unit, and units follow each other."""
    time = np.sort(np.array(times, dtype=np.int64))
    found = units(time, length, 7)
    gains = np.random.default_rng(0).normal(size=(len(time), 2))
    assert found.sums(gains).sum(axis=0) == pytest.approx(gains.sum(axis=0))
    assert set(np.diff(found.of)) <= {0, 1}
    assert len(found) == len(set(found.of.tolist()))


def test_very_many_units_are_added_up_by_neighbours() -> None:
    """No more than a thousand are drawn; their sum stays."""
    gains = np.random.default_rng(0).normal(size=(12_345, 2))
    assert len(neighbours(gains)) == MOST
    assert neighbours(gains).sum(axis=0) == pytest.approx(gains.sum(axis=0))


@pytest.mark.parametrize("several", [False, True])
def test_the_least_p_value_that_may_be_asked_for_can_be_met(several: bool) -> None:
    """A hundred days, each better: .0001 is reached; less is no setting."""
    gains = 1 + np.random.default_rng(0).normal(0, 0.1, 100)
    assert decided(gains, np.arange(100) * DAY, p_value=0.0001, several=several).promoted
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.0001"):
        Settings(promote_p_value=0.00009)
