"""Records of ``predictions`` to cells, without a Python object a value where a column is numbers alone.

Guarantee: :meth:`Reader.read` takes and refuses what ``contracts.codec.decode`` does, for the same reasons, and
:func:`concatenate` gives each record the cells that its profile gives its columns, whatever its neighbours are.
simdjson copies an array of numbers from JSON to a buffer; what is not plainly of that kind goes the general way, and
so does every record that may have to be refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from contracts.codec import check_type, decode
from contracts.events import PredictionsMade, Value
from numpy.typing import NDArray
from summaries.categories import Categories
from summaries.cells import Cells
from summaries.codebook import Codebook
from summaries.profile import Field, Profile

try:
    import simdjson
except ImportError:  # a Python that it has no wheel for: slower, and the same
    simdjson = None  # type: ignore[assignment]

EXACT = 2.0**53  # below this, a double is the integer that it was read from
_PLAIN = {int, float, type(None)}
_READ = {"batch_id", "model", "version", "event_time", "features", "predictions", "probabilities"}
_OTHERS = set(PredictionsMade.__struct_fields__) - _READ  # null where a producer has none
Column = bytes | list[Any]  # a buffer of doubles, or the values


class Rows:
    """A record as its columns, which are of one length."""

    def __init__(
        self,
        value: bytes,
        texts: Sequence[str],
        event_time: list[int],
        features: dict[str, Column],
        predictions: Column,
        probabilities: dict[str, Column],
    ) -> None:
        self._value = value
        self.batch_id, self.model, self.version = texts
        self.event_time = event_time
        self.features = features
        self.predictions = predictions
        self.probabilities = probabilities

    @cached_property
    def exact(self) -> PredictionsMade:
        """The event itself, with integers where integers were written."""
        return decode(PredictionsMade, self._value)


Event = Rows | PredictionsMade


class Record(NamedTuple):
    """A record of ``predictions``, read."""

    partition: int
    offset: int
    event: Event


class Batch(NamedTuple):
    """Records of one version, and by monitored name the cells of their rows, one record after the other."""

    records: list[Record]
    cells: dict[str, NDArray[np.int64]]
    columns: dict[str, list[Column | None]]  # each record's; None where it has no such column

    def values(self, name: str, rows: NDArray[np.intp]) -> list[Value]:
        """What a monitored column holds in these rows, 5.0 where 5 was written: as a category it is the same."""
        sizes = [len(record.event.event_time) for record in self.records]
        starts = np.cumsum([0, *sizes])
        records = starts.searchsorted(rows, side="right") - 1
        lists = {at: _values(self.columns[name][at], sizes[at]) for at in set(records.tolist())}
        places = (rows - starts[records]).tolist()
        return [lists[at][place] for at, place in zip(records.tolist(), places, strict=True)]


class Reader:
    """Reads records. ``fast`` False: as where simdjson is not installed."""

    def __init__(self, fast: bool = True) -> None:
        # Any: to its stubs an array, which has as_buffer, is like any other value. What has none raises below.
        self._parser: Any = simdjson.Parser() if fast and simdjson is not None else None

    def read(self, value: bytes | None, headers: Iterable[tuple[str, bytes]] | None = None) -> Event:
        """The event in a record's value; raises :class:`contracts.codec.Unreadable`."""
        if value is None or self._parser is None:
            return decode(PredictionsMade, value, headers)
        check_type(PredictionsMade, headers)
        rows = None
        try:
            rows = self._rows(value)
        except (ValueError, TypeError, LookupError, AttributeError):
            pass  # not plainly columns of numbers and text
        except (
            RuntimeError
        ):  # simdjson's word for what it has no better one for; its objects may still be about
            self._parser = simdjson.Parser()
        return decode(PredictionsMade, value) if rows is None else rows

    def _rows(self, value: bytes) -> Rows | None:
        """The record's columns; None, or an exception, where the general way has to say what it is."""
        if not value.startswith(b"{"):  # simdjson would skip a byte order mark
            return None
        event = self._parser.parse(value)
        names = list(event)
        if len(set(names)) != len(names):  # of two equal names simdjson takes the first, msgspec the last
            return None
        if any(event[name] is not None for name in _OTHERS.intersection(names)):
            return None
        texts = [event["batch_id"], event["model"], event["version"]]
        times = event["event_time"].as_buffer(of_type="i")
        n = times.size // 8
        features = _read_columns(event["features"], n)
        predictions = _read_column(event["predictions"], n)
        given = event["probabilities"] if "probabilities" in names else None
        probabilities = {} if given is None else _read_columns(given, n)
        # As many brackets as columns: no column holds an array, which simdjson would flatten, or an object.
        if value.count(b"[") != 2 + len(features) + len(probabilities):
            return None
        if value.count(b"{") != (2 if given is None else 3) or not all(type(text) is str for text in texts):
            return None
        if isinstance(predictions, list) and None in predictions:
            return None
        if any(isinstance(column, list) for column in probabilities.values()):
            return None
        return Rows(value, texts, memoryview(times).cast("q").tolist(), features, predictions, probabilities)


def concatenate(records: Sequence[Record], profile: Profile) -> Batch:
    """The cells of records of one version; raises ``ValueError`` where a value does not fit the profile."""
    batch = Batch(list(records), {}, {})
    events = [record.event for record in records]
    sizes = [len(event.event_time) for event in events]
    for fields, of in ((profile.features, _features), (profile.outputs, _outputs)):
        for field in fields:
            if isinstance(field.reference, Codebook):
                batch.cells.update(_placed(field, events, sizes))
                continue
            columns = of(events, field.name)
            numbers = _numbers(field, columns, sizes)
            if numbers is not None:
                cells = field.index(numbers)
            else:
                if any(not isinstance(column, list | None) for column in columns):
                    columns = of([e.exact if isinstance(e, Rows) else e for e in events], field.name)
                lists = [_values(column, n) for column, n in zip(columns, sizes, strict=True)]
                # Cells see a column as one type: a record that has another must not change its neighbours'.
                whole = lists if isinstance(field.reference, Cells) else [list(chain.from_iterable(lists))]
                cells = np.concatenate([field.index(values) for values in whole])
            if len(cells) != sum(sizes):
                raise ValueError(f"{field.name}: {len(cells)} values in a batch of {sum(sizes)}")
            batch.cells[field.name], batch.columns[field.name] = cells, columns
    return batch


def _features(events: Sequence[Event], name: str) -> list[Column | None]:
    return [event.features.get(name) for event in events]


def _placed(field: Field, events: Sequence[Event], sizes: list[int]) -> dict[str, NDArray[np.int64]]:
    """The cells of a text or a vector, those of its parts too, by monitored name."""
    values: list[Any] = []
    for event, n in zip(events, sizes, strict=True):
        written = event.exact if isinstance(event, Rows) else event
        of = written.features if field.spec.dtype == "text" else written.vectors or {}
        values.extend(of.get(field.name) or [None] * n)
    placed = field.place(values)
    for name, cells in placed.items():
        if len(cells) != sum(sizes):
            raise ValueError(f"{name}: {len(cells)} values in a batch of {sum(sizes)}")
    return placed


def _outputs(events: Sequence[Event], name: str) -> list[Column | None]:
    kind, _, label = name.partition(":")
    if kind == "probability":
        return [(event.probabilities or {}).get(label) for event in events]
    return [event.predictions for event in events]


def _numbers(field: Field, columns: list[Column | None], sizes: list[int]) -> NDArray[np.float64] | None:
    """All records' column, NaN where a value is missing; None where doubles would not say the same as its values."""
    reference = field.reference
    if not isinstance(reference, Cells | Categories):
        return None
    gaps = (
        isinstance(reference, Cells) and reference.dtype != "int64"
    )  # NaN is missing there, however it came
    parts: list[Any] = []
    for column, n in zip(columns, sizes, strict=True):
        if column is not None and not isinstance(column, list):
            parts.append(column)
        elif not gaps or not set(map(type, column or ())) <= _PLAIN:
            return None
        elif column is None:
            parts.append(np.full(n, np.nan))
        else:
            try:
                parts.append(np.array(column, dtype=np.float64))
            except OverflowError:
                return None
    numbers = np.frombuffer(b"".join(parts))
    return None if (np.abs(numbers) >= EXACT).any() else numbers


def _values(column: Column | None, n: int) -> list[Value]:
    """A column of ``n`` rows as its values."""
    if column is None:
        return [None] * n
    return column if isinstance(column, list) else np.frombuffer(column).tolist()


def _read_columns(group: Any, n: int) -> dict[str, Column]:
    names = list(group)
    columns = {name: _read_column(group[name], n) for name in names}
    if len(columns) != len(names):
        raise ValueError("a name twice")
    return columns


def _read_column(array: Any, n: int) -> Column:
    """simdjson's array of ``n`` values: a buffer where all are numbers."""
    if n and type(array[0]) is not str:
        try:
            numbers = array.as_buffer(of_type="d")
        except TypeError:
            pass
        else:
            if numbers.size != 8 * n:
                raise ValueError("another length")
            return numbers  # type: ignore[no-any-return]
    if len(array) != n:
        raise ValueError("another length")
    return array.as_list()  # type: ignore[no-any-return]
