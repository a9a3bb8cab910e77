"""Checking rows against fields, with no server and no model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from predictor.domain.request import FUTURE_MS, MAX_ERRORS, Columns, Invalid, check, parse_time, value_error
from servicekit.config import Settings
from summaries.profile import FieldSpec

NOW = 1_700_000_000_000
NUMBER, WHOLE = FieldSpec("x", "float32"), FieldSpec("k", "int64")
FIELDS = [NUMBER, WHOLE, FieldSpec("s", "string", optional=True), FieldSpec("b", "bool")]
GOOD: dict[str, Any] = {"x": 1.5, "k": 2, "s": "a", "b": True}


def checked(rows: list[Any], event_time: Any = None, required: bool = False, single: bool = False) -> Columns:
    """``check`` at a fixed moment."""
    return check(rows, event_time, FIELDS, now=NOW, required=required, single=single)


def errors_of(rows: list[Any], event_time: Any = None, required: bool = False) -> list[dict[str, Any]]:
    """What ``check`` finds wrong."""
    with pytest.raises(Invalid) as caught:
        checked(rows, event_time, required)
    return caught.value.errors


def test_rows_become_columns_in_order() -> None:
    """Row i is entry i of each column; an optional field that is missing or null is null."""
    second = {"b": False, "k": -1, "x": 3}
    columns = checked([GOOD, second, GOOD | {"s": None}])
    assert columns.features == {
        "x": [1.5, 3, 1.5],
        "k": [2, -1, 2],
        "s": ["a", None, None],
        "b": [True, False, True],
    }
    assert columns.event_time == [NOW] * 3


@pytest.mark.parametrize(
    "value", [True, "1", None, [], {}, float("nan"), float("inf"), 3.5e38, -1e300, 10**400, -(10**400)]
)
def test_what_is_no_float32_is_refused(value: Any) -> None:
    """A boolean is not a number, and a number has to be finite as a 32-bit float."""
    assert value_error(NUMBER, value)


@pytest.mark.parametrize("value", [True, "1", None, 1.5, 1e300, 2.0**53 + 2, 2**63, -(2**63) - 1])
def test_what_is_no_int64_is_refused(value: Any) -> None:
    """A number with a fraction is no integer, nor one that a double does not tell from its neighbours; 64 bits bound it."""
    assert value_error(WHOLE, value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_is_a_number(value: int) -> None:
    """Every 64-bit integer fits both kinds of number."""
    assert value_error(WHOLE, value) is None
    assert value_error(NUMBER, value) is None


def test_a_range_names_bound_and_unit() -> None:
    """A value out of range is told the bound it crossed."""
    field = FieldSpec("t", "float32", unit="°C", min=-50, max=60)
    assert value_error(field, 61) == "must be at most 60 °C"
    assert value_error(field, -51) == "must be at least -50 °C"
    assert value_error(field, 60) is None


def test_every_wrong_field_of_every_row_is_named() -> None:
    """Missing, extra and mistyped ones alike, each with its row."""
    found = errors_of([GOOD, {"x": "1", "k": 1, "b": True, "y": 1}, {"x": 1, "k": 1}, 7])
    assert {(e["row"], e["field"]) for e in found} == {(1, "x"), (1, "y"), (2, "b"), (3, "rows")}


def test_the_list_of_errors_is_bounded() -> None:
    """A thousand bad rows do not make a megabyte of answer."""
    assert len(errors_of([{}] * 1000)) == MAX_ERRORS


def test_after_the_last_error_that_is_told_nothing_is_read() -> None:
    """A body of millions of bad rows costs what its first ones do."""

    class Rows(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from [{}] * MAX_ERRORS
            raise AssertionError("read on")

    assert len(errors_of(Rows([{}]))) == MAX_ERRORS


@given(
    st.lists(
        st.one_of(st.none(), st.integers(), st.text(), st.dictionaries(st.text(), st.integers())),
        min_size=1,
        max_size=5,
    )
)
def test_nothing_but_invalid_is_raised(rows: list[Any]) -> None:
    """Whatever JSON holds, the outcome is columns or errors."""
    assert errors_of(rows)


def test_event_times_are_one_or_one_a_row() -> None:
    """One time goes for all rows; a list has to have one each."""
    assert checked([GOOD] * 3, NOW).event_time == [NOW, NOW, NOW]
    assert checked([GOOD] * 2, [NOW, "1970-01-01T00:00:00.006Z"]).event_time == [NOW, 6]
    assert errors_of([GOOD] * 3, [1, 2])[0]["field"] == "event_time"
    assert errors_of([GOOD] * 3, [1])[0]["field"] == "event_time"


def test_an_event_time_in_the_future_is_refused() -> None:
    """Five minutes ahead are a clock that is off, more is an error, named with its row."""
    assert checked([GOOD], NOW + 300_000).event_time == [NOW + 300_000]
    assert errors_of([GOOD, GOOD], [NOW, NOW + 300_001])[0] == {
        "field": "event_time", "message": "is more than five minutes in the future", "row": 1,
    }  # fmt: skip


def test_a_number_that_looks_like_seconds_is_refused() -> None:
    """A number of seconds would be a moment of 1970: the answer says that milliseconds are expected."""
    assert checked([GOOD], 10**11).event_time == [10**11]
    for seconds in (0, NOW // 1000, 10**11 - 1):
        (error,) = errors_of([GOOD], seconds)
        assert error["field"] == "event_time"
        assert "milliseconds" in error["message"]
        assert "seconds" in error["message"].replace("milliseconds", "")


def test_the_default_grace_covers_clocks_that_are_allowed_to_be_ahead() -> None:
    """The fastest clock that the predictor accepts closes no window for those that are right."""
    assert Settings.model_fields["grace_ms"].default >= FUTURE_MS


def test_a_required_event_time_may_not_be_missing() -> None:
    """Where a project declares it required, the request's own moment does not do."""
    assert errors_of([GOOD], None, required=True)[0]["field"] == "event_time"


@pytest.mark.parametrize(
    "value",
    [
        "2020-01-01",
        "2020-01-01T00:00:00",
        "1970-01-01T00:00+01:00",
        "0001-01-01T00:00+01:00",
        "",
        "x",
        "\ud800",
        1.5,
        True,
        -1,
        None,
        {},
        2**60,
    ],
)
def test_what_is_no_moment_is_no_time(value: Any) -> None:
    """A text needs its offset, a number is whole milliseconds since 1970."""
    assert parse_time(value) is None


IMAGE = FieldSpec("image", "vector", shape=(1, 2), min=0, max=16)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2.5], None),
        (None, "must not be null"),
        (1.0, "must be an array of 2 numbers, not a number"),
        ([1], "must hold 2 numbers, not 1"),
        ([1, None], "number 2 must not be null"),
        ([1, True], "number 2 must be a number, not a boolean"),
        ([1, float("nan")], "number 2 must be finite"),
        ([1, 17], "number 2 must be at most 16"),
        ([[1], [2]], "number 1 must be a number, not an array"),
    ],
)
def test_a_vector_is_so_many_numbers_in_range(value: Any, said: str | None) -> None:
    """What is wrong is said with the place."""
    assert value_error(IMAGE, value) == said


def test_a_text_is_a_string() -> None:
    """Of any length; no number."""
    assert value_error(FieldSpec("note", "text"), "a b" * 1000) is None
    assert value_error(FieldSpec("note", "text"), "é \U0001f600") is None
    assert value_error(FieldSpec("note", "text"), 5) == "must be a string, not an integer"
