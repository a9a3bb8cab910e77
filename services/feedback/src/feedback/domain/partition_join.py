"""The join of one partition's predictions with their truth, in any order of arrival, with its state on disk.

Guarantees: what is joined, and each correction's place among the outcomes of its id, depends only on the records, not
on how the two topics interleaved; :mod:`feedback.domain.truth` says which label stands. The counts add up as
:class:`feedback.domain.counts.Counts` says. In memory is what was taken since the last commit, and nothing else.

A label belongs to its prediction while ``label_time < event_time + horizon``, whenever it is read. Once a boundary
``event_time + horizon`` is decided, unlabelled rows count as expired and held truths as unknown. A batch is kept for one
horizon more, so that a label merely uploaded late still joins; then its rows and labels are deleted, and what comes for
it is too late. That a batch was there is remembered a while longer (:mod:`feedback.domain.floors`); afterwards it may come
again, and a label for it is held, and unknown one horizon after its label_time. So is one for what was never predicted,
and unknown ids are remembered for one horizon more: a second label for one is a duplicate. A label from the future is not
waited for: it goes with those that were uploaded after it (:mod:`feedback.domain.floors`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import compress
from operator import ge
from typing import Any

import msgspec
from contracts.codec import prediction_id
from contracts.events import GroundTruthReceived, PredictionsMade

from feedback.domain.batches import Batch, Batches
from feedback.domain.blocks import row_of
from feedback.domain.checks import Labels, Refused, check_batch, check_labels
from feedback.domain.counts import Counts
from feedback.domain.floors import Floors
from feedback.domain.held import Held, Rowless
from feedback.domain.joining import join, standing
from feedback.domain.keys import ROW, WAITED
from feedback.domain.rows import Joined, encode_rows, shape_of
from feedback.domain.stand import Stand, read_stand, write_stand
from feedback.domain.store import Overlay, Store, StoreLost
from feedback.domain.truth import Known

_ALWAYS = -(2**62)  # before every event time
_BLOCKS = 256  # of rows that are in memory at once
_SWEEP = 10_000  # batches and labels that are deleted with a commit


class Predicted(msgspec.Struct):
    """What came of records of ``predictions``.

    ``taken`` are batches not seen before, ``released`` their rows whose truth was held, and ``refused`` the offsets of
    records that no outcome can be made of, each with the reason. A batch without rows is in none of them.
    """

    taken: list[tuple[int, PredictionsMade]]
    released: list[Joined]
    refused: list[tuple[int, str]]


class Labelled(msgspec.Struct):
    """What came of records of ``ground-truth``: joined rows as the labels came, and refused records' offsets."""

    joined: list[Joined]
    refused: list[tuple[int, str]]


class PartitionJoin:
    """Predictions and labels of one partition; nothing is in ``store`` before :meth:`commit`.

    ``horizon`` is in milliseconds of event time. ``counts`` are those that the last holder handed over; without them
    the store's own hold. A store of another horizon or layout is emptied. Records are taken as they are given: whoever
    gives them passes over those before ``positions``.
    """

    def __init__(self, store: Store, horizon: int, *, counts: Mapping[str, int] | None = None) -> None:
        self._overlay = Overlay(store)
        self.horizon = horizon
        self._aside: Counts | None = None  # the counts, while others are taken that do not count
        self._begin(read_stand(self._overlay, horizon))
        if counts is not None:
            self._stand.counts = Counts.of(counts)

    @property
    def positions(self) -> dict[str, int]:
        """By topic, the offset of the next record to be taken."""
        return {"predictions": self._stand.predictions, "ground-truth": self._stand.ground_truth}

    @property
    def counts(self) -> Counts:
        """What became of the rows and labels taken so far."""
        return self._stand.counts if self._aside is None else self._aside

    @property
    def decided(self) -> int | None:
        """The last boundary that :meth:`expire` was given. Who hands counts over hands this over with them: the rows that
        expire between it and a later boundary are not among these counts, and :meth:`rebuild` counts nothing.
        """
        return self._stand.decided

    def predict(self, records: Sequence[tuple[int, PredictionsMade, int]]) -> Predicted:
        """Take records of ``predictions``: (offset, event, encoded size), in order."""
        result = Predicted([], [], [])
        checked: list[tuple[int, PredictionsMade, bytes, list[bytes]]] = []
        for offset, made, size in records:
            try:
                checked.append((offset, made, check_batch(made, size), encode_rows(offset, made)))
            except Refused as error:
                result.refused.append((offset, str(error)))
        values = self._batches.values(id_ for _, _, id_, _ in checked)
        batches = {id_: self._batches.get(value) for id_, value in values.items()}
        for offset, made, id_, rows in checked:
            batch = batches[id_]
            if batch is not None:
                self._floors.add_repeated(batch.offset, offset)
                self._stand.counts.repeated_batches += 1
                continue
            latest = max(made.event_time, default=0)
            batches[id_] = batch = self._batches.add(id_, offset, shape_of(made), latest, rows)
            self._floors.add_batch(offset, id_, latest)
            if rows:
                result.taken.append((offset, made))
            value = values[id_]
            if value is not None and value[:1] == WAITED:
                result.released += self._release(id_, value, batch, rows)
        if records:
            self._stand.predictions = records[-1][0] + 1
        return result if self._aside is None else Predicted([], [], [])

    def label(self, records: Sequence[tuple[int, GroundTruthReceived]]) -> Labelled:
        """Take records of ``ground-truth``: (offset, event), in order."""
        labels, refused = check_labels(records)
        joined = self._label(labels) if labels.ids else []
        if records:
            self._stand.ground_truth = records[-1][0] + 1
        return Labelled(joined, refused) if self._aside is None else Labelled([], [])

    def expire(self, decided: int) -> None:
        """A boundary is decided: give up what has waited for the whole horizon, forget what is two horizons old."""
        stand = self._stand
        if stand.decided is not None and decided <= stand.decided:
            return
        self._held.expire(decided)
        self._batches.expire(decided)
        stand.decided = decided
        if self._aside is None:
            remembered = stand.oldest_label
            self._held.give_up(self._floors.advance(), remembered)

    @contextmanager
    def rebuild(self, needed: Mapping[str, int] | None = None, decided: int | None = None) -> Iterator[None]:
        """Within it records are taken silently: they make state, while counts stay and nothing is returned.

        ``needed`` and ``decided`` are what the last holder said beside its counts. ``positions`` then say where to
        read from: the store's own, or ``needed`` where the store has nothing, or is ahead of what is said. Where there
        is more to read than memory should hold, commit in between.
        """
        if needed is not None:
            self._begin_at(needed["predictions"], needed["ground-truth"], decided)
        self._aside, self._stand.counts = self._stand.counts, Counts()
        try:
            if decided is not None:
                self.expire(decided)
            yield
        finally:
            self._stand.counts, self._aside = self._aside, None

    def needed(self) -> dict[str, int]:
        """The offsets from which a new holder must read both topics to have the same state."""
        return {"predictions": self._stand.oldest_batch, "ground-truth": self._stand.oldest_label}

    def state(self, prediction_id: str) -> dict[str, Any]:
        """What is known of one id: pending, joined, unknown (or forgotten) or expired; ``ValueError`` if it is none."""
        key, row = bytes.fromhex(prediction_id[:32]), int(prediction_id[33:])
        batch = self._batches.get(self._batches.values([key])[key])
        if batch is None or row >= batch.rows:
            held, truth = self._held.state(key, row)
            return _said("pending", truth) if held and truth else {"state": "unknown"}
        if batch.latest <= self._stand.forgotten:
            return {"state": "unknown"}
        known = standing(self._overlay.get("labels", ROW(batch.offset, row)))
        if isinstance(known, Known):
            return _said("joined", known) | {"revision": known.revision}
        return {"state": "expired" if batch.expired or known is not None else "pending"}

    def commit(self, positions: Mapping[str, int]) -> None:
        """Write all that was taken since the last commit, and ``positions`` with it, in one step."""
        stand = self._stand
        stand.predictions = positions.get("predictions", stand.predictions)
        stand.ground_truth = positions.get("ground-truth", stand.ground_truth)
        self._floors.sweep(_SWEEP)
        self._held.sweep(_SWEEP)
        write_stand(stand, self.counts, self._overlay)
        self._overlay.write()

    # At the beginning

    def _begin(self, stand: Stand) -> None:
        self._stand = stand
        self._batches = Batches(self._overlay, stand)
        self._floors = Floors(self._overlay, stand)
        self._held = Held(self._overlay, stand)

    def _begin_at(self, predictions: int, ground_truth: int, decided: int | None) -> None:
        """Remember from the offsets on that another holder remembered from."""
        stand = self._stand
        is_ahead = stand.decided is not None and (decided is None or decided < stand.decided)
        if predictions < stand.oldest_batch or ground_truth < stand.oldest_label or is_ahead:
            self._overlay.clear()
            self._begin(Stand(horizon=self.horizon, counts=stand.counts))
        self._floors.raise_to(predictions, ground_truth)
        self._stand.predictions = max(self._stand.predictions, predictions)
        self._stand.ground_truth = max(self._stand.ground_truth, ground_truth)

    # Labels

    def _release(self, id_: bytes, value: bytes, batch: Batch, rows: Sequence[bytes]) -> list[Joined]:
        """Join what was held of a batch that has come; ``rows`` are encoded."""
        held, noted = self._held.release(id_, value, batch.rows, batch.latest)
        self._note([offset for offset, _ in noted], [time for _, time in noted], [batch] * len(noted))
        if batch.latest <= self._stand.forgotten:
            self._stand.counts.too_late += len(held)
            return []
        name, keys = id_.hex(), [ROW(batch.offset, label.row) for label in held]
        joined, changed = join(
            [
                (prediction_id(name, label.row), label.truth, label.time, label.offset, key, batch)
                for key, label in zip(keys, held, strict=True)
            ],
            {key: rows[label.row] for key, label in zip(keys, held, strict=True)},
            {},
            self.horizon,
            self._stand.counts,
        )
        self._overlay.put("labels", changed)
        return joined

    def _label(self, labels: Labels) -> list[Joined]:
        ids = {name: bytes.fromhex(name) for name in set(labels.batches)}
        values = self._batches.values(ids.values())
        batches = {name: self._batches.get(values[id_]) for name, id_ in ids.items()}
        found = [batches[name] for name in labels.batches]
        self._note(labels.offsets, labels.times, found)
        there = [batch for batch in found if batch is not None and batch.latest > self._stand.forgotten]
        if len(there) < len(found) or any(map(ge, labels.rows, [batch.rows for batch in there])):
            labels, there = self._set_apart(labels, found, ids, values)
        keys = [ROW(batch.offset, row) for batch, row in zip(there, labels.rows, strict=True)]
        unique = sorted(set(keys))
        rows = self._rows(keys, there, labels.rows)
        known = {
            key: standing(value)
            for key, value in zip(unique, self._overlay.get_many("labels", unique), strict=True)
            if value is not None
        }
        joined, changed = join(
            zip(labels.ids, labels.truths, labels.times, labels.offsets, keys, there, strict=True),
            rows,
            known,
            self.horizon,
            self._stand.counts,
        )
        self._overlay.put("labels", changed)
        return joined

    def _rows(
        self, keys: Sequence[bytes], batches: Sequence[Batch], numbers: Sequence[int]
    ) -> dict[bytes, Any]:
        """By key the encoded rows."""
        wanted: dict[bytes, list[tuple[bytes, int]]] = {}
        for key, batch, number in zip(keys, batches, numbers, strict=True):
            block = ROW(batch.offset, number >> batch.shift)
            wanted.setdefault(block, []).append((key, number & ((1 << batch.shift) - 1)))
        blocks = sorted(wanted)
        rows: dict[bytes, Any] = {}
        for at in range(0, len(blocks), _BLOCKS):
            part = blocks[at : at + _BLOCKS]
            for block, value in zip(part, self._overlay.get_many("rows", part), strict=True):
                if value is None:
                    raise StoreLost("rows are missing")
                for key, place in wanted[block]:
                    rows[key] = row_of(value, place)
        return rows

    def _note(self, offsets: Sequence[int], times: Sequence[int], batches: Sequence[Batch | None]) -> None:
        """Labels in the records at ``offsets`` belong to batches; those without one are noted when it comes."""
        found = [batch for batch in batches if batch is not None]
        if not found:
            return
        if len(found) < len(batches):
            there = [batch is not None for batch in batches]
            offsets, times = list(compress(offsets, there)), list(compress(times, there))
        latest = [batch.latest for batch in found]
        times = list(map(min, map(max, times, latest), [time + self.horizon for time in latest]))
        self._floors.add_labels(offsets, times, [batch.offset for batch in found])

    def _set_apart(
        self,
        labels: Labels,
        found: Sequence[Batch | None],
        ids: Mapping[str, bytes],
        values: Mapping[bytes, bytes | None],
    ) -> tuple[Labels, list[Batch]]:
        """Hold labels whose row is not there, count those whose row is forgotten; the others, and their batches."""
        there: list[Batch] = []
        chosen: list[bool] = []
        rowless: list[Rowless] = []
        for i, batch in enumerate(found):
            row = labels.rows[i]
            is_there = batch is not None and row < batch.rows
            if batch is not None and is_there and batch.latest > self._stand.forgotten:
                there.append(batch)
                chosen.append(True)
                continue
            chosen.append(False)
            if is_there:
                self._stand.counts.too_late += 1
                continue
            id_ = ids[labels.batches[i]]
            rowless.append(
                Rowless(id_, row, labels.truths[i], labels.times[i], labels.offsets[i], batch is not None)
            )
        self._held.add(rowless, values)
        return labels.where(chosen), there


def _said(state: str, known: Known) -> dict[str, Any]:
    return {"state": state, "truth": known.truth, "label_time": known.label_time}
