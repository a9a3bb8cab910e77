"""What a caller gets for its rows, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from contracts.codec import prediction_id
from contracts.events import Label

from predictor.domain.record import MAX_RECORD_ROWS

_encoder = msgspec.json.Encoder()
_SUFFIXES = [prediction_id("", row) for row in range(MAX_RECORD_ROWS)]
_OWN = ("model", "version", "prediction_id", "probabilities")


@dataclass(frozen=True, slots=True)
class Scored:
    """A record's rows as they were scored: predictions [N] and probabilities by class [N]."""

    batch_id: str
    predictions: list[Label]
    probabilities: dict[str, list[float]] | None


@dataclass(frozen=True, slots=True)
class Part:
    """``count`` rows of a record, from its row ``first``."""

    scored: Scored
    first: int
    count: int

    @property
    def span(self) -> slice:
        """Where its rows are among the record's."""
        return slice(self.first, self.first + self.count)

    @property
    def ids(self) -> list[str]:
        """``prediction_id`` [count], without a call for each."""
        batch = self.scored.batch_id
        return [batch + suffix for suffix in _SUFFIXES[self.span]]


class Form:
    """How a model's answers look: the target under its own name, probabilities by class."""

    def __init__(self, name: str, version: str, target: str, classes: list[str] | None) -> None:
        self.name, self.version, self.target, self.classes = name, version, target, classes or []
        self.head = _encoder.encode({"model": name, "version": version})[:-1] + b","
        try:
            if target in _OWN:
                raise ValueError(target)
            self._row: Any = msgspec.defstruct(
                "Row", [("i", str), ("t", Any), ("p", Any, msgspec.UNSET)], gc=False,
                rename={"i": "prediction_id", "t": target, "p": "probabilities"},
            )  # fmt: skip
            self._chances: Any = msgspec.defstruct(
                "Chances", [(f"c{i}", float) for i in range(len(self.classes))], gc=False,
                rename={f"c{i}": str(name) for i, name in enumerate(self.classes)},
            )  # fmt: skip
        except ValueError:  # a name with a quote in it, or one of ours: no type can have it
            self._row = None

    def rows(self, parts: list[Part]) -> list[Any]:
        """The rows of ``parts``, each ready to be written as JSON."""
        found: list[Any] = []
        for part in parts:
            ids, span = part.ids, part.span
            predictions = part.scored.predictions[span]
            of = part.scored.probabilities
            chances = None if of is None else [of[name][span] for name in self.classes]
            if self._row is None:
                found += self._as_dicts(ids, predictions, chances)
            elif chances is None:
                found += map(self._row, ids, predictions)
            else:
                found += map(self._row, ids, predictions, map(self._chances, *chances))
        return found

    def _as_dicts(
        self, ids: list[str], predictions: list[Label], chances: list[list[float]] | None
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [
            {"prediction_id": i, self.target: p} for i, p in zip(ids, predictions, strict=True)
        ]
        if chances is not None:
            for row, values in zip(rows, zip(*chances, strict=True), strict=True):
                row["probabilities"] = dict(zip(self.classes, values, strict=True))
        return rows


@dataclass(frozen=True, slots=True)
class Answer:
    """N rows' ids, predictions and probabilities, in parts: a record each."""

    form: Form
    parts: list[Part]

    @property
    def ids(self) -> list[str]:
        """``prediction_id`` [N]."""
        return [name for part in self.parts for name in part.ids]

    @property
    def predictions(self) -> list[Label]:
        """Predictions [N]."""
        return [v for p in self.parts for v in p.scored.predictions[p.span]]

    @property
    def probabilities(self) -> dict[str, list[float]] | None:
        """Probabilities by class [N]; None where the model gives none."""
        if any(p.scored.probabilities is None for p in self.parts):
            return None
        return {
            name: [v for p in self.parts for v in (p.scored.probabilities or {})[name][p.span]]
            for name in self.form.classes
        }

    def single(self) -> bytes:
        """The JSON of the only row, with the version that scored it."""
        (row,) = self.form.rows(self.parts)
        if type(row) is dict:
            return _encoder.encode({"model": self.form.name, "version": self.form.version, **row})
        return self.form.head + _encoder.encode(row)[1:]

    def batch(self) -> bytes:
        """The JSON of all rows, with the version that scored them."""
        rows = _encoder.encode(self.form.rows(self.parts))
        return b'%b"predictions":%b}' % (self.form.head, rows)
