"""Outcomes hold each joined row once, with its own columns, in records that Kafka takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from contracts.codec import encode
from contracts.events import Label, OutcomesJoined
from feedback.domain.compose import compose, new_outcomes, outcome_id
from feedback.domain.rows import Joined, Row, Shape
from feedback.domain.size import MAX_BYTES
from feedback.domain.truth import Known
from hypothesis import given, settings
from hypothesis import strategies as st


def joined(
    number: int,
    shape: Shape,
    values: Sequence[Any] = (),
    *,
    truth: Label = "yes",
    before: Known | None = None,
    probabilities: Sequence[float] = (),
    vectors: Sequence[list[float] | None] = (),
) -> Joined:
    """A row that can be told from others by its number."""
    row = Row(number, number * 10, "no", tuple(probabilities), tuple(values), tuple(vectors))
    after = Known(truth, number * 10 + 5, before.revision + 1 if before else 0)
    return Joined(f"{number:032x}.0", shape, row, before, after, number)


def rows_of(outcomes: Sequence[OutcomesJoined]) -> list[tuple[Any, ...]]:
    """All rows, in order, with the names of their columns."""
    return [
        (
            o.model,
            o.version,
            o.prediction_id[i],
            o.event_time[i],
            o.label_time[i],
            {name: column[i] for name, column in o.features.items()},
            o.predictions[i],
            {name: column[i] for name, column in (o.probabilities or {}).items()},
            o.truth[i],
            o.corrected_from[i],
            o.revision[i],
            {name: column[i] for name, column in (o.vectors or {}).items()},
        )
        for o in outcomes
        for i in range(len(o.prediction_id))
    ]


def row_of(j: Joined) -> tuple[Any, ...]:
    """What an outcome should say of a row."""
    return (
        j.shape.model,
        j.shape.version,
        j.prediction_id,
        j.row.event_time,
        j.after.label_time,
        dict(zip(j.shape.features, j.row.features, strict=True)),
        j.row.prediction,
        dict(zip(j.shape.classes, j.row.probabilities, strict=True)),
        j.after.truth,
        j.before.truth if j.before else None,
        j.after.revision,
        dict(zip(j.shape.vectors, j.row.vectors, strict=True)),
    )


SHAPES = [
    Shape("m", "2", ("x", "name"), ("no", "yes"), ()),
    Shape("m", "1", ("name", "x"), (), ("image",)),
    Shape("a", "1", (), (), ()),
]
texts = st.one_of(st.text(max_size=4), st.just("é" * 60_000))
values = st.one_of(
    st.none(), st.booleans(), st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1), texts
)


@st.composite
def many(draw: st.DrawFn) -> list[Joined]:
    """Rows of several shapes, equal ones as one object and as several, some of them wide."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        shape = draw(st.sampled_from(SHAPES))
        if draw(st.booleans()):
            shape = Shape(shape.model, shape.version, shape.features, shape.classes, shape.vectors)
        found.append(
            joined(
                number,
                shape,
                [draw(values) for _ in shape.features],
                truth=draw(
                    st.one_of(st.text(max_size=1_000), st.integers(-(2**63), 2**63 - 1), st.booleans())
                ),
                before=draw(st.sampled_from([None, Known("x" * 1_000, 1), Known(2.5, 1, 3)])),
                probabilities=[draw(st.floats(0, 1)) for _ in shape.classes],
                vectors=[draw(st.none() | st.just([0.1] * 9_000)) for _ in shape.vectors],
            )
        )
    return found


@settings(max_examples=60, deadline=None)
@given(many())
def test_outcomes_say_what_was_joined(rows: list[Joined]) -> None:
    """Each row is there once, ordered by shape and then as it came; every record is below Kafka's limit and has an id of
    its own."""
    outcomes = compose(rows)
    expected = sorted(rows, key=lambda j: (j.shape.model, j.shape.version))
    assert rows_of(outcomes) == list(map(row_of, expected))
    assert all(len(encode(o, source="feedback")[0]) < 900_000 for o in outcomes)
    assert len({outcome_id(o) for o in outcomes}) == len(outcomes)


def test_rows_of_one_shape_keep_their_order() -> None:
    """As the labels came, so they are published."""
    rows = [joined(number, SHAPES[2]) for number in (3, 1, 2)]
    assert [row[2] for row in rows_of(compose(rows))] == [j.prediction_id for j in rows]


@pytest.mark.parametrize(
    "rows",
    [
        [joined(n, Shape("m", "1", tuple(f"f{i}" for i in range(40)), (), ()), [0.1234567890123] * 40) for n in range(4_000)],
        [joined(n, Shape("m", "1", (), (), ("image",)), vectors=[[n + 0.123456789] * 2_000]) for n in range(90)],
        [joined(n, SHAPES[2], truth="é" * 1_000, before=Known("é" * 1_000, 1)) for n in range(1_000)],
        [joined(n, Shape("m", "1", tuple(f"{'x' * 90}{i}" for i in range(5_000)), (), ()), [None] * 5_000) for n in range(30)],
        [joined(n, Shape("m", "1", ("x",), ("a", "b"), ()), [2**63 - 1], probabilities=[1 / 3, 2 / 3]) for n in range(9_000)],
    ],
    ids=["features", "vectors", "truths", "names", "numbers"],
)  # fmt: skip
def test_much_is_split_below_kafkas_limit(rows: list[Joined]) -> None:
    """Wide rows, long names and many rows give several records, none above the limit and none needlessly small."""
    outcomes = compose(rows)
    sizes = [len(encode(o, source="feedback")[0]) for o in outcomes]
    assert len(sizes) > 1
    assert max(sizes) < 900_000
    assert len(sizes) <= 6 * sum(sizes) / MAX_BYTES + 1
    assert rows_of(outcomes) == [row_of(j) for j in rows]


def test_what_is_published_is_not_published_again() -> None:
    """An outcome is known by its id and revision; a correction of a published one is new."""
    first, corrected = joined(1, SHAPES[2]), joined(1, SHAPES[2], before=Known("no", 1))
    other = joined(2, SHAPES[2])
    assert new_outcomes([first, corrected, other], {first.prediction_id: 0}) == [corrected, other]
    assert new_outcomes([first, corrected, other], {}) == [first, corrected, other]
