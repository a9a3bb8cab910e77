"""Batches that are remembered: where their rows are, and when these expire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from feedback.domain.blocks import blocks_of, shift_of
from feedback.domain.keys import HEADER, LATE, NUMBER, OFFSET, ROW, time_key
from feedback.domain.rows import Shape
from feedback.domain.shapes import Shapes
from feedback.domain.stand import Stand
from feedback.domain.store import Overlay

_TAG = 0  # of a header
_PART = 10_000  # batches that are given up at once
_NEAR = 64  # offsets: batches this near are looked through together


class Batch(msgspec.Struct, frozen=True, gc=False):
    """A batch: the offset of its record, its latest event time, and how many rows it has, 2**``shift`` to a block.

    ``expired``: a boundary is decided by which unlabelled rows are given up.
    """

    offset: int
    latest: int
    rows: int
    expired: bool
    shape: Shape
    shift: int


class Batches:
    """The batches of one partition, by the 16 bytes of their ids."""

    def __init__(self, overlay: Overlay, stand: Stand) -> None:
        self._overlay, self._stand = overlay, stand
        self._shapes = Shapes(overlay, stand)

    def values(self, ids: Iterable[bytes]) -> dict[bytes, bytes | None]:
        """What is written of each: a batch, or rows that labels wait for, or None where it is not remembered."""
        order = sorted(set(ids))
        values = self._overlay.get_many("index", [b"b" + id_ for id_ in order])
        oldest = OFFSET.pack(self._stand.oldest_batch)
        return {
            id_: None if value and value[0] == _TAG and value[1:9] < oldest else value
            for id_, value in zip(order, values, strict=True)
        }

    def get(self, value: bytes | None) -> Batch | None:
        """The batch in a value, if there is one."""
        if value is None or value[0] != _TAG:
            return None
        _, offset, latest, rows, number, shift = HEADER.unpack(value)
        return Batch(offset, latest, rows, latest <= self._stand.given_up, self._shapes.shape(number), shift)

    def add(self, id_: bytes, offset: int, shape: Shape, latest: int, rows: Sequence[bytes]) -> Batch:
        """Remember a batch, and its encoded rows unless they would be forgotten at once."""
        stand = self._stand
        shift = shift_of(rows)
        header = HEADER.pack(_TAG, offset, latest, len(rows), self._shapes.number(shape), shift)
        puts: dict[bytes, bytes | None] = {b"b" + id_: header}
        if latest <= stand.given_up:
            stand.counts.expired += len(rows)
        else:
            puts[time_key(b"d", latest) + OFFSET.pack(offset)] = NUMBER.pack(len(rows))
        self._overlay.put("index", puts)
        if latest > stand.forgotten and rows:
            stand.newest_rows = offset
            self._overlay.put("rows", blocks_of(offset, rows, shift))
        stand.counts.predicted += len(rows)
        return Batch(offset, latest, len(rows), latest <= stand.given_up, shape, shift)

    def expire(self, until: int) -> None:
        """Count the rows that expire where ``until`` is decided, which the caller notes afterwards."""
        stand = self._stand
        start, stop = time_key(b"d", stand.given_up + 1), time_key(b"d", until - stand.horizon + 1)
        due = self._overlay.scan("index", start, stop)
        while part := list(islice(due, _PART)):
            stand.counts.expired += sum(NUMBER.unpack(rows)[0] for _, rows in part)
            stand.counts.expired -= self._labelled(sorted(key[9:] for key, _ in part))
        self._overlay.cut("index", start, stop)

    def _labelled(self, offsets: Sequence[bytes]) -> int:
        """How many rows of the batches at these offsets have a truth."""
        chosen = set(offsets)
        found = i = 0
        while i < len(offsets):
            (start,) = (last,) = OFFSET.unpack(offsets[i])
            while i < len(offsets) and (following := OFFSET.unpack(offsets[i])[0]) <= last + _NEAR:
                last, i = following, i + 1
            labels = self._overlay.scan("labels", ROW(start, 0), ROW(last + 1, 0))
            found += sum(value != LATE and key[:8] in chosen for key, value in labels)
        return found
