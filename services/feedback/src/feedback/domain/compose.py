"""Outcomes from joined rows: columnar, one event a shape, each below Kafka's limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from contracts.codec import derived_id
from contracts.events import OutcomesJoined

from feedback.domain.rows import Joined, Shape
from feedback.domain.size import MAX_BYTES, width

_FIXED = 160  # bytes of a row's id, times and revision, with their commas
_NUMBER = 28  # of a number, None or a boolean that a store can hold
_MANY = 200  # rows of a record that are enough


def new_outcomes(joined: Iterable[Joined], published: Mapping[str, int]) -> list[Joined]:
    """The rows that are not yet on the topic; ``published`` maps an id to its revision there."""
    return [j for j in joined if not published or j.after.revision > published.get(j.prediction_id, -1)]


def compose(joined: Iterable[Joined]) -> list[OutcomesJoined]:
    """The events, ordered by shape, then as the labels came."""
    groups: dict[tuple[Any, ...], list[Joined]] = {}
    of_object: dict[int, list[Joined]] = {}  # a shape is one object for many rows, and costs some to compare
    for j in joined:
        rows = of_object.get(id(j.shape))
        if rows is None:
            shape = j.shape
            key = shape.model, shape.version, shape.features, shape.classes, shape.vectors
            rows = of_object[id(shape)] = groups.setdefault(key, [])
        rows.append(j)
    return [event for _, rows in sorted(groups.items()) for event in _events(rows[0].shape, rows)]


def outcome_id(event: OutcomesJoined) -> str:
    """The ``ce_id``: of the first row and its revision, which no other outcome carries."""
    return derived_id("outcomes", event.prediction_id[0], event.revision[0])


def _events(shape: Shape, joined: Sequence[Joined]) -> Iterator[OutcomesJoined]:
    rows = [j.row for j in joined]
    after = [j.after for j in joined]
    features = _columns(len(shape.features), [row.features for row in rows])
    vectors = _columns(len(shape.vectors), [row.vectors for row in rows])
    probabilities = _columns(len(shape.classes), [row.probabilities for row in rows])
    predictions = [row.prediction for row in rows]
    truths = [known.truth for known in after]
    before = [None if j.before is None else j.before.truth for j in joined]
    ids, event_times = [j.prediction_id for j in joined], [row.event_time for row in rows]
    label_times, revisions = [known.label_time for known in after], [known.revision for known in after]
    names = sum(width(name) + 3 for name in (*shape.features, *shape.classes, *shape.vectors))
    for a, b in _parts(names, len(rows), [*features, *vectors, *probabilities, predictions, truths, before]):
        yield OutcomesJoined(
            model=shape.model,
            version=shape.version,
            prediction_id=ids[a:b],
            event_time=event_times[a:b],
            label_time=label_times[a:b],
            features=_named(shape.features, features, a, b),
            predictions=predictions[a:b],
            probabilities=_named(shape.classes, probabilities, a, b) or None,
            truth=truths[a:b],
            corrected_from=before[a:b],
            revision=revisions[a:b],
            vectors=_named(shape.vectors, vectors, a, b) or None,
        )


def _columns(width: int, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows of ``width`` as columns. One long list is read in order, which ``zip`` of thousands of rows does not."""
    values = list(chain.from_iterable(rows))
    return [values[i::width] for i in range(width)]


def _named(names: Sequence[str], columns: Sequence[list[Any]], a: int, b: int) -> dict[str, list[Any]]:
    return {name: column[a:b] for name, column in zip(names, columns, strict=True)}


def _parts(names: int, rows: int, columns: Iterable[Sequence[Any]]) -> Iterator[tuple[int, int]]:
    """From and to which row a record goes, as many as fit; ``names`` are the bytes that each record spends on names."""
    fixed, widest = _FIXED, 0
    texts: list[Sequence[Any]] = []
    others: list[Sequence[Any]] = []
    for column in columns:
        kinds = set(map(type, column))
        if kinds <= {float, int, bool, type(None)}:
            fixed += _NUMBER
        elif kinds == {str}:
            texts.append(column)
            widest += 6 * max(map(len, column)) + 3
        else:
            others.append(column)
    many = (MAX_BYTES - names) // (fixed + widest)
    if (
        not others and many >= _MANY
    ):  # as if each row were the widest: to look at each would cost more than it spares
        for start in range(0, rows, many):
            yield start, min(start + many, rows)
        return
    wide = [[6 * length + 3 for length in map(len, column)] for column in texts]
    wide += [list(map(width, column)) for column in others]
    widths = map(sum, zip(*wide, strict=True)) if wide else [0] * rows
    start, size = 0, names
    for i, more in enumerate(widths):
        if i > start and size + fixed + more > MAX_BYTES:
            yield start, i
            start, size = i, names
        size += fixed + more
    if rows:
        yield start, rows
