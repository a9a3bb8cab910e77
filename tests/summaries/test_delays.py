"""Quantiles of delays within 1%, and the laws of merging."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries.delays import LONGEST, RELATIVE_ACCURACY, Delays

milliseconds = st.integers(0, 1_000) | st.integers(-LONGEST, LONGEST)
columns = st.lists(milliseconds, max_size=40)
QS = [0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0]


def counted(*groups):
    """Delays of groups of rows, one after the other."""
    delays = Delays()
    for group in groups:
        delays.update(group)
    return delays


@given(columns)
def test_quantiles_are_within_one_per_cent(column):
    """Each quantile is within 1% of NumPy's lower one; negative delays count as 0; the sum is exact."""
    delays = counted(column)
    assert (delays.rows, delays.sum) == (len(column), sum(column))
    assert delays.negative == sum(d < 0 for d in column)
    if not column:
        assert delays.quantiles(QS) == [None] * len(QS)
        assert delays.mean is None
        return
    assert delays.mean == sum(column) / len(column)
    ranked = sorted(max(d, 0) for d in column)
    for q, got in zip(QS, delays.quantiles(QS), strict=True):
        assert got == pytest.approx(ranked[int(q * (len(ranked) - 1))], rel=RELATIVE_ACCURACY + 1e-9)


def test_every_length_is_within_one_per_cent():
    """No bucket is too wide: each of the first hundred thousand milliseconds, and powers of two beyond."""
    for delay in [*range(1, 100_000, 7), *(2**power for power in range(17, 54))]:
        assert counted([delay]).quantile(0.5) == pytest.approx(delay, rel=RELATIVE_ACCURACY + 1e-9)


@given(columns, columns, columns)
def test_delays_add_exactly(x, y, z):
    """Identity, associativity, commutativity, equality with one pass, and bytes that are equal for equal states."""
    a, b, c = counted(x), counted(y), counted(z)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == counted(x + y, z)
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes() == counted(x, y).to_bytes()
    assert a.merge(Delays()) == a == Delays.from_bytes(a.to_bytes())


@given(columns, columns)
def test_revert_undoes_update_of_delays(x, y):
    """A label that is taken back leaves no trace of its delay."""
    delays = counted(x, y)
    delays.revert(y)
    assert delays == counted(x)


@pytest.mark.parametrize("bad", [[LONGEST + 1], [-LONGEST - 1], [2**70], [[1, 2]]])
def test_what_is_no_delay_is_refused(bad):
    """Beyond any calendar, or no column: refused, and nothing changes."""
    delays = Delays()
    with pytest.raises(ValueError, match="delay"):
        delays.update(bad)
    assert delays == Delays()


def test_thirty_days_of_delays_take_little():
    """Ten thousand delays between a second and thirty days take less than 4 KB."""
    rng = np.random.default_rng(0)
    spread = np.exp(rng.uniform(np.log(1_000), np.log(30 * 86_400_000), 10_000)).astype(np.int64)
    assert len(counted(spread).to_bytes()) < 4_096


def test_a_quantile_outside_is_refused():
    """A quantile is a share."""
    with pytest.raises(ValueError, match="quantiles"):
        Delays().quantile(50)
