"""Cells and counts: where a value goes, and that counts add."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries.cells import Cells
from summaries.counts import count, from_sparse, merge, to_sparse, update, zeros

SIZE = 7
indices = st.lists(st.integers(0, SIZE - 1), max_size=30).map(lambda xs: np.array(xs, dtype=np.int64))
counted = indices.map(lambda at: count(at, SIZE))
rows = st.lists(st.none() | st.integers(-3, 3).map(float), max_size=30)


@given(counted)
def test_zeros_are_the_identity(a):
    """Adding nothing changes nothing."""
    assert merge(a, zeros(SIZE)).tolist() == merge(zeros(SIZE), a).tolist() == a.tolist()


@given(counted, counted, counted)
def test_merge_is_associative_and_commutative(a, b, c):
    """Parts may be added in any order and grouping."""
    assert merge(merge(a, b), c).tolist() == merge(a, merge(b, c)).tolist() == merge(c, a, b).tolist()


@given(rows, rows, st.data())
def test_merged_parts_equal_one_pass(reference, live, data):
    """However a window's rows are split into chunks, their counts are those of one pass."""
    cells = Cells.from_reference(reference, "float32")
    cut = data.draw(st.integers(0, len(live)))
    parts = [count(cells.index(part), cells.size) for part in (live[:cut], live[cut:])]
    one_by_one = zeros(cells.size)
    for value in live:
        update(one_by_one, cells.index([value]))
    whole = count(cells.index(live), cells.size)
    assert merge(*parts).tolist() == whole.tolist() == one_by_one.tolist()
    assert whole.sum() == len(live)


def test_merge_refuses_other_cells():
    """Counts over different cells do not add."""
    with pytest.raises(ValueError, match="do not add"):
        merge(zeros(3), zeros(4))


@given(counted)
def test_sparse_counts_round_trip(counts):
    """A pane's sparse form loses nothing, through JSON too."""
    assert from_sparse(json.loads(json.dumps(to_sparse(counts))), SIZE).tolist() == counts.tolist()


@pytest.mark.parametrize("sparse", [([7], [1]), ([-1], [1]), ([1, 2], [1])])
def test_sparse_counts_that_do_not_fit_are_refused(sparse):
    """A cell outside the reference is an error, not a wrong count."""
    with pytest.raises(ValueError, match="do not fit"):
        from_sparse(sparse, SIZE)


@given(rows, rows)
def test_a_value_lies_in_its_value_cell_or_gap(reference, live):
    """A cell's number is what bisection says, and missing is the last."""
    cells = Cells.from_reference(reference, "float64")
    edges = sorted({value for value in reference if value is not None})
    expected = [
        cells.size - 1 if value is None else bisect_left(edges, value) + bisect_right(edges, value)
        for value in live
    ]
    assert cells.index(live).tolist() == expected


def test_nan_is_missing_and_never_in_a_cell():
    """NaN, None and NumPy's NaN are counted apart, in the reference and live."""
    cells = Cells.from_reference(np.array([1.0, np.nan, 2.0]), "float32")
    assert cells.counts.tolist() == [0, 1, 0, 1, 0, 1]
    assert cells.index([float("nan"), None, 1]).tolist() == [5, 5, 1]
    assert cells.index(np.array([np.nan, 9.0])).tolist() == [5, 4]


def test_a_reference_of_missing_values_alone_still_counts():
    """A feature nobody has filled yet has one gap, and a live value lies in it."""
    cells = Cells.from_reference([None, None], "float32")
    assert cells.counts.tolist() == [0, 2]
    assert cells.index([1.5, None]).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e400, 10**400, "1.5", True, [1.0], b"1", 1j])
def test_what_has_no_place_on_the_line_is_refused(dtype, value):
    """Infinities, text, booleans and lists raise ValueError, as reference and live, alone and beside None."""
    cells = Cells.from_reference([1, 2], dtype)
    for column in ([value], [None, value]):
        with pytest.raises(ValueError, match=r".+"):
            cells.index(column)
        with pytest.raises(ValueError, match=r".+"):
            Cells.from_reference(column, dtype)


def test_what_overflows_float32_is_refused():
    """A double beyond float32 would be an infinity."""
    with pytest.raises(ValueError, match="float32"):
        Cells.from_reference([1.0], "float32").index([1e39])


@pytest.mark.parametrize("value", [1.5, 2**63, -(2**63) - 1, 2.0**63, np.float32(0.1)])
def test_what_is_no_64_bit_integer_is_refused(value):
    """An integer feature takes whole numbers of 64 bits, exactly."""
    cells = Cells.from_reference([1, 2], "int64")
    for column in ([value], [None, value], np.array([value])):
        with pytest.raises(ValueError, match=r".+"):
            cells.index(column)


def test_integers_are_exact_beside_missing_values():
    """2⁵³ and 2⁵³+1 are different cells, with None in the column too."""
    cells = Cells.from_reference([2**53, 2**53 + 1, None], "int64")
    assert cells.index([2**53 + 1, None, 2**53]).tolist() == [3, 5, 1]
    assert cells.index([1.0, float("nan")]).tolist() == [0, 5]


def test_live_doubles_are_cut_in_float32():
    """The double 0.1 and the float32 0.1 a model saw are one value."""
    cells = Cells.from_reference(np.array([0.1], dtype=np.float32), "float32")
    assert cells.index([0.1, 0.1 + 1e-12, float(np.float32(0.1))]).tolist() == [1, 1, 1]


@given(st.lists(st.none() | st.floats(allow_infinity=False, width=32)), st.integers(2, 20))
def test_cells_round_trip_json(reference, cap):
    """Edges and counts survive JSON bit by bit, above the cap too."""
    cells = Cells.from_reference(reference, "float32", cap=cap)
    again = Cells.from_dict(json.loads(json.dumps(cells.to_dict(), allow_nan=False)))
    assert again == cells
    assert again.edges.tobytes() == cells.edges.tobytes()
    assert again.counts.tolist() == cells.counts.tolist()
    assert cells.rows == len(reference)


def test_damaged_cells_are_refused():
    """Unsorted edges or negative counts do not become a reference."""
    with pytest.raises(ValueError, match="sorted"):
        Cells.from_dict({"dtype": "float32", "edges": [2.0, 1.0], "at": [1, 1], "missing": 0})
    with pytest.raises(ValueError, match="negative"):
        Cells.from_dict({"dtype": "float32", "edges": [1.0], "at": [-1], "missing": 0})


EDGES = st.lists(
    st.floats(-(2.0**99), 2.0**99, width=32) | st.floats(-1, 1, width=32) | st.sampled_from([0.0, 1e-40, -3e38, 3e38]),
    min_size=8, max_size=60,
)  # fmt: skip


@given(EDGES, EDGES, st.sampled_from(["float32", "float64"]))
def test_the_table_says_what_a_search_says(reference, live, dtype):
    """For any edges and any numbers, those on, beside and beyond an edge, and missing ones among them."""
    cells = Cells.from_reference(reference, dtype)
    numbers = np.array([*live, *reference, np.nan], dtype=dtype)
    with np.errstate(over="ignore"):
        beside = [np.nextafter(cells.edges, cells.edges.dtype.type(way)) for way in (-3e38, 3e38)]
    numbers = np.concatenate([numbers, *(b[np.isfinite(b)] for b in beside)])
    searched = cells.index(numbers)
    cells._searched = 10**9  # from now on by the table
    many = np.tile(numbers, 64 // len(numbers) + 1)
    assert (cells.index(many) == np.tile(searched, 64 // len(numbers) + 1)).all()
    if len(cells.edges) >= 8:
        assert cells._table is not None
