"""Labels as one JSON object: one label, or many as rows or as columns.

A body of the right form goes through msgspec's typed decoder. Any other is read once more without types, to say
which field and which row is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from contracts.events import Label
from msgspec import UNSET, UnsetType

from feedback.domain.uploads import Labels, Refused, add, check

FIELDS = ("prediction_id", "truth", "label_time")
_Time = int | float | str | None


class Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One label as it is written."""

    prediction_id: str
    truth: Label
    label_time: _Time = None


class _Columns(msgspec.Struct, forbid_unknown_fields=True):
    prediction_id: list[str] | UnsetType = UNSET
    truth: list[Label] | UnsetType = UNSET
    label_time: list[_Time] | _Time = None
    labels: list[Row] | UnsetType = UNSET


_row = msgspec.json.Decoder(Row)
_columns = msgspec.json.Decoder(_Columns)


def parse_one(body: bytes, now: int) -> Labels:
    """The one label of a body ``{"prediction_id", "truth", "label_time"?}``; raises :class:`Refused`."""
    labels = Labels([], [], [])
    try:
        row = _row.decode(body)
    except (ValueError, RecursionError):
        add_row(labels, _object(body), now)
    else:
        add(labels, row.prediction_id, row.truth, row.label_time, now)
    return labels


def parse_many(body: bytes, now: int) -> Labels:
    """Labels as rows, ``{"labels": [{...}]}``, or columns, ``{"prediction_id": [], "truth": [], ...}``.

    Raises :class:`Refused`.
    """
    try:
        given = _columns.decode(body)
    except (ValueError, RecursionError):
        return _closely(_object(body), now)
    ids, truths, rows = given.prediction_id, given.truth, given.labels
    if ids is UNSET and truths is UNSET and given.label_time is None and rows:
        return check_rows(rows, now)
    if rows is not UNSET or not ids or not truths or len(ids) != len(truths):
        return _closely(_object(body), now)
    times = given.label_time
    if not isinstance(times, list):  # absent, or one time for all
        return check(ids, truths, None if times is None else [times] * len(ids), now)
    return check(ids, truths, times, now) if len(times) == len(ids) else _closely(_object(body), now)


def check_rows(rows: Sequence[Row], now: int) -> Labels:
    """The labels of rows; raises :class:`Refused`."""
    return check(
        [row.prediction_id for row in rows],
        [row.truth for row in rows],
        [row.label_time for row in rows],
        now,
    )


def add_row(labels: Labels, row: Any, now: int, at: int | None = None) -> None:
    """Check what should be a label's JSON object and append it; raises :class:`Refused`."""
    if not isinstance(row, dict):
        raise Refused("a label is a JSON object", None if at is None else "labels", at)
    for name in FIELDS[:2]:
        if name not in row:
            raise Refused(f"{name} is missing", name, at)
    if extra := sorted(set(row) - set(FIELDS)):
        raise Refused(f"unknown field {extra[0]!r}", extra[0], at)
    add(labels, row["prediction_id"], row["truth"], row.get("label_time"), now, at)


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:  # msgspec's own, text that is not UTF-8, lists in lists
        raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Refused("the body is a JSON object")
    return content


def _closely(content: dict[str, Any], now: int) -> Labels:
    """What :func:`parse_many` gives, without types."""
    if "labels" in content:
        if extra := sorted(set(content) - {"labels"}):
            raise Refused(f"unknown field {extra[0]!r} beside 'labels'", extra[0])
        rows = content["labels"]
        if not isinstance(rows, list) or not rows:
            raise Refused("'labels' is a list of at least one label", "labels")
        labels = Labels([], [], [])
        for i, row in enumerate(rows):
            add_row(labels, row, now, i)
        return labels
    for name in FIELDS[:2]:
        if name not in content:
            raise Refused(f"{name} is missing (or 'labels', a list of rows)", name)
    if extra := sorted(set(content) - set(FIELDS)):
        raise Refused(f"unknown field {extra[0]!r}", extra[0])
    ids, truths, times = content["prediction_id"], content["truth"], content.get("label_time")
    if not isinstance(ids, list) or not ids:
        raise Refused("prediction_id is a list of at least one id", "prediction_id")
    if not isinstance(times, list):
        times = [times] * len(ids)
    for name, column in (("truth", truths), ("label_time", times)):
        if not isinstance(column, list) or len(column) != len(ids):
            raise Refused(f"{name} is a list as long as prediction_id ({len(ids)})", name)
    return check(ids, truths, times, now)
