"""Labels without a row: their prediction has not come yet, never will, or is forgotten.

An id is *held* until the newest of its labels is a horizon old, then it is *unknown*, and so is at once a row that its
batch does not have. A newer label makes an unknown id held again. Of an unknown id's labels all but one are duplicates;
those of a held one are counted when it is joined or given up. So the counts depend on the labels and on the boundary
that is decided, not on which came first.

A label from far in the future would wait for ever. It is given up with the labels that were uploaded with it, by
:meth:`feedback.domain.floors.Floors.advance`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple

from contracts.events import Label

from feedback.domain.keys import NUMBER, OFFSET, TIME, WAITED, offset_key, time_key
from feedback.domain.stand import Stand
from feedback.domain.store import Overlay
from feedback.domain.truth import Known, take
from feedback.domain.waiting import Given, Head, Waiting


class Rowless(NamedTuple):
    """A label of a row that is not there; ``never``: its batch is, and has no such row."""

    batch: bytes
    row: int
    truth: Label
    time: int
    offset: int
    never: bool


class Held:
    """The labels without a row of one partition."""

    def __init__(self, overlay: Overlay, stand: Stand) -> None:
        self._overlay, self._stand = overlay, stand
        self._waiting = Waiting(overlay, stand)

    def add(self, labels: Iterable[Rowless], batches: Mapping[bytes, bytes | None]) -> None:
        """Take labels; ``batches`` are the values of their batches' keys."""
        given: dict[bytes, list[Rowless]] = {}
        for label in labels:
            given.setdefault(label.batch + NUMBER.pack(label.row), []).append(label)
        puts: dict[bytes, bytes | None] = {}
        waited: dict[bytes, bytes] = {}
        ids = sorted(given)
        for id_, head in zip(ids, self._waiting.heads(ids), strict=True):
            was_never, never = head is not None and head.never, given[id_][-1].never
            new = [(label.time, label.truth, label.offset) for label in given[id_]]
            self._count(id_, head, never, new)
            puts |= self._waiting.add(id_, head, never, new)
            for offset, some in groupby(new, itemgetter(2)):
                times = () if never else sorted({time for time, _, _ in some})
                puts[offset_key(b"x", offset) + id_] = b"".join(map(TIME.pack, times))
                puts.update({time_key(b"u", t) + id_: b"" for t in times if t > self._stand.given_up})
            if not never and (head is None or was_never):
                batch = id_[:16]
                before = waited.get(batch) or batches[batch]
                waited[batch] = (before if before and before[:1] == WAITED else WAITED) + id_[16:]
        puts.update((b"b" + batch, rows) for batch, rows in waited.items())
        self._overlay.put("index", puts)

    def release(
        self, batch: bytes, waited: bytes, rows: int, latest: int
    ) -> tuple[list[Rowless], list[tuple[int, int]]]:
        """What was held of a batch of so many ``rows`` that has come, as the labels came; ``waited``: its key's value.

        ``latest`` is its latest event time. Also the offset and time of all labels of the batch, in order, those of
        rows that it does not have included.
        """
        ids = sorted(batch + waited[i : i + 4] for i in range(1, len(waited), 4))
        puts: dict[bytes, bytes | None] = {}
        released: list[Rowless] = []
        noted: list[tuple[int, int]] = []
        for id_, head in zip(ids, self._waiting.heads(ids), strict=True):
            known = self._waiting.labels(id_, head)
            (row,) = NUMBER.unpack(id_[16:])
            is_there = row < rows
            noted += [(offset, time) for time, _, offset in known]
            for time, _, offset in known:
                puts[offset_key(b"x", offset) + id_] = None if is_there else b""
                if time >= latest + self._stand.horizon:  # no boundary may come that far
                    puts[time_key(b"u", time) + id_] = None
            if is_there:
                self._uncount(head, known)
                released += [Rowless(batch, row, truth, time, offset, False) for time, truth, offset in known]
                puts |= self._waiting.replace(id_, head, False, [])
            else:
                self._count(id_, head, True, [])
                puts |= self._waiting.replace(id_, head, True, known)
        self._overlay.put("index", puts)
        return sorted(released, key=lambda label: label.offset), sorted(noted)

    def state(self, batch: bytes, row: int) -> tuple[bool, Known | None]:
        """Whether an id is held, and the truth that its labels say."""
        id_ = batch + NUMBER.pack(row)
        (head,) = self._waiting.heads([id_])
        known = self._waiting.labels(id_, head)
        truth: Known | None = None
        for time, label, _ in known:
            truth = take(truth, label, time)
        return head is not None and self._is_held(head.never, known), truth

    def expire(self, until: int) -> None:
        """Count as unknown what becomes so where ``until`` is decided, which the caller notes afterwards."""
        start, stop = (
            time_key(b"u", self._stand.given_up + 1),
            time_key(b"u", until - self._stand.horizon + 1),
        )
        counts = self._stand.counts
        due: list[bytes] = []

        def count() -> None:
            ids = [key[9:] for key in due]
            order = sorted(range(len(ids)), key=ids.__getitem__)
            for i, head in zip(order, self._waiting.heads([ids[i] for i in order]), strict=True):
                newest = self._waiting.newest(ids[i], head)
                # Of an id's labels the newest decides, and its key is there once.
                if head and newest is not None and not head.never and time_key(b"u", newest) == due[i][:9]:
                    counts.held -= 1
                    counts.unknown += 1
                    counts.duplicates += len(self._waiting.labels(ids[i], head)) - 1
            due.clear()

        for key, _ in self._overlay.scan("index", start, stop):
            due.append(key)
            if len(due) >= 10_000:
                count()
        count()
        self._overlay.cut("index", start, stop)

    def give_up(self, ids: Iterable[bytes], start: int) -> None:
        """Count ids as unknown that are no longer held: labels from offset ``start`` on were forgotten too."""
        counts = self._stand.counts
        order = sorted(set(ids))
        for id_, head in zip(order, self._waiting.heads(order), strict=True):
            before = self._waiting.labels(id_, head, start)
            if head is None or not self._is_held(head.never, before):
                continue
            if not self._is_held(head.never, self._waiting.labels(id_, head)):
                counts.held -= 1
                counts.unknown += 1
                counts.duplicates += len(before) - 1

    def sweep(self, limit: int) -> None:
        """Delete at most ``limit`` of the labels that are forgotten."""
        if self._stand.swept_labels >= self._stand.oldest_label:
            return
        start, stop = (
            offset_key(b"x", offset) for offset in (self._stand.swept_labels, self._stand.oldest_label)
        )
        found = list(islice(self._overlay.scan("index", start, stop), limit))
        keys = [key for key, _ in found]
        ids = sorted({key[9:] for key in keys})
        puts: dict[bytes, bytes | None] = {}
        left: dict[bytes, set[bytes]] = {}
        remembered: set[tuple[bytes, int]] = set()
        for id_, head in zip(ids, self._waiting.heads(ids), strict=True):
            if head is None:
                continue
            known = self._waiting.labels(id_, head)
            remembered.update((id_, time) for time, _, _ in known)
            puts |= self._waiting.replace(id_, head, head.never, known)
            if not known:
                left.setdefault(id_[:16], set()).add(id_[16:])
        for key, times in found:
            for (time,) in TIME.iter_unpack(times):
                if time > self._stand.given_up and (key[9:], time) not in remembered:
                    puts[time_key(b"u", time) + key[9:]] = None
        batches = sorted(left)
        values = self._overlay.get_many("index", [b"b" + batch for batch in batches])
        for batch, waited in zip(batches, values, strict=True):
            if waited and waited[:1] == WAITED:
                rows = [waited[i : i + 4] for i in range(1, len(waited), 4)]
                rows = [row for row in rows if row not in left[batch]]
                puts[b"b" + batch] = WAITED + b"".join(rows) if rows else None
        self._overlay.put("index", puts)
        if len(keys) < limit:
            self._stand.swept_labels = self._stand.oldest_label
            self._overlay.cut("index", start, stop)
        else:
            (self._stand.swept_labels,) = OFFSET.unpack(keys[-1][1:9])
            self._overlay.cut("index", start, keys[-1] + b"\0")

    def _is_held(self, never: bool, known: list[Given]) -> bool:
        return not never and any(time > self._stand.given_up for time, _, _ in known)

    def _uncount(self, head: Head | None, known: list[Given]) -> None:
        """The labels of an id are no longer here."""
        counts = self._stand.counts
        if head is None or not known:
            return
        counts.labelled_distinct -= 1
        if self._is_held(head.never, known):
            counts.held -= 1
        else:
            counts.unknown -= 1
            counts.duplicates -= len(known) - 1

    def _count(self, id_: bytes, head: Head | None, never: bool, labels: list[Given]) -> None:
        """Labels are added to an id, of which the row will never come or may."""
        counts, given_up = self._stand.counts, self._stand.given_up
        before = self._waiting.newest(id_, head)
        adds_held = not never and any(time > given_up for time, _, _ in labels)
        if head is None or before is None:
            counts.labelled_distinct += bool(labels)
            counts.held += adds_held
            counts.unknown += bool(labels) and not adds_held
            counts.duplicates += 0 if adds_held else max(0, len(labels) - 1)
            return
        was_held = not head.never and before > given_up
        is_held = not never and (before > given_up or adds_held)
        counts.held += is_held - was_held
        counts.unknown += was_held - is_held
        if not was_held and not is_held:
            counts.duplicates += len(labels)
        elif was_held != is_held:  # at most once a boundary
            known = len(self._waiting.labels(id_, head))
            counts.duplicates += known + len(labels) - 1 if was_held else 1 - known
