"""What must not train a model that is judged on held-out rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries.copies import FEW, contents, copies
from trainer.domain.leakage import check
from trainer.domain.ledger import Rows
from trainer.domain.selection import select


def rows(x: list[Any], kind: list[Any], truth: list[Any]) -> Rows:
    """One row a millisecond."""
    times = np.arange(len(x), dtype=np.int64)
    ids = np.array([f"r{i}" for i in times])
    features = {"x": np.array(x, dtype=np.float64), "kind": np.array(kind, dtype=object)}
    return Rows(ids, times, times, features, np.array(truth))


def test_a_copy_of_a_held_out_row_does_not_train() -> None:
    """Same features and same truth: kept out and counted; with another truth, or a missing value elsewhere, it stays."""
    x = [7.0, 7.0, np.nan, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, np.nan, 8.0]
    kind = ["a", "a", None, *"abababa", None, "b"]
    truth = [1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0]
    kind[9] = "a"
    chosen = select(rows(x, kind, truth), since=0, cut=12)
    assert chosen.holdout.prediction_id.tolist() == ["r9", "r10", "r11"]
    assert chosen.duplicates == 2
    assert chosen.train.prediction_id.tolist() == [f"r{i}" for i in (1, 3, 4, 5, 6, 7, 8)]
    assert len(chosen.reference) == 12


def test_where_equal_rows_are_natural_none_is_a_copy() -> None:
    """Two features of three values each: the common cases are in every part, and a model must see them."""
    dice = np.random.default_rng(0)
    x, kind = dice.integers(0, 3, 200).tolist(), dice.choice(["a", "b", "c"], 200).tolist()
    chosen = select(rows(x, kind, [0] * 200), since=0, cut=200)
    assert chosen.duplicates == 0
    assert len(chosen.train) == 150


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.lists(st.integers(0, 30), max_size=20))
def test_copies_are_equal_and_rare(training: list[int], held: list[int]) -> None:
    """What is called a copy equals a held-out row and is rare; after them no rare one is left, unless most rows repeat."""
    here, there = {"x": np.array(training)}, {"x": np.array(held, dtype=np.int64)}
    found = copies(here, there)
    for value, copied in zip(training, found.tolist(), strict=True):
        natural = training.count(value) > FEW or 2 * sum(training.count(v) > 1 for v in training) > len(
            training
        )
        assert copied == (value in held and not natural)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.5, np.nan]), st.sampled_from(["a", "b", None])), max_size=20)
)
def test_equal_rows_have_one_number(values: list[tuple[float, str | None]]) -> None:
    """Two rows have the same number if, and only if, they are equal; missing equals missing."""
    x, kind = [v for v, _ in values], np.empty(len(values), dtype=object)
    kind[:] = [k for _, k in values]
    codes = contents({"x": np.array(x), "kind": kind})
    spelled = [repr(v) for v in values]
    for i in range(len(values)):
        for j in range(i):
            assert (codes[i] == codes[j]) == (spelled[i] == spelled[j])


def test_a_selection_that_leaks_is_refused() -> None:
    """A label of the boundary or later, a row in both parts, a training row newer than a held-out one."""
    chosen = select(rows([float(i) for i in range(40)], ["a"] * 40, [0] * 40), since=0, cut=40)
    check(chosen.train, chosen.holdout, as_of=40)
    with pytest.raises(ValueError, match="not older than the boundary 39"):
        check(chosen.train, chosen.holdout, as_of=39)
    with pytest.raises(ValueError, match="a held-out row is among the training rows"):
        check(chosen.reference, chosen.holdout, as_of=40)
    late = replace(chosen.train, event_time=chosen.train.event_time + 30)
    with pytest.raises(ValueError, match="newer than the first held-out one"):
        check(late, chosen.holdout, as_of=40)
