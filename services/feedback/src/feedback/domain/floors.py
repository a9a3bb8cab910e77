"""From which offsets on batches and labels are remembered.

What a join knows is made of the batches from ``oldest_batch`` on, the labels from ``oldest_label`` on, and the boundary
that is decided, and of nothing else: whoever reads these records knows the same, in whatever order they are read. That
is why memory ends at an offset and not at a time. Both offsets rise as boundaries are decided:

- labels are forgotten up to the first one whose row may still be corrected, or that is not two horizons old;
- batches are forgotten up to the first one that is not two horizons old, or that a remembered label belongs to. (A label
  of a batch that is forgotten would be taken for one whose prediction never came.)

Labels are noted in blocks of offsets, so what is remembered of them may begin up to a block early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from feedback.domain.keys import BLOCK, OFFSET, ROW, offset_key
from feedback.domain.stand import Stand
from feedback.domain.store import Overlay, Table

_BITS = 8  # of an offset within its block
NO_BATCH = 2**64 - 1


class Floors:
    """Forgets what is behind the floors of one partition."""

    def __init__(self, overlay: Overlay, stand: Stand) -> None:
        self._overlay, self._stand = overlay, stand

    def add_batch(self, offset: int, batch: bytes, latest: int) -> None:
        """A batch is in the record at ``offset``."""
        self._overlay.put("index", {offset_key(b"o", offset): batch + OFFSET.pack(latest + 2**63)})

    def add_repeated(self, offset: int, again: int) -> None:
        """The batch of the record at ``offset`` is in the one at ``again`` too."""
        self._overlay.put("index", {offset_key(b"r", offset): OFFSET.pack(again)})

    def add_labels(self, offsets: Sequence[int], times: Sequence[int], batches: Sequence[int]) -> None:
        """Labels in the records at ``offsets``, in order, and the offsets of their batches.

        ``times`` are their own or their batches' latest event times, whichever are later. A label without a batch has
        its own time and :data:`NO_BATCH`; once its batch comes, it is noted once more.
        """
        puts: dict[bytes, bytes | None] = {}
        start = 0
        while start < len(offsets):
            number = offsets[start] >> _BITS
            stop = bisect_left(offsets, (number + 1) << _BITS, start)
            latest, oldest = max(times[start:stop]), min(batches[start:stop])
            key = offset_key(b"g", number)
            if (value := self._overlay.get("index", key)) is not None:
                noted_latest, noted_oldest = BLOCK.unpack(value)
                latest, oldest = max(latest, noted_latest), min(oldest, noted_oldest)
            puts[key] = BLOCK.pack(latest, oldest)
            start = stop
        self._overlay.put("index", puts)

    def advance(self) -> None:
        """Raise the floors as far as the decided boundary allows."""
        stand = self._stand
        self._cut_rows(self._first_live())
        first, oldest = None, NO_BATCH
        start = offset_key(b"g", stand.oldest_label >> _BITS)
        for key, value in self._overlay.scan("index", start, b"h"):
            latest, batch = BLOCK.unpack(value)
            if first is None and latest > stand.forgotten:
                first = key
            if first is not None:
                oldest = min(oldest, batch)
        self._overlay.cut("index", start, first or b"h")
        label = OFFSET.unpack(first[1:])[0] << _BITS if first else stand.ground_truth
        stand.oldest_label = max(stand.oldest_label, label)
        stand.oldest_batch = max(stand.oldest_batch, self._outside(min(stand.oldest_live, oldest)))

    def raise_to(self, batch: int, label: int) -> None:
        """Forget what is before these offsets, whatever it is."""
        stand = self._stand
        stand.oldest_batch, stand.oldest_label = batch, label
        self._cut_rows(max(stand.oldest_live, batch))
        self._overlay.cut("index", offset_key(b"g", 0), offset_key(b"g", label >> _BITS))

    def sweep(self, limit: int) -> None:
        """Delete at most ``limit`` of the batches that are forgotten."""
        stand = self._stand
        if stand.swept_batches >= stand.oldest_batch:
            return
        start, stop = (offset_key(b"o", offset) for offset in (stand.swept_batches, stand.oldest_batch))
        found = list(islice(self._overlay.scan("index", start, stop), limit))
        offsets = {value[:16]: key[1:] for key, value in found}
        keys = [b"b" + batch for batch in sorted(offsets)]
        puts: dict[bytes, bytes | None] = {}
        for key, header in zip(keys, self._overlay.get_many("index", keys), strict=True):
            if header and header[0] == 0 and header[1:9] == offsets[key[1:]]:
                puts[key] = None
        self._overlay.put("index", puts)
        if len(found) < limit:
            stand.swept_batches = stand.oldest_batch
        else:
            (last,) = OFFSET.unpack(found[-1][0][1:])
            stand.swept_batches = last + 1
        self._overlay.cut("index", start, offset_key(b"o", stand.swept_batches))
        self._overlay.cut("index", offset_key(b"r", 0), offset_key(b"r", stand.oldest_batch))

    def _outside(self, batch: int) -> int:
        """The last offset up to ``batch`` that is not behind a batch and before its repetition.

        Who began to read there would take the repetition for the batch.
        """
        start = offset_key(b"r", self._stand.oldest_batch)
        for key, value in reversed(list(self._overlay.scan("index", start, offset_key(b"r", batch)))):
            if OFFSET.unpack(value)[0] >= batch:
                (batch,) = OFFSET.unpack(key[1:])
        return batch

    def _cut_rows(self, live: int) -> None:
        tables: tuple[Table, ...] = ("rows", "labels")
        for table in tables:
            self._overlay.cut(table, ROW(self._stand.oldest_live, 0), ROW(live, 0))
        self._stand.oldest_live = live

    def _first_live(self) -> int:
        stand = self._stand
        start = offset_key(b"o", max(stand.oldest_live, stand.oldest_batch))
        for key, value in self._overlay.scan("index", start, b"p"):
            if OFFSET.unpack(value[16:])[0] - 2**63 > stand.forgotten:
                return int(OFFSET.unpack(key[1:])[0])
        return max(stand.predictions, stand.oldest_live)
