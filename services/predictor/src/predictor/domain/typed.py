"""A request's bytes straight into columns, by types made for one model: the quick way for what is well-formed.

Whatever these types do not take (a missing field, a number out of range, a time in words that needs a look) is left
to :func:`predictor.domain.request.check`, which names each fault; both give the same columns for what both take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Optional

import msgspec
from msgspec import Meta
from summaries.profile import FieldSpec

from predictor.domain.request import FLOAT32_MAX, Columns, times_of

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_Times = int | str | None


class Reader:
    """Reads bodies of ``/predict/`` and ``/predict/batch`` for one model's fields."""

    def __init__(self, fields: Sequence[FieldSpec]) -> None:
        self._names = [field.name for field in fields]
        self._single: msgspec.json.Decoder[Any] | None = None
        try:
            row = _row_type(fields)
        except ValueError:  # a name with a quote or a backslash in it: msgspec takes none
            return
        single = msgspec.defstruct(
            "Single", [("features", row), ("event_time", _Times, None)], forbid_unknown_fields=True, gc=False
        )
        batch = msgspec.defstruct(
            "Batch",
            [("rows", Annotated[list[row], Meta(min_length=1)]), ("event_time", _Times | list[int], None)],  # type: ignore[valid-type]
            forbid_unknown_fields=True,
            gc=False,
        )
        self._single, self._batch = msgspec.json.Decoder(single), msgspec.json.Decoder(batch)

    def single(self, body: bytes, now: int, required: bool) -> Columns | None:
        """The one row of ``body``; None where :func:`check` is to say what it is."""
        if self._single is None:
            return None
        try:
            content = self._single.decode(body)
        except (ValueError, RecursionError):
            return None
        at = _time(content.event_time, now, required)
        if at is None:
            return None
        values = msgspec.structs.astuple(content.features)
        return Columns(dict(zip(self._names, [[value] for value in values], strict=True)), [at])

    def batch(self, body: bytes, now: int, required: bool) -> Columns | None:
        """The rows of ``body``; None where :func:`check` is to say what they are."""
        if self._single is None:
            return None
        try:
            content: Any = self._batch.decode(body)
        except (ValueError, RecursionError):
            return None
        rows, given = content.rows, content.event_time
        if type(given) is list:
            times = _each(given, len(rows), now)
        else:
            at = _time(given, now, required)
            times = None if at is None else [at] * len(rows)
        if times is None:
            return None
        columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
        return Columns(dict(zip(self._names, map(list, columns), strict=True)), times)


class _Refused(Exception):
    """A time that is for :func:`check` to judge."""


def _refuse(*_: object) -> None:
    raise _Refused


def _time(given: int | str | None, now: int, required: bool) -> int | None:
    """One event time, ms; None where there is something to say of it."""
    if given is None:
        return None if required else now
    try:
        return times_of(given, 1, now, required, _refuse)[0]
    except _Refused:
        return None


def _each(given: list[int], n: int, now: int) -> list[int] | None:
    try:
        return times_of(given, n, now, True, _refuse)
    except _Refused:
        return None


def _row_type(fields: Sequence[FieldSpec]) -> type:
    """A struct with a field for each of the model's, required ones first; raises ``ValueError`` for odd names."""
    entries: list[Any] = []
    for i, field in enumerate(fields):
        kind = _type(field)
        entries.append((f"f{i}", Optional[kind], None) if field.optional else (f"f{i}", kind))  # noqa: UP045  made at run time
    return msgspec.defstruct(
        "Row",
        entries,
        rename={f"f{i}": field.name for i, field in enumerate(fields)},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def _type(field: FieldSpec) -> Any:
    if field.dtype == "float32":
        return _number(field)
    if field.dtype == "vector":
        return Annotated[list[_number(field)], Meta(min_length=field.length, max_length=field.length)]  # type: ignore[misc]
    if field.dtype == "int64":
        low, high = _INT64_MIN, _INT64_MAX
        if field.kind == "numeric":
            low = low if field.min is None else max(low, math.ceil(field.min))
            high = high if field.max is None else min(high, math.floor(field.max))
        return Annotated[int, Meta(ge=low, le=high)]
    return bool if field.dtype == "bool" else str


def _number(field: FieldSpec) -> Any:
    low = -FLOAT32_MAX if field.min is None else max(-FLOAT32_MAX, field.min)
    high = FLOAT32_MAX if field.max is None else min(FLOAT32_MAX, field.max)
    return Annotated[float, Meta(ge=float(low), le=float(high))]
