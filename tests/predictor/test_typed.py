"""The quick way and the careful one see the same request, whatever is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from predictor.domain.request import Columns, Invalid, check
from predictor.domain.typed import Reader
from summaries.profile import FieldSpec

NOW = 1_700_000_000_000
FIELDS = [
    FieldSpec("fixed acidity", "float32", min=0, max=20),
    FieldSpec("free", "float32", optional=True),
    FieldSpec("count", "int64", min=0.5, max=9),
    FieldSpec("code", "int64", kind="categorical", min=1, max=2),
    FieldSpec("town", "string", optional=True),
    FieldSpec("open", "bool"),
    FieldSpec("note", "text"),
    FieldSpec("at", "vector", shape=(2,), min=-1, max=1),
]
GOOD: dict[str, Any] = {
    "fixed acidity": 7.4, "free": None, "count": 3, "code": 7, "town": "A", "open": True, "note": "ok", "at": [0.5, -1],
}  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=3),
    st.lists(st.floats(-1, 1) | st.integers(-2, 2), max_size=3), st.just({}),
    st.sampled_from([0, 20, 20.5, 9, 10, 0.5, 1.0, -0.0, 3.4028234663852886e38, 3.5e38, 2.0**53, 2**63]),
)  # fmt: skip
TIMES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2 * NOW), st.just(NOW), st.floats(0, 2 * NOW),
    st.sampled_from(["2020-01-01T00:00:00Z", "2020-01-01T00:00:00", "soon", 1_600_000_000]),
)  # fmt: skip


def careful(body: bytes, single: bool, required: bool) -> Columns | None:
    """What the check says of a body; None where it refuses it."""
    content = json.loads(body)
    names = {"features", "event_time"} if single else {"rows", "event_time"}
    if not isinstance(content, dict) or content.keys() - names or min(names - {"event_time"}) not in content:
        return None
    rows = [content["features"]] if single else content["rows"]
    if not isinstance(rows, list):
        return None
    try:
        return check(rows, content.get("event_time"), FIELDS, now=NOW, required=required, single=single)
    except Invalid:
        return None


def exact(columns: Columns | None) -> Any:
    """A form that tells 1 from 1.0 and -0.0 from 0.0."""
    return repr(columns)


rows_of = st.dictionaries(st.sampled_from([*GOOD, "other"]), ODD, max_size=3).map(
    lambda change: GOOD | change
)


@settings(max_examples=400)
@given(features=rows_of | ODD, at=TIMES, required=st.booleans(), extra=st.booleans())
def test_a_row_read_quickly_is_the_row_that_was_checked(
    features: Any, at: Any, required: bool, extra: bool
) -> None:
    """Where the quick way takes a row, the check takes it too, with the same values of the same types."""
    content = {"features": features, "event_time": at} | ({"x": 1} if extra else {})
    body = json.dumps(content).encode()
    quick = Reader(FIELDS).single(body, NOW, required)
    if quick is not None:
        assert exact(quick) == exact(careful(body, True, required))


@settings(max_examples=200)
@given(
    rows=st.lists(rows_of, max_size=3) | ODD, at=TIMES | st.lists(TIMES, max_size=3), required=st.booleans()
)
def test_rows_read_quickly_are_the_rows_that_were_checked(rows: Any, at: Any, required: bool) -> None:
    """The same of a batch, with one time for all rows or one each."""
    body = json.dumps({"rows": rows, "event_time": at}).encode()
    quick = Reader(FIELDS).batch(body, NOW, required)
    if quick is not None:
        assert exact(quick) == exact(careful(body, False, required))


def test_what_is_well_formed_goes_the_quick_way() -> None:
    """Each kind of field, missing optional ones too, and times in numbers and in words."""
    few = {name: value for name, value in GOOD.items() if name not in ("free", "town")}
    for features in (GOOD, few, GOOD | {"fixed acidity": 7}):
        body = json.dumps({"features": features, "event_time": "2020-01-01T00:00:00Z"}).encode()
        columns = Reader(FIELDS).single(body, NOW, True)
        assert columns is not None
        assert columns.event_time == [1_577_836_800_000]
        assert columns.features["free"] == [None]
    body = json.dumps({"rows": [GOOD, few], "event_time": [NOW, NOW - 1]}).encode()
    columns = Reader(FIELDS).batch(body, NOW, False)
    assert columns is not None
    assert columns.features["town"] == ["A", None]
    assert columns.event_time == [NOW, NOW - 1]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_name_that_no_type_can_have_is_read_carefully(name: str) -> None:
    """The quick way leaves such a model's requests alone."""
    reader = Reader([FieldSpec(name, "float32")])
    assert reader.single(json.dumps({"features": {name: 1.0}}).encode(), NOW, False) is None
    assert reader.batch(json.dumps({"rows": [{name: 1.0}]}).encode(), NOW, False) is None
