"""A profile is built, travels as JSON, and places live rows; and what plots show of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from contracts.events import FeatureShape
from hypothesis import given
from hypothesis import strategies as st
from summaries.categories import Categories
from summaries.cells import Cells
from summaries.counts import count
from summaries.profile import FieldSpec, Profile
from summaries.quality import Classification, Regression
from summaries.shape import shape

SCHEMA = [
    FieldSpec("distance", "float32", unit="miles", description="great circle", min=0),
    FieldSpec("hour", "int64", unit="h", min=0, max=23),
    FieldSpec("carrier", "string"),
    FieldSpec("holiday", "bool"),
    FieldSpec("visibility", "float32", optional=True),
    FieldSpec("month", "int64", kind="categorical"),
]
COLUMNS = {
    "distance": [1.5, 2.5, 2.5, 9.25],
    "hour": [5, 6, 6, 23],
    "carrier": ["UA", "AA", "UA", "WN"],
    "holiday": [True, False, False, True],
    "visibility": [10.0, None, 0.1, float("nan")],
    "month": [1, 1, 2, 3],
}


def build(**changes):
    """A profile of four flights."""
    arguments = {
        "columns": COLUMNS,
        "schema": SCHEMA,
        "predictions": [0, 1, 0],
        "probabilities": {"0": [0.9, 0.2, 0.7], "1": np.array([0.1, 0.8, 0.3], dtype=np.float32)},
        "target": "late",
        "classes": [0, 1],
        "task": "classification",
    }
    return Profile.build(**{**arguments, **changes})


def test_the_layout_is_the_agreed_one():
    """Fields carry what predictor, monitor and reader need; of two classes the last has its score."""
    data = build().to_dict()
    assert set(data) == {
        *("schema_version", "target", "task", "classes", "rows", "features", "outputs", "joint", "warnings"),
    }
    assert data["schema_version"] == 1
    assert data["classes"] == ["0", "1"]
    assert data["rows"] == 4
    assert [field["name"] for field in data["outputs"]] == ["prediction:late", "probability:1"]
    assert {k: v for k, v in data["features"][1].items() if k != "reference"} == {
        **{"name": "hour", "dtype": "int64", "kind": "numeric", "unit": "h", "description": ""},
        **{"min": 0, "max": 23, "optional": False},
    }
    assert [field["kind"] for field in data["features"]] == [
        *("numeric", "numeric", "categorical", "categorical", "numeric", "categorical"),
    ]


def test_a_profile_round_trips_json():
    """What is read back is equal, and places rows alike."""
    profile = build()
    again = Profile.from_dict(json.loads(json.dumps(profile.to_dict(), allow_nan=False)))
    assert again == profile
    rows = profile.index_batch(COLUMNS, [0, 1, 0, 1], {"1": [0.1, 0.8, 0.3, 0.5]})
    for name, cells in again.index_batch(COLUMNS, [0, 1, 0, 1], {"1": [0.1, 0.8, 0.3, 0.5]}).items():
        assert cells.tolist() == rows[name].tolist()


@given(st.lists(st.floats(allow_infinity=False, width=32) | st.none(), min_size=1))
def test_any_column_round_trips_json(values):
    """Random float32 columns survive bit by bit."""
    profile = Profile.build({"x": values}, [FieldSpec("x", "float32")], values, None, "y", None, "regression")
    assert Profile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
    assert list(profile.monitored()) == ["x", "prediction:y"]


def test_the_reference_indexed_again_gives_its_own_counts():
    """Reference and live rows take the same way into cells."""
    profile = build()
    rows = profile.index_batch(COLUMNS, [0, 1, 0, 1])
    for name in COLUMNS:
        reference = profile.monitored()[name]
        assert count(rows[name], reference.size).tolist() == reference.counts.tolist()


def test_arrays_do_as_well_as_lists():
    """A pipeline's NumPy columns, labels and classes give the profile that JSON's lists give."""
    arrays = {
        name: np.array(column, dtype=object if None in column else None) for name, column in COLUMNS.items()
    }
    assert build(columns=arrays, predictions=np.array([0, 1, 0]), classes=np.array([0, 1])) == build()


def test_a_column_that_is_not_there_is_missing():
    """An optional feature nobody sent, or absent probabilities, count as missing in every row."""
    profile = build()
    rows = profile.index_batch({k: v for k, v in COLUMNS.items() if k != "visibility"}, [0, 1, 0, 1])
    for name in ("visibility", "probability:1"):
        assert rows[name].tolist() == [profile.monitored()[name].missing] * 4


def test_all_classes_have_a_cell_and_of_many_each_a_score():
    """A class that was not predicted in the reference is not unseen later."""
    scores = {str(c): [0.25] * 3 for c in (3, 4, 5, 6)}
    profile = build(classes=[3, 4, 5, 6], predictions=[5, 5, 6], probabilities=scores)
    assert profile.monitored()["prediction:late"].names == ["3", "4", "5", "6"]
    assert len(profile.outputs) == 5


def test_a_profile_carries_the_quality_of_its_outputs():
    """With the truth beside them the outputs' counts are those of one pass, and they travel as JSON."""
    profile = build(truth=[0, 1, 1])
    counted = Classification([0, 1])
    counted.update(
        [0, 1, 1], [0, 1, 0], {"1": np.array([0.1, 0.8, 0.3], dtype=np.float32), "0": [0.9, 0.2, 0.7]}
    )
    again = Profile.from_dict(json.loads(json.dumps(profile.to_dict())))
    assert Classification.from_dict(again.quality) == counted
    assert again == profile
    number = {"task": "regression", "classes": None, "probabilities": None, "predictions": [1.5, 2.0]}
    errors = Regression.from_dict(build(**number, truth=[1.0, 2.5]).quality)
    assert (errors.rows, errors.get()["mae"]) == (2, 0.5)


def test_a_profile_without_a_quality_is_read_as_before():
    """The field is there where the truth was known, and nowhere else."""
    assert "quality" not in build().to_dict()
    assert Profile.from_dict(build().to_dict()).quality is None
    assert build(truth=[0, 1, 0]).to_dict().items() >= build().to_dict().items()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": [0, 1]}, "2 truths for 3 predictions"),
        ({"truth": [0, 1, None]}, "label is missing"),
        ({"columns": {**COLUMNS, "distance": [1.0]}}, "length"),
        ({"columns": {k: v for k, v in COLUMNS.items() if k != "hour"}}, "hour"),
        ({"columns": {**COLUMNS, "hour": [1, 2, 3, 24]}}, "hour: 24 is above"),
        ({"columns": {**COLUMNS, "distance": [1, 2, 3, -1]}}, "distance: -1.0 is below"),
        ({"columns": {**COLUMNS, "distance": [1, 2, 3, float("inf")]}}, "distance: an infinity"),
        ({"columns": {**COLUMNS, "hour": [1, 2, 3, "x"]}}, "hour"),
        ({"classes": None}, "classes"),
        ({"classes": [0, 2]}, "no probability of class 2"),
        ({"task": "ranking"}, "task"),
    ],
)
def test_a_reference_that_is_not_what_it_says_is_refused(changes, message):
    """The error names the field."""
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_bad_live_rows_are_refused_by_name():
    """Infinities, wrong types and wrong lengths name the field."""
    profile = build()
    for name, column in (
        ("distance", [float("inf")]),
        ("hour", [0.5]),
        ("distance", ["1"]),
        ("hour", [1, 2]),
    ):
        with pytest.raises(ValueError, match=name):
            profile.index_batch({**{k: v[:1] for k, v in COLUMNS.items()}, name: column}, [0])


def test_another_schema_version_is_refused():
    """A profile of the future is not guessed at."""
    with pytest.raises(ValueError, match="schema_version"):
        Profile.from_dict({**build().to_dict(), "schema_version": 2})


def test_a_spec_that_contradicts_itself_is_refused():
    """A string is never numeric, and dtypes are four."""
    with pytest.raises(ValueError, match="is not numeric"):
        FieldSpec("x", "string", kind="numeric")
    with pytest.raises(ValueError, match="dtype"):
        FieldSpec("x", "float16")


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=200), st.integers(3, 64))
def test_a_shape_is_the_ecdf_at_its_points(values, points):
    """A plot of few points lies on the true curve, from the lowest to the highest reference value."""
    cells = Cells.from_reference(values, "float32")
    live = [value + 1 for value in values]
    got = shape(cells, count(cells.index(live), cells.size), points)
    assert len(got.x) <= points
    assert got.x[-1] == max(np.float32(values))
    for x, reference, now in zip(got.x, got.reference, got.live, strict=True):
        assert reference == pytest.approx(np.mean(np.float32(values) <= x))
        assert now == pytest.approx(np.mean(np.float32(live) <= np.float32(x)))
    assert FeatureShape(**got._asdict()).kind == "numeric"


def test_a_shape_of_many_categories_names_the_most_frequent():
    """The rest is one bar, and shares add up to one."""
    names = [f"c{i}" for i in range(100) for _ in range(i + 1)]
    categories = Categories.from_reference(names)
    got = shape(categories, count(categories.index(["c99", "new", None]), categories.size), points=10)
    assert len(got.x) == 10
    assert got.x[-1] == "(other)"
    assert "(unseen)" in got.x
    assert sum(got.reference) == pytest.approx(1)
    assert sum(got.live) == pytest.approx(1)


def test_a_shape_without_live_rows_is_flat():
    """An empty window plots as zeros, not as an error."""
    cells = Cells.from_reference([1.0, 2.0], "float32")
    assert shape(cells, np.zeros(cells.size, dtype=np.int64)).live == [0.0, 0.0]
