"""From which offsets on batches and labels are remembered.

What a join knows is made of the batches from ``oldest_batch`` on, the labels from ``oldest_label`` on, and the boundary
that is decided, and of nothing else: whoever reads these records knows the same, in whatever order they are read. That
is why memory ends at an offset and not at a time. Both offsets rise as boundaries are decided:

- labels are forgotten up to the first one whose row may still be corrected, or that is not two horizons old. A label
  of a known batch counts as no newer than one horizon after its batch, since later ones are too late anyway;
- batches are forgotten up to the first one that is not two horizons old, or that a remembered label belongs to. (A label
  of a batch that is forgotten would be taken for one whose prediction never came.)

A label whose batch is not there counts by its own label_time, but as no newer than two horizons after the first label
from its block on that has found a batch. It was uploaded before that one, and that one at most two horizons after its
batch; so a prediction that was made before its label is forgotten by then. What would wait for longer is from the future
(or of a clock that is wrong), and is given up: its id counts as unknown. So no label holds forgetting up for longer than
those around it. Where no label behind it finds a batch, only such labels are kept, and no batch is kept for them.

Labels are noted in blocks of offsets, so what is remembered of them may begin up to a block early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from feedback.domain.keys import BLOCK, OFFSET, ROW, TIME, offset_key
from feedback.domain.stand import Stand
from feedback.domain.store import Overlay, Table

_BITS = 8  # of an offset within its block
_NO_BATCH = 2**64 - 1
_NONE = 2**64 - 1  # behind every block


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

        ``times`` are their own, but within one horizon from their batches' latest event times. A label without a batch
        is noted once that comes.
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

    def advance(self) -> list[bytes]:
        """Raise the floors as far as the decided boundary allows; the ids of labels from the future that this forgets."""
        stand = self._stand
        self._cut_rows(self._first_live())
        start = offset_key(b"g", stand.oldest_label >> _BITS)
        blocks = [
            (OFFSET.unpack(key[1:])[0], *BLOCK.unpack(value))
            for key, value in self._overlay.scan("index", start, b"h")
        ]
        first, lost = self._first_held([(number, latest) for number, latest, _ in blocks])
        oldest = min((batch for number, _, batch in blocks if number >= first), default=_NO_BATCH)
        self._overlay.cut("index", start, offset_key(b"g", first))
        label = stand.ground_truth if first == _NONE else first << _BITS
        stand.oldest_label = max(stand.oldest_label, label)
        stand.oldest_batch = max(stand.oldest_batch, self._outside(min(stand.oldest_live, oldest)))
        return lost

    def _first_held(self, blocks: Sequence[tuple[int, int]]) -> tuple[int, list[bytes]]:
        """The first block to be remembered, and ids before it that are from the future; ``blocks``: numbers and times."""
        stand = self._stand
        first = next((number for number, latest in blocks if latest > stand.forgotten), _NONE)
        stop = b"y" if first == _NONE else offset_key(b"x", first << _BITS)
        lost: list[tuple[int, bytes]] = []
        following = 0
        for key, times in self._overlay.scan("index", offset_key(b"x", stand.oldest_label), stop):
            if not times:
                continue  # noted with its batch
            number = OFFSET.unpack(key[1:9])[0] >> _BITS
            (time,) = TIME.unpack(times[-8:])
            while following < len(blocks) and blocks[following][0] < number:
                following += 1
            if time <= stand.forgotten:
                continue
            if following == len(blocks) or blocks[following][1] + 2 * stand.horizon > stand.forgotten:
                first = number
                break
            lost.append((number, key[9:]))
        return first, [id_ for number, id_ in lost if number < first]

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
