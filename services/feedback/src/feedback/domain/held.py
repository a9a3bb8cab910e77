"""Labels without a row: their prediction has not come yet, never will, or is forgotten.

An id is *held* until the newest of its labels is a horizon old, then it is *unknown*, and so is at once a row that its
batch does not have. A newer label makes an unknown id held again. Of an unknown id's labels all but one are duplicates;
those of a held one are counted when it is joined or given up. So the counts depend on the labels and on the boundary
that is decided, not on which came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec
from contracts.events import Label

from feedback.domain.counts import Counts
from feedback.domain.keys import NUMBER, OFFSET, WAITED, offset_key, time_key
from feedback.domain.stand import Stand
from feedback.domain.store import Overlay
from feedback.domain.truth import Known, take

_Given = tuple[int, Label, int]  # label_time, truth, offset
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[bool, list[_Given]]).decode


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

    def add(self, labels: Iterable[Rowless], batches: Mapping[bytes, bytes | None]) -> None:
        """Take labels; ``batches`` are the values of their batches' keys."""
        given: dict[bytes, list[Rowless]] = {}
        for label in labels:
            given.setdefault(label.batch + NUMBER.pack(label.row), []).append(label)
        puts: dict[bytes, bytes | None] = {}
        waited: dict[bytes, bytes] = {}
        ids = sorted(given)
        for id_, value in zip(ids, self._values(ids), strict=True):
            was_never, known = self._read(value)
            never = given[id_][-1].never
            self._count(was_never, known, -1)
            known += [(label.time, label.truth, label.offset) for label in given[id_]]
            self._count(never, known, 1)
            puts[b"h" + id_] = _encode((never, known))
            for label in given[id_]:
                puts[offset_key(b"x", label.offset) + id_] = b""
                if not never and label.time > self._stand.given_up:
                    puts[time_key(b"u", label.time) + id_] = b""
            if not never and (value is None or was_never):
                batch = id_[:16]
                before = waited.get(batch) or batches[batch]
                waited[batch] = (before if before and before[:1] == WAITED else WAITED) + id_[16:]
        puts.update((b"b" + batch, rows) for batch, rows in waited.items())
        self._overlay.put("index", puts)

    def release(self, batch: bytes, waited: bytes, rows: int) -> tuple[list[Rowless], list[int]]:
        """What was held of a batch of so many ``rows`` that has come, as the labels came; ``waited``: its key's value.

        Also the offsets of all labels of the batch, those of rows that it does not have included.
        """
        ids = sorted(batch + waited[i : i + 4] for i in range(1, len(waited), 4))
        puts: dict[bytes, bytes | None] = {}
        released: list[Rowless] = []
        offsets: list[int] = []
        for id_, value in zip(ids, self._values(ids), strict=True):
            _, known = self._read(value)
            (row,) = NUMBER.unpack(id_[16:])
            self._count(False, known, -1)
            offsets += [offset for _, _, offset in known]
            if row < rows:
                released += [Rowless(batch, row, truth, time, offset, False) for time, truth, offset in known]
                puts[b"h" + id_] = None
            else:
                self._count(True, known, 1)
                puts[b"h" + id_] = _encode((True, known))
        self._overlay.put("index", puts)
        return sorted(released, key=lambda label: label.offset), sorted(offsets)

    def state(self, batch: bytes, row: int) -> tuple[bool, Known | None]:
        """Whether an id is held, and the truth that its labels say."""
        never, known = self._read(self._overlay.get("index", b"h" + batch + NUMBER.pack(row)))
        truth: Known | None = None
        for time, label, _ in known:
            truth = take(truth, label, time)
        return bool(known) and not self._unknown(never, known), truth

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
            for i, value in zip(order, self._values([ids[i] for i in order]), strict=True):
                never, known = self._read(value)
                # Of an id's labels the newest decides, and its key is there once.
                if known and not never and time_key(b"u", max(time for time, *_ in known)) == due[i][:9]:
                    counts.held -= 1
                    counts.unknown += 1
                    counts.duplicates += len(known) - 1
            due.clear()

        for key, _ in self._overlay.scan("index", start, stop):
            due.append(key)
            if len(due) >= 10_000:
                count()
        count()
        self._overlay.cut("index", start, stop)

    def sweep(self, limit: int) -> None:
        """Delete at most ``limit`` of the labels that are forgotten."""
        if self._stand.swept_labels >= self._stand.oldest_label:
            return
        start, stop = (
            offset_key(b"x", offset) for offset in (self._stand.swept_labels, self._stand.oldest_label)
        )
        keys = [key for key, _ in islice(self._overlay.scan("index", start, stop), limit)]
        ids = sorted({key[9:] for key in keys})
        puts: dict[bytes, bytes | None] = {}
        left: dict[bytes, set[bytes]] = {}
        for id_, value in zip(ids, self._values(ids), strict=True):
            if value is None:
                continue
            never, known = self._read(value)
            puts[b"h" + id_] = _encode((never, known)) if known else None
            if not known:
                left.setdefault(id_[:16], set()).add(id_[16:])
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

    def _values(self, ids: list[bytes]) -> list[bytes | None]:
        return self._overlay.get_many("index", [b"h" + id_ for id_ in ids])

    def _read(self, value: bytes | None) -> tuple[bool, list[_Given]]:
        if value is None:
            return False, []
        never, known = _decode(value)
        return never, [given for given in known if given[2] >= self._stand.oldest_label]

    def _unknown(self, never: bool, known: list[_Given]) -> bool:
        return never or max(time for time, _, _ in known) <= self._stand.given_up

    def _count(self, never: bool, known: list[_Given], sign: int) -> None:
        if not known:
            return
        counts: Counts = self._stand.counts
        counts.labelled_distinct += sign
        if self._unknown(never, known):
            counts.unknown += sign
            counts.duplicates += sign * (len(known) - 1)
        else:
            counts.held += sign
