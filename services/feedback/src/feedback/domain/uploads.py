"""Labels of an upload, checked: whole columns at once, and one by one only to say what is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from contracts.events import Label

from feedback.domain.ids import are_prediction_ids, is_prediction_id
from feedback.domain.truth import MAX_TRUTH

FUTURE_MS = 5 * 60_000
_FIRST_MS = -62_135_596_800_000  # the year 1
_NO_TIME = "label_time must be an ISO 8601 time with offset, or milliseconds since 1970"  # as event_time


class Refused(ValueError):
    """Labels that are not taken: what is wrong, in which field and, of many, which row (from 0)."""

    def __init__(self, detail: str, field: str | None = None, row: int | None = None) -> None:
        super().__init__(detail)
        self.detail, self.field, self.row = detail, field, row


class Labels(msgspec.Struct):
    """Labels as columns, checked."""

    prediction_id: list[str]
    truth: list[Label]
    label_time: list[int]


def check(ids: Sequence[Any], truths: Sequence[Any], times: Sequence[Any] | None, now: int) -> Labels:
    """The labels of three columns of equal length; without times all are of now (ms since 1970).

    Raises :class:`Refused` for the first row that is wrong.
    """
    known = [now] * len(ids) if times is None else _good_times(times, now)
    if known is not None and are_prediction_ids(ids) and _good_truths(truths):
        return Labels(list(ids), list(truths), known)
    labels = Labels([], [], [])
    given = [None] * len(ids) if times is None else times
    for row, (text, truth, time) in enumerate(zip(ids, truths, given, strict=True)):
        add(labels, text, truth, time, now, row)
    return labels


def add(labels: Labels, text: Any, truth: Any, time: Any, now: int, row: int | None = None) -> None:
    """Check one label and append it; raises :class:`Refused`, which names ``row``, and appends nothing."""
    checked = check_id(text, row), _truth(truth, row), _time(time, now, row)
    for column, value in zip((labels.prediction_id, labels.truth, labels.label_time), checked, strict=True):
        column.append(value)  # type: ignore[attr-defined]


def check_id(value: Any, row: int | None = None) -> str:
    """The id itself; raises :class:`Refused` where it has not the form of one."""
    if not isinstance(value, str) or not is_prediction_id(value):
        raise Refused(f"{str(value)[:80]!r} is not a prediction_id", "prediction_id", row)
    return value


def _good_times(times: Sequence[Any], now: int) -> list[int] | None:
    """The times where all are whole numbers within bounds, or all are absent; None where it takes a closer look."""
    kinds = set(map(type, times))
    if kinds == {int} and min(times) >= _FIRST_MS and max(times) <= now + FUTURE_MS:
        return list(times)
    return [now] * len(times) if kinds == {type(None)} else None


def _good_truths(truths: Sequence[Any]) -> bool:
    """Whether all are of one type and good; False says only that it takes a closer look."""
    kinds = set(map(type, truths))
    if kinds == {str}:
        return max(map(len, truths)) <= MAX_TRUTH
    if kinds == {float}:
        return all(map(math.isfinite, truths))
    return bool(kinds) and kinds <= {int, bool} and min(truths) >= -(2**63) and max(truths) < 2**63


def _truth(value: Any, row: int | None) -> Label:
    if not isinstance(value, (str, int, float)):
        raise Refused("truth is a string, a number or a boolean", "truth", row)
    if isinstance(value, str) and len(value) > MAX_TRUTH:
        raise Refused(f"truth is longer than {MAX_TRUTH} characters", "truth", row)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("truth is not finite", "truth", row)
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise Refused("truth does not fit 64 bits", "truth", row)
    return value


def _time(value: Any, now: int, row: int | None) -> int:
    """Milliseconds of an integer or an ISO 8601 text with its offset; absent: now."""
    if value is None:
        return now
    if type(value) is int:
        time = value
    elif (
        isinstance(value, float) and value.is_integer()
    ):  # to JSON 5.0 is an integer, and dataframes write it
        time = int(value)
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise Refused(_NO_TIME, "label_time", row) from None
        if moment.tzinfo is None:
            raise Refused(_NO_TIME, "label_time", row)
        time = round(moment.timestamp() * 1000)
    else:
        raise Refused(_NO_TIME, "label_time", row)
    if not _FIRST_MS <= time <= now + FUTURE_MS:
        raise Refused(
            "label_time lies more than 5 minutes in the future, or before the year 1", "label_time", row
        )
    return time
