"""Sparse counts against a plain dictionary, on both sides of the change to an array."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries.sparse import Packed, SparseCounts

keys = st.lists(st.integers(0, 39), max_size=60)


def counted(*groups, size=40):
    """Counts of groups of cells, one after the other."""
    counts = SparseCounts(size)
    for group in groups:
        counts.update(np.array(group, dtype=np.int64))
    return counts


@given(keys, keys, keys)
def test_sparse_counts_add_exactly(x, y, z):
    """Identity, associativity, commutativity, and equality with one pass, few or many cells filled."""
    a, b, c = counted(x), counted(y), counted(z)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == counted(x, y, z)
    assert a.merge(b).columns() == b.merge(a).columns()
    assert a.merge(SparseCounts(40)) == a
    expected = Counter(x + y + z)
    assert counted(x + y, z).columns() == (sorted(expected), [expected[k] for k in sorted(expected)])
    assert counted(x, y, z).total() == expected.total()


@given(keys, keys)
def test_revert_undoes_update(x, y):
    """Cells that are empty again are as if they had never been filled."""
    counts = counted(x, y)
    counts.revert(np.array(y, dtype=np.int64))
    assert counts == counted(x)
    assert SparseCounts.from_columns(counts.columns(), 40) == counts


def test_thousands_at_once_equal_them_in_pieces():
    """The way for many keys counts what the way for few counts, in and out."""
    many = np.random.default_rng(0).integers(0, 10**6, 9_000)
    whole, pieces = counted(many, size=10**9), counted(*np.split(many, 90), size=10**9)
    assert whole == pieces
    whole.revert(many[:5_000])
    assert whole == counted(many[5_000:], size=10**9)


def test_counts_over_other_cells_do_not_add():
    """Merging counts over another number of cells is refused."""
    with pytest.raises(ValueError, match="do not add"):
        SparseCounts(3).merge(SparseCounts(4))


@pytest.mark.parametrize(
    "columns", [([1], [0]), ([5], [1]), ([-1], [1]), ([1, 2], [1]), ([2, 1], [1, 1]), ([1, 1], [1, 1])]
)
def test_columns_that_do_not_fit_are_refused(columns):
    """A cell of no rows, a cell outside, a count too few, cells that are not in order."""
    with pytest.raises(ValueError, match=r"do not fit|not in order"):
        SparseCounts.from_columns(columns, 5)


@given(st.dictionaries(st.integers(0, 2**62), st.integers(-(2**63), 2**63 - 1).filter(bool), max_size=30))
def test_packed_counts_come_back(rows):
    """Counts of any size, negative ones too, are the same after bytes, and equal counts give equal bytes."""
    counts = SparseCounts(2**62 + 1)
    for key, n in rows.items():
        counts.add([key], [n])
    packed = counts.packed()
    again = SparseCounts.unpacked(packed, 2**62 + 1)
    assert again.columns() == (sorted(rows), [rows[key] for key in sorted(rows)])
    assert again.packed() == packed


@pytest.mark.parametrize(
    "packed",
    [
        Packed(1, b"\x05", b"\x01"),
        Packed(1, b"\x02", b"\x00"),
        Packed(2, b"\x01\x00", b"\x01\x01"),
        Packed(2, b"\x01\x01", b"\x01"),
        Packed(2, b"\x01\x01\x01", b"\x01\x01"),
        Packed(1, b"", b"\x01"),
        Packed(-1, b"\x01", b"\x01"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(packed):
    """A cell outside, one of no rows, the same cell twice, too few bytes, a width that is none, no bytes, less than no cells."""
    with pytest.raises(ValueError, match=r"do not fit|not in order"):
        SparseCounts.unpacked(packed, 5)
