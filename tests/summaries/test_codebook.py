"""Vectors as counts: cells that depend on the row alone, that add up, that stay quiet, and that find what changed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from summaries.codebook import Codebook, learned
from summaries.compare import compare
from summaries.counts import count, merge
from summaries.detection import Detector, dependence
from summaries.profile import Field, FieldSpec, Profile
from summaries.shape import MISSING, shape

Floats = NDArray[np.float64]
ALPHA = 1e-3


def blobs(n: int, seed: int, dimension: int = 12, shift: float = 0.0) -> Floats:
    """Three kinds of rows."""
    generator = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(3, dimension)) * 2
    found: Floats = centers[generator.integers(0, 3, n)] + generator.normal(size=(n, dimension)) + shift
    return found


def counts_of(codebook: Codebook, placed: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """By the names of a field called v."""
    sizes = {name: known.size for name, known in codebook.references("v").items()}
    return {
        (name := f"v:{part}" if part else "v"): count(cells, sizes[name]) for part, cells in placed.items()
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 70), st.data())
def test_counts_add_up_however_rows_are_cut(seed: int, n: int, dimension: int, data: Any) -> None:
    """One pass, pieces and single rows: the same cells to the last one, at any scale of the numbers."""
    scale = 10.0 ** data.draw(st.integers(-12, 12))
    codebook = Codebook.from_reference(blobs(80, 1, dimension) * scale)
    rows = blobs(n, seed, dimension) * scale
    cut = data.draw(st.integers(0, n))
    whole = counts_of(codebook, codebook.place(rows))
    parts = [counts_of(codebook, codebook.place(part)) for part in (rows[:cut], rows[cut:])]
    singles = [counts_of(codebook, codebook.place(row[None])) for row in rows]
    for name, counts in whole.items():
        assert (merge(*(part[name] for part in parts)) == counts).all()
        assert (merge(*(single[name] for single in singles)) == counts).all()
        assert counts.sum() == n


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 20))
def test_it_travels_as_json(seed: int, n: int, dimension: int) -> None:
    """Read back exactly, and placing rows as before."""
    codebook = Codebook.from_reference(blobs(n, seed, dimension))
    again = Codebook.from_dict(json.loads(json.dumps(codebook.to_dict(), allow_nan=False)))
    assert again == codebook
    rows = blobs(20, seed + 1, dimension)
    before, after = codebook.place(rows), again.place(rows)
    assert all((before[part] == after[part]).all() for part in before)


def test_the_cell_is_that_of_the_nearest_centroid() -> None:
    """As distances computed one by one say."""
    codebook, rows = Codebook.from_reference(blobs(2000, 1)), np.concatenate([blobs(300, 2), blobs(9, 3) * 5])
    points = (codebook.centroids + codebook.center) * codebook.step
    far = np.sqrt(((rows[:, None] - points) ** 2).sum(axis=2))
    placed = codebook.place(rows)
    beyond = far.min(axis=1) > codebook.radius
    assert 9 <= beyond.sum() < 15
    assert (placed[""] == np.where(beyond, codebook.far, far.argmin(axis=1))).all()
    assert (codebook.index(rows) == placed[""]).all()
    low, high = (codebook.parts["distance"].index(far.min(axis=1) * (1 + by)) for by in (-1e-3, 1e-3))
    assert ((low <= placed["distance"]) & (placed["distance"] <= high)).all()  # rounding to the grid


def test_what_is_learned_from_is_not_counted() -> None:
    """Half of a small reference, whole rows, whichever are missing; the others are all in the counts."""
    rows = blobs(1000, 1)
    missing = np.arange(1000) % 10 == 0
    codebook = Codebook.from_reference(rows[~missing], missing)
    assert codebook.counts[-1] == 100
    assert codebook.rows == 100 + int((~learned(1000) & ~missing).sum())
    for cells in codebook.parts.values():
        assert cells.rows == codebook.rows
        assert cells.counts[-1] == 100


def test_far_beyond_all_is_one_cell() -> None:
    """A number beyond the grid neither overflows nor fails; NaN, infinities and other lengths are refused."""
    codebook = Codebook.from_reference(blobs(500, 1, 3))
    placed = codebook.place(np.array([[1e300, -1e300, 1e308], [1e6, 1e6, 1e6]]))
    assert (placed["distance"] == codebook.parts["distance"].size - 2).all()
    for bad in ([[np.nan, 0, 0]], [[np.inf, 0, 0]], [[0.0, 0.0]]):
        with pytest.raises(ValueError):
            codebook.place(np.array(bad))


def test_a_wild_row_in_the_reference_does_no_harm() -> None:
    """The rest is told apart as finely as without it, and a shift is found."""
    reference, live = blobs(2000, 1), blobs(500, 2, shift=0.3)
    reference[int(np.flatnonzero(learned(2000))[0])] = 1e9
    reference[int(np.flatnonzero(~learned(2000))[0])] = -1e12
    codebook = Codebook.from_reference(reference)
    assert codebook.radius < 100
    judged = detector_of(codebook, reference).judge({1: counts_of(codebook, codebook.place(live))})
    assert judged.p_value <= ALPHA


def test_references_hardly_worth_the_name_do() -> None:
    """One row, the same row again and again, one dimension: no axis where there is no spread."""
    for rows in (np.ones((1, 4)), np.ones((50, 4)), np.arange(6.0)[:, None]):
        codebook = Codebook.from_reference(rows)
        assert codebook.place(rows)[""].max() < codebook.missing
        assert compare(codebook, codebook.counts).p_value == 1.0
    with pytest.raises(ValueError, match="at least one"):
        Codebook.from_reference(np.zeros((0, 3)))


def test_a_plot_shows_centroids_by_number() -> None:
    """The most frequent first, then the far and the missing."""
    codebook = Codebook.from_reference(blobs(999, 1), np.arange(1000) == 7)
    drawn = shape(codebook, codebook.counts)
    assert drawn.x[-2:] == ["(far)", MISSING]
    assert drawn.kind == "categorical"
    assert drawn.x == [*codebook.names, MISSING]
    assert drawn.reference == drawn.live
    assert drawn.reference[0] == max(drawn.reference)


# --- as a feature of a profile

SCHEMA = [
    FieldSpec("note", "text", optional=True),
    FieldSpec(
        "image", "vector", shape=(4, 6), encoder={"name": "intensities", "rows": 2, "columns": 3}, min=0
    ),
    FieldSpec("embedding", "vector", shape=(12,)),
    FieldSpec("age", "float32"),
]


def columns(n: int, seed: int, shift: float = 0.0) -> dict[str, list[Any]]:
    """Rows as they come over the wire."""
    generator = np.random.default_rng(seed)
    words = ["pump", "valve", "leaks", "hot", "noise", "again", "stopped"]
    notes: list[str | None] = [" ".join(generator.choice(words, 6)) for _ in range(n)]
    notes[0] = None
    return {
        "note": notes,
        "image": generator.integers(0, 17, (n, 24)).tolist(),
        "embedding": blobs(n, seed + 1, shift=shift).tolist(),
        "age": generator.normal(size=n).tolist(),
    }


def build(n: int, seed: int) -> Profile:
    """A profile without a model."""
    return Profile.build(columns(n, seed), SCHEMA, [0.0] * n, None, "y", None, "regression")


def test_a_profile_holds_texts_and_vectors() -> None:
    """Parts by name, JSON and back, encoders with their parameters, cells of a batch with missing columns too."""
    profile = build(400, 1)
    text = json.dumps(profile.to_dict(), allow_nan=False)
    again = Profile.from_dict(json.loads(text))
    assert again == profile
    assert [field.spec.encoder for field in again.features] == [spec.encoder for spec in SCHEMA]
    names = set(profile.monitored())
    assert {"note", "note:distance", "image:axis1", "embedding:axis12", "age", "prediction:y"} <= names
    given = columns(30, 5)
    cells = profile.index_batch(given, [0.0] * 30)
    assert cells.keys() == names
    assert cells["note"][0] == profile.monitored()["note"].missing
    assert cells["note:axis1"][0] == profile.monitored()["note:axis1"].missing
    gone = profile.index_batch({**given, "image": [None] * 30}, [0.0] * 30)
    absent = profile.index_batch({k: v for k, v in given.items() if k != "image"}, [0.0] * 30)
    for name in names:
        assert (gone[name] == absent[name]).all()
    judged = profile.detector().judge(
        {1: {n: count(at, profile.monitored()[n].size) for n, at in cells.items()}}
    )
    assert judged.features.keys() == names


def test_other_counts_over_the_same_cells() -> None:
    """What accepting a live span needs."""
    field = Field.build(SCHEMA[2], columns(400, 1)["embedding"])
    placed = field.place(columns(100, 2)["embedding"])
    counts = {name: count(at, field.references[name].size) for name, at in placed.items()}
    other = field.counted(counts)
    assert {name: known.rows for name, known in other.references.items()} == dict.fromkeys(counts, 100)
    assert all((known.counts == counts[name]).all() for name, known in other.references.items())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"dtype": "text", "shape": (3,)}, "a text has none"),
        ({"dtype": "vector"}, "a vector has a shape"),
        ({"dtype": "vector", "shape": (0,)}, "whole numbers from 1"),
        ({"dtype": "vector", "shape": (3,), "kind": "numeric"}, "is not numeric"),
        ({"dtype": "vector", "shape": (3,), "encoder": "ngrams"}, "n-grams are of a text"),
        ({"dtype": "vector", "shape": (4,), "encoder": "intensities"}, "height, width"),
        ({"dtype": "text", "encoder": "identity"}, "needs an encoder"),
        ({"dtype": "text", "encoder": "word2vec"}, "there is no encoder 'word2vec'"),
        ({"dtype": "text", "min": 0}, "neither min nor max"),
        ({"dtype": "float32", "encoder": "identity"}, "neither shape nor encoder"),
        ({"dtype": "embedding"}, "text or vector"),
    ],
)
def test_a_declaration_that_cannot_be_is_said_with_the_fields_name(spec: dict[str, Any], said: str) -> None:
    """Before any data is read."""
    with pytest.raises(ValueError, match=f"^x: .*{said}"):
        FieldSpec("x", **spec)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("embedding", [1.0] * 11, "embedding: a vector has 11 numbers, not 12"),
        ("embedding", [1.0] * 11 + [None], "embedding: a vector holds what is no number: NoneType"),
        ("embedding", 5.0, "embedding: float is no vector"),
        ("note", 5, "note: int is no text"),
    ],
)
def test_a_value_that_does_not_fit_is_said_with_the_fields_name(name: str, value: Any, said: str) -> None:
    """Live as in a reference."""
    profile, given = build(60, 1), columns(3, 2)
    given[name][1] = value
    with pytest.raises(ValueError, match=said):
        profile.index_batch(given, [0.0] * 3)
    given = columns(60, 2)
    given["image"][3][5] = -1
    with pytest.raises(ValueError, match=r"image: -1\.0 is below the declared minimum 0"):
        Profile.build(given, SCHEMA, [0.0] * 60, None, "y", None, "regression")


def test_two_features_of_one_name_are_refused() -> None:
    """A part's name counts."""
    with pytest.raises(ValueError, match="one name"):
        Profile.build(
            {"v": [[1.0]] * 9, "v:distance": [1.0] * 9},
            [FieldSpec("v", "vector", shape=(1,)), FieldSpec("v:distance", "float32")],
            [0.0] * 9, None, "y", None, "regression",
        )  # fmt: skip


# --- quiet where nothing changes, loud where something does


def detector_of(codebook: Codebook, reference: Floats) -> Detector:
    """As a profile with this one feature has it."""
    names = codebook.references("v")
    placed = codebook.place(reference[~learned(len(reference))])
    cells = {f"v:{part}" if part else "v": at for part, at in placed.items()}
    return Detector(names, scales=(1,), joint=dependence(names, cells, windows=500), joint_names=list(names))


def test_quiet_windows_stay_within_the_budget() -> None:
    """2,000 windows of 300 rows over 20 references of 1,500: at 1 in 100, at most 1.5 in 100 alarm."""
    alarms = 0
    for seed in range(20):
        reference = blobs(1500, 1000 + seed, 8)
        codebook = Codebook.from_reference(reference)
        detector = detector_of(codebook, reference)
        for window in range(100):
            live = counts_of(codebook, codebook.place(blobs(300, 10_000 + 100 * seed + window, 8)))
            alarms += detector.judge({1: live}).p_value <= 0.01
    assert alarms <= 30


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("shift", "axis"),
        ("new", "v"),
        ("odd", "v"),
        ("gone", "v"),
        ("noise", "distance"),
        ("rotated", "distance"),
    ],
)
def test_a_change_is_found_in_one_window(what: str, named: str) -> None:
    """A shift of .3 sd in each number, 5% of a new kind, twenty odd rows, a kind that goes, noise, swapped numbers."""
    reference, live = blobs(2000, 1), blobs(500, 2)
    generator = np.random.default_rng(3)
    if what == "shift":
        live += 0.3
    elif what == "new":
        live[:25] = generator.normal(size=(25, 12)) + 6
    elif what == "odd":
        live[:20] = generator.normal(size=(20, 12)) * 9
    elif what == "gone":
        live = live[Codebook.from_reference(reference, centroids=3).index(live) != 1]
    elif what == "noise":
        live += generator.normal(size=live.shape) * 0.5
    else:
        live = live[:, ::-1]
    codebook = Codebook.from_reference(reference)
    judged = detector_of(codebook, reference).judge({1: counts_of(codebook, codebook.place(live))})
    assert judged.p_value <= ALPHA
    strongest = min(judged.features, key=lambda name: judged.features[name].p_value)
    assert strongest == "v" if named == "v" else named in strongest
