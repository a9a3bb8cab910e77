"""A request's rows, checked against the served model's fields, as columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from summaries.profile import FieldSpec

MAX_ERRORS = 20
FUTURE_MS = 5 * 60_000  # the default of ATALAIA_GRACE_MS covers it: so fast a clock closes no window early
SECONDS_BELOW = 10**11  # ms: a smaller number is from before 1973-03-03, or of our days and in seconds
_INT64 = 2**63
_DOUBLE_WHOLE = 2**53
FLOAT32_MAX = 3.4028234663852886e38


class TooLarge(ValueError):
    """More than can be taken; the message says what, and how much may be."""


class Invalid(ValueError):
    """A request that is refused whole; ``errors`` names each field and what is wrong with it, the first 20."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        self.errors = [error | {"field": _written(error["field"])} for error in errors[:MAX_ERRORS]]
        first = self.errors[0]
        super().__init__(f"{first['field']}: {first['message']}")


@dataclass(frozen=True)
class Columns:
    """N checked rows: ``features[name] [N]``, vectors among them, and ``event_time [N]`` (ms)."""

    features: dict[str, list[Any]]
    event_time: list[int]

    def part(self, start: int, end: int) -> Columns:
        """Rows ``start`` to ``end``."""
        return Columns(
            {name: column[start:end] for name, column in self.features.items()}, self.event_time[start:end]
        )

    @staticmethod
    def merged(parts: Sequence[Columns]) -> Columns:
        """The rows of all parts, in order; they have the same fields."""
        if len(parts) == 1:
            return parts[0]
        features = {
            name: list(chain.from_iterable([part.features[name] for part in parts]))
            for name in parts[0].features
        }
        return Columns(features, list(chain.from_iterable([part.event_time for part in parts])))


def value_error(field: FieldSpec, value: Any) -> str | None:
    """What is wrong with a value of a field; None where nothing is."""
    if value is None:
        return None if field.optional else "must not be null"
    kind = type(value)
    if field.dtype == "vector":
        return _vector_error(field, value)
    if field.dtype == "float32":
        if kind is not float and kind is not int:
            return f"must be a number, not {_called(value)}"
        if kind is float and not math.isfinite(value):  # an integer may be too large to be asked
            return "must be finite"
        if abs(value) > FLOAT32_MAX:
            return "is too large for a 32-bit float"
    elif field.dtype == "int64":
        if kind is not int and not _whole(value):
            return f"must be an integer, not {_called(value)}"
        if not -_INT64 <= value < _INT64:
            return "is too large for a 64-bit integer"
    elif field.dtype == "bool":
        if kind is not bool:
            return f"must be true or false, not {_called(value)}"
    elif kind is not str:
        return f"must be a string, not {_called(value)}"
    elif not value.isascii() and not is_text(value):
        return "must be text: half a surrogate pair is none"
    if field.kind == "numeric":
        if field.min is not None and value < field.min:
            return f"must be at least {field.min:g}{_unit(field)}"
        if field.max is not None and value > field.max:
            return f"must be at most {field.max:g}{_unit(field)}"
    return None


def is_text(value: str) -> bool:
    """Whether a string can be written: Python's json reads half a surrogate pair, which is no character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _written(name: str) -> str:
    """A name that the answer can hold, whatever the request called it."""
    return name.encode(errors="backslashreplace").decode()


def _vector_error(field: FieldSpec, value: Any) -> str | None:
    """A list of finite numbers, as many as declared, each within the range."""
    if type(value) is not list:
        return f"must be an array of {field.length} numbers, not {_called(value)}"
    if len(value) != field.length:
        return f"must hold {field.length} numbers, not {len(value)}"
    number = FieldSpec(field.name, "float32", unit=field.unit, min=field.min, max=field.max)
    for i, entry in enumerate(value):
        message = value_error(number, entry)
        if message:
            return f"number {i + 1} {message}"
    return None


def _whole(value: Any) -> bool:
    """Whether a float is an integer, as JSON Schema has it (2020-12, 6.1.1), and one that a double tells from others."""
    return type(value) is float and value.is_integer() and abs(value) <= _DOUBLE_WHOLE


def canonical(field: FieldSpec, value: Any) -> Any:
    """A checked value as all later readers see it: a number is a float, whether or not it came with a point."""
    if value is None:
        return None
    if field.dtype == "float32":
        return float(value)
    if field.dtype == "vector":
        return [float(entry) for entry in value]
    return int(value) if field.dtype == "int64" else value


def _unit(field: FieldSpec) -> str:
    return f" {field.unit}" if field.unit else ""


def _called(value: Any) -> str:
    names = {
        bool: "a boolean",
        str: "a string",
        float: "a number",
        int: "an integer",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def check(
    rows: Sequence[Any],
    event_time: Any,
    fields: Sequence[FieldSpec],
    *,
    now: int,
    required: bool,
    single: bool,
) -> Columns:
    """The rows as columns; raises :class:`Invalid` naming every field that is wrong (the first 20).

    ``event_time``: ISO 8601 or ms, one for all rows or one each; ``now`` (ms) where it is absent and may be.
    """
    errors: list[dict[str, Any]] = []

    def wrong(row: int, field: str, message: str) -> None:
        errors.append({"field": field, "message": message} | ({} if single else {"row": row}))
        if len(errors) == MAX_ERRORS:  # no more are told: a body of millions is not read to its end for them
            raise Invalid(errors)

    if not rows:
        raise Invalid([{"field": "rows", "message": "must hold at least one row"}])
    features: dict[str, list[Any]] = {field.name: [] for field in fields}
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            wrong(i, "features" if single else "rows", f"must be an object, not {_called(row)}")
            continue
        known = 0
        for field in fields:
            name = field.name
            if name in row:
                known += 1
                value = row[name]
                message = value_error(field, value)
                if message:
                    wrong(i, name, message)
                else:
                    features[name].append(canonical(field, value))
            elif field.optional:
                features[name].append(None)
            else:
                wrong(i, name, "is missing")
        if known != len(row):
            for name in row:
                if name not in features:
                    wrong(i, str(name), "is not a feature of this model")
    times = times_of(event_time, len(rows), now, required, wrong)
    if errors:
        raise Invalid(errors)
    return Columns(features, times)


def times_of(
    given: Any, n: int, now: int, required: bool, wrong: Callable[[int, str, str], None]
) -> list[int]:
    """Event times [n], ms; ``wrong(row, field, message)`` is told of each that is none."""
    if given is None:
        if required:
            wrong(0, "event_time", "is required by this project")
        return [now] * n
    each = given if isinstance(given, list) else [given]
    if len(each) not in (1, n) or (isinstance(given, list) and len(each) != n):
        wrong(0, "event_time", f"has {len(each)} entries for {n} rows")
        return [now] * n
    found = []
    for i, value in enumerate(each):
        at = parse_time(value)
        if at is None:
            wrong(i, "event_time", "must be an ISO 8601 time with offset, or milliseconds since 1970")
        elif at < SECONDS_BELOW and type(value) is not str:
            wrong(i, "event_time", "looks like seconds since 1970; milliseconds are expected")
        elif at > now + FUTURE_MS:
            wrong(i, "event_time", "is more than five minutes in the future")
        else:
            found.append(at)
    return found * n if len(each) == 1 and n > 1 else found


def parse_time(value: Any) -> int | None:
    """Milliseconds of an ISO 8601 text with offset or of a whole number of ms; None where it is neither."""
    if (type(value) is int or _whole(value)) and 0 <= value < 2**53:
        return int(value)
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return None
        if at.tzinfo is not None and at.timestamp() >= 0:
            return round(at.timestamp() * 1000)
    return None
