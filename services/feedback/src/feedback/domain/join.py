"""The join of predictions with their truth, in any order of arrival.

Guarantees: what is joined, and each correction's place among the outcomes of its id, depends only on the
records, not on how the two topics interleaved. Distinct labelled ids = joined + held + unknown +
expired_labelled, and predicted rows = joined + pending + expired.

A label belongs to its prediction while ``label_time < event_time + horizon``, whenever it is read. Once a
boundary ``event_time + horizon`` is decided, unlabelled rows count as expired and held truths as unknown.
Encoded predictions are kept for one horizon more, so that a label merely uploaded late still joins.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from contracts.codec import Unreadable, decode, prediction_id
from contracts.events import GroundTruthReceived, PredictionsMade

from feedback.domain.timeline import Known, Timeline, insert, same

_ID = re.compile(r"[0-9a-f]{32}\.[0-9]{1,6}")


class Batch(msgspec.Struct):
    """One record of ``predictions`` as it waits for labels: encoded, because most rows are needed once."""

    batch_id: str
    serial: int
    value: bytes
    rows: int
    latest: int
    labels: dict[int, Timeline]
    revisions: dict[int, int]
    late: set[int] | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """A row whose truth became known or changed; ``revision`` is None where the one that stands did not."""

    made: PredictionsMade
    row: int
    before: Timeline
    after: Timeline
    revision: int | None

    @property
    def prediction_id(self) -> str:
        """The row's opaque id."""
        return prediction_id(self.made.batch_id, self.row)


class Join:
    """Predictions by batch, and labels on each row; what has no prediction yet is held."""

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        self._batches: dict[str, Batch] = {}
        self._held: dict[str, dict[int, list[Known]]] = {}
        self._unknown: set[str] = set()
        self._due: list[tuple[int, int, Batch]] = []  # when a batch's unlabelled rows expire
        self._drop: list[tuple[int, int, Batch]] = []  # when its encoded record is let go
        self._held_due: list[tuple[int, str, int]] = []
        self.predicted = self.joined = self.expired = self.held = self.expired_labelled = 0
        self.duplicates = self.corrections = self.superseded = self.repeated_batches = (
            self.labelled_distinct
        ) = 0

    @property
    def unknown(self) -> int:
        """Distinct labelled ids that nothing was predicted for, as the horizon or the batch showed."""
        return len(self._unknown)

    @property
    def pending(self) -> int:
        """Predicted rows that wait for their truth."""
        return self.predicted - self.joined - self.expired

    def predict(self, made: PredictionsMade, value: bytes) -> list[Joined] | None:
        """Take a batch; returns the rows whose truth was held already, None where the batch is known."""
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
            {},
        )
        self._batches[made.batch_id] = batch
        self.predicted += batch.rows
        heapq.heappush(self._due, (batch.latest + self.horizon, batch.serial, batch))
        held = self._held.pop(made.batch_id, None)
        if not held:
            return []
        self.held -= len(held)
        self.labelled_distinct -= len(held)
        return self._join(
            batch, made, [(row, known) for row, all_known in held.items() for known in all_known]
        )

    def label(self, offset: int, event: GroundTruthReceived) -> list[Joined]:
        """Take one upload's labels; raises ``Unreadable``, and changes nothing, where an id is malformed."""
        match = _ID.fullmatch
        for text in event.prediction_id:
            if not match(text):
                raise Unreadable(f"{text[:80]!r} is not a prediction_id")
        by_batch: dict[str, list[tuple[int, Known]]] = {}
        for text, truth, label_time in zip(event.prediction_id, event.truth, event.label_time, strict=True):
            by_batch.setdefault(text[:32], []).append((int(text[33:]), Known(truth, label_time, offset)))
        changed: list[Joined] = []
        for batch_id, labels in by_batch.items():
            batch = self._batches.get(batch_id)
            if batch is None:
                self._hold(batch_id, labels)
            elif not batch.value:
                for row, _ in labels:
                    self._too_late(batch, row)
            else:
                changed += self._join(batch, decode(PredictionsMade, batch.value), labels)
        return changed

    def _join(self, batch: Batch, made: PredictionsMade, labels: Iterable[tuple[int, Known]]) -> list[Joined]:
        changed: list[Joined] = []
        for row, known in labels:
            if row >= batch.rows:
                self._never_predicted(prediction_id(batch.batch_id, row))
                continue
            if known.label_time >= made.event_time[row] + self.horizon:
                self._too_late(batch, row)
                continue
            before = batch.labels.get(row, ())
            after = insert(before, known)
            if after is before:
                self.duplicates += 1
                continue
            batch.labels[row] = after
            revision: int | None = None
            if not before:
                revision = 0
                self._first(batch, row)
            elif not same(before[-1].truth, after[-1].truth):
                revision = batch.revisions[row] = batch.revisions.get(row, 0) + 1
                self.corrections += 1
            elif after[-1] is known:
                self.duplicates += 1  # the truth that stands, said again
            else:
                self.superseded += 1  # older than the truth that stands
            changed.append(Joined(made, row, before, after, revision))
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
            self.superseded += 1
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

    def _hold(self, batch_id: str, labels: Iterable[tuple[int, Known]]) -> None:
        for row, known in labels:
            if self._unknown and prediction_id(batch_id, row) in self._unknown:
                self.duplicates += 1
                continue
            rows = self._held.setdefault(batch_id, {})
            if row not in rows:
                self.held += 1
                self.labelled_distinct += 1
            rows.setdefault(row, []).append(known)
            heapq.heappush(self._held_due, (known.label_time + self.horizon, batch_id, row))

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
            rows = self._held.get(batch_id, {})
            if row in rows and max(k.label_time for k in rows[row]) + self.horizon <= boundary:
                del rows[row]
                if not rows:
                    del self._held[batch_id]
                self.held -= 1
                self._unknown.add(prediction_id(batch_id, row))

    def state(self, text: str) -> dict[str, Any]:
        """What is known of one id: pending, joined, unknown or expired."""
        batch_id, row = text[:32], int(text[33:])
        batch = self._batches.get(batch_id)
        if batch is None or row >= batch.rows:
            held = self._held.get(batch_id, {}).get(row)
            return (
                _said("pending", max(held, key=lambda k: (k.label_time, k.offset)))
                if held
                else {"state": "unknown"}
            )
        if known := batch.labels.get(row):
            return _said("joined", known[-1]) | {"revision": batch.revisions.get(row, 0)}
        late = batch.late is not None and row in batch.late
        return {"state": "expired" if late or batch.expired else "pending"}

    def counts(self) -> dict[str, int]:
        """The figures of the invariants above."""
        names = ("predicted", "joined", "pending", "unknown", "expired", "duplicates", "corrections")
        more = ("labelled_distinct", "held", "expired_labelled", "superseded", "repeated_batches")
        return {name: int(getattr(self, name)) for name in (*names, *more)}


def is_prediction_id(text: str) -> bool:
    """Whether ``text`` has the form of a prediction_id."""
    return _ID.fullmatch(text) is not None


def _said(state: str, known: Known) -> dict[str, Any]:
    return {"state": state, "truth": known.truth, "label_time": known.label_time}
