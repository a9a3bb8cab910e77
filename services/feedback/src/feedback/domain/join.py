"""The join of predictions with their truth, in any order of arrival.

Guarantees: what is joined, and each correction's place among the outcomes of its id, depends only on the
records, not on how the two topics interleaved; :mod:`feedback.domain.truth` says which label stands. Distinct
labelled ids = joined + held + unknown + expired_labelled, and predicted rows = joined + pending + expired.

A label belongs to its prediction while ``label_time < event_time + horizon``, whenever it is read. Once a
boundary ``event_time + horizon`` is decided, unlabelled rows count as expired and held truths as unknown.
Encoded predictions are kept for one horizon more, so that a label merely uploaded late still joins; an unknown
truth is kept, so that a prediction that comes after all finds what a restart would find.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from contracts.codec import Unreadable, decode, prediction_id
from contracts.events import GroundTruthReceived, Label, PredictionsMade

from feedback.domain.size import too_wide
from feedback.domain.truth import MAX_TRUTH, Known, take

MAX_NAME = 500  # characters of a model's or version's name
_TIMES = range(-(2**53), 2**53)  # ms that every reader of JSON can hold, and any sum of them
_INT64 = range(-(2**63), 2**63)
_ID = re.compile(r"[0-9a-f]{32}\.[0-9]{1,6}")


class Batch(msgspec.Struct):
    """One record of ``predictions`` as it waits for labels: encoded, because most rows are needed once."""

    batch_id: str
    serial: int
    value: bytes
    rows: int
    latest: int
    labels: dict[int, Known]
    late: set[int] | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """A row whose truth became known (``before`` is None) or was corrected."""

    made: PredictionsMade
    row: int
    before: Known | None
    after: Known

    @property
    def prediction_id(self) -> str:
        """The row's opaque id."""
        return prediction_id(self.made.batch_id, self.row)


class Join:
    """Predictions by batch, and labels on each row; what has no prediction yet is held."""

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        self._batches: dict[str, Batch] = {}
        self._held: dict[str, dict[int, list[tuple[Label, int]]]] = {}  # truth and label_time, as uploaded
        self._unknown: set[str] = set()
        self._due: list[tuple[int, int, Batch]] = []  # when a batch's unlabelled rows expire
        self._drop: list[tuple[int, int, Batch]] = []  # when its encoded record is let go
        self._held_due: list[tuple[int, str, int]] = []
        self.predicted = self.joined = self.expired = self.held = self.expired_labelled = 0
        self.duplicates = self.corrections = self.too_late = self.repeated_batches = 0
        self.labelled_distinct = 0

    @property
    def unknown(self) -> int:
        """Distinct labelled ids that nothing was predicted for, as the horizon or the batch showed."""
        return len(self._unknown)

    @property
    def pending(self) -> int:
        """Predicted rows that wait for their truth."""
        return self.predicted - self.joined - self.expired

    def predict(self, made: PredictionsMade, value: bytes) -> list[Joined] | None:
        """Take a batch; returns the rows whose truth was held already, None where the batch is known.

        Raises ``Unreadable``, and changes nothing, where no outcome could be made of it.
        """
        if len(made.batch_id) != 32:
            raise Unreadable(f"batch_id {made.batch_id[:80]!r} is not 32 hexadecimal digits")
        if max(len(made.model), len(made.version)) > MAX_NAME:
            raise Unreadable(f"a model or version has a name longer than {MAX_NAME} characters")
        if any(time not in _TIMES for time in made.event_time):
            raise Unreadable("an event_time does not fit 53 bits")
        if too_wide(made, len(value)):
            raise Unreadable("a row is too wide for an outcome")
        if made.batch_id in self._batches:
            self.repeated_batches += 1
            return None
        batch = Batch(
            made.batch_id,
            len(self._batches),
            value,
            len(made.event_time),
            max(made.event_time, default=0),
            {},
        )
        self._batches[made.batch_id] = batch
        self.predicted += batch.rows
        heapq.heappush(self._due, (batch.latest + self.horizon, batch.serial, batch))
        held = self._held.pop(made.batch_id, None)
        if not held:
            return []
        for row in held:
            text = prediction_id(made.batch_id, row)
            if text in self._unknown:
                self._unknown.discard(text)
            else:
                self.held -= 1
        self.labelled_distinct -= len(held)
        return self._join(batch, made, [(row, *given) for row, labels in held.items() for given in labels])

    def label(self, event: GroundTruthReceived) -> list[Joined]:
        """Take one upload's labels; raises ``Unreadable``, and changes nothing, where one is malformed."""
        by_batch: dict[str, list[tuple[int, Label, int]]] = {}
        for text, truth, label_time in zip(event.prediction_id, event.truth, event.label_time, strict=True):
            if not is_prediction_id(text):
                raise Unreadable(f"{text[:80]!r} is not a prediction_id")
            if (isinstance(truth, str) and len(truth) > MAX_TRUTH) or (
                isinstance(truth, int) and truth not in _INT64
            ):
                raise Unreadable(f"the truth of {text} does not fit {MAX_TRUTH} characters or 64 bits")
            if label_time not in _TIMES:
                raise Unreadable(f"the label_time of {text} does not fit 53 bits")
            by_batch.setdefault(text[:32], []).append((int(text[33:]), truth, label_time))
        changed: list[Joined] = []
        for batch_id, labels in by_batch.items():
            batch = self._batches.get(batch_id)
            if batch is None:
                self._hold(batch_id, labels)
            elif not batch.value:
                for row, *_ in labels:
                    self._too_late(batch, row)
            else:
                changed += self._join(batch, decode(PredictionsMade, batch.value), labels)
        return changed

    def _join(
        self, batch: Batch, made: PredictionsMade, labels: Iterable[tuple[int, Label, int]]
    ) -> list[Joined]:
        changed: list[Joined] = []
        for row, truth, label_time in labels:
            if row >= batch.rows:
                self._never_predicted(prediction_id(batch.batch_id, row))
                continue
            if label_time >= made.event_time[row] + self.horizon:
                self._too_late(batch, row)
                continue
            before = batch.labels.get(row)
            after = take(before, truth, label_time)
            if after is before:
                self.duplicates += 1
                continue
            batch.labels[row] = after
            if before is None:
                self._first(batch, row)
            else:
                self.corrections += 1
            changed.append(Joined(made, row, before, after))
        return changed

    def _first(self, batch: Batch, row: int) -> None:
        self.joined += 1
        if batch.expired:
            self.expired -= 1
        if batch.late and row in batch.late:
            batch.late.discard(row)
            self.expired_labelled -= 1
        else:
            self.labelled_distinct += 1

    def _too_late(self, batch: Batch, row: int) -> None:
        if row >= batch.rows:
            self._never_predicted(prediction_id(batch.batch_id, row))
        elif row in batch.labels or (batch.late and row in batch.late):
            self.too_late += 1
        else:
            batch.late = batch.late or set()
            batch.late.add(row)
            self.expired_labelled += 1
            self.labelled_distinct += 1

    def _never_predicted(self, text: str) -> None:
        if text in self._unknown:
            self.duplicates += 1
        else:
            self._unknown.add(text)
            self.labelled_distinct += 1

    def _hold(self, batch_id: str, labels: Iterable[tuple[int, Label, int]]) -> None:
        for row, truth, label_time in labels:
            rows = self._held.setdefault(batch_id, {})
            given = rows.setdefault(row, [])
            if not given:
                self.held += 1
                self.labelled_distinct += 1
            given.append((truth, label_time))
            if self._unknown and prediction_id(batch_id, row) in self._unknown:
                self.duplicates += 1
            else:
                heapq.heappush(self._held_due, (label_time + self.horizon, batch_id, row))

    def expire(self, boundary: int) -> None:
        """Give up, at a decided boundary, what has waited for the whole horizon."""
        while self._due and self._due[0][0] <= boundary:
            due, serial, batch = heapq.heappop(self._due)
            batch.expired = True
            self.expired += batch.rows - len(batch.labels)
            heapq.heappush(self._drop, (due + self.horizon, serial, batch))
        while self._drop and self._drop[0][0] <= boundary:
            heapq.heappop(self._drop)[2].value = b""
        while self._held_due and self._held_due[0][0] <= boundary:
            _, batch_id, row = heapq.heappop(self._held_due)
            given = self._held.get(batch_id, {}).get(row)
            text = prediction_id(batch_id, row)
            if given and text not in self._unknown and max(t for _, t in given) + self.horizon <= boundary:
                self.held -= 1
                self._unknown.add(text)

    def state(self, text: str) -> dict[str, Any]:
        """What is known of one id: pending, joined, unknown or expired."""
        batch_id, row = text[:32], int(text[33:])
        batch = self._batches.get(batch_id)
        if batch is None or row >= batch.rows:
            known: Known | None = None
            for truth, label_time in self._held.get(batch_id, {}).get(row, ()):
                known = take(known, truth, label_time)
            return {"state": "unknown"} if known is None or text in self._unknown else _said("pending", known)
        if known := batch.labels.get(row):
            return _said("joined", known) | {"revision": known.revision}
        late = batch.late is not None and row in batch.late
        return {"state": "expired" if late or batch.expired else "pending"}

    def counts(self) -> dict[str, int]:
        """The figures of the invariants above."""
        names = ("predicted", "joined", "pending", "unknown", "expired", "duplicates", "corrections")
        more = ("labelled_distinct", "held", "expired_labelled", "too_late", "repeated_batches")
        return {name: int(getattr(self, name)) for name in (*names, *more)}


def is_prediction_id(text: str) -> bool:
    """Whether ``text`` has the form of a prediction_id."""
    return _ID.fullmatch(text) is not None


def _said(state: str, known: Known) -> dict[str, Any]:
    return {"state": state, "truth": known.truth, "label_time": known.label_time}
