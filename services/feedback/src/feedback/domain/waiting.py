"""The labels that wait for one row, on disk: a head with the last few, and full pages that are not touched again.

However often an id is labelled, one more label costs the same: only the head is read and written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec
from contracts.events import Label

from feedback.domain.keys import NUMBER
from feedback.domain.stand import Stand
from feedback.domain.store import Overlay

PAGE = 32  # labels, or those of one record if it has more
Given = tuple[int, Label, int]  # label_time, truth, offset


class Head(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The last labels of a row, behind so many ``pages``; ``never``: the row's batch is there and does not have it.

    ``newest`` is the latest label_time of the pages, with its offset.
    """

    never: bool
    labels: list[Given]
    pages: int = 0
    newest: tuple[int, int] | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head).decode
_decode_page = msgspec.msgpack.Decoder(list[Given]).decode


class Waiting:
    """The labels without a row of one partition, by the 20 bytes of batch_id and row."""

    def __init__(self, overlay: Overlay, stand: Stand) -> None:
        self._overlay, self._stand = overlay, stand

    def heads(self, ids: Sequence[bytes]) -> list[Head | None]:
        """The head of each id, or None where nothing waits; fastest where the ids are sorted."""
        values = self._overlay.get_many("index", [b"h" + id_ for id_ in ids])
        return [None if value is None else _decode(value) for value in values]

    def labels(self, id_: bytes, head: Head | None, start: int | None = None) -> list[Given]:
        """All labels from offset ``start`` on, or those that are remembered, in order."""
        if head is None:
            return []
        start = self._stand.oldest_label if start is None else start
        pages: Iterable[list[Given]] = ()
        if head.pages:
            keys = _page(id_, 0), _page(id_, head.pages)
            pages = [_decode_page(value) for _, value in self._overlay.scan("index", *keys)]
        return [given for given in chain(*pages, head.labels) if given[2] >= start]

    def newest(self, id_: bytes, head: Head | None) -> int | None:
        """The latest label_time that is remembered, or None where no label is."""
        if head is None:
            return None
        if head.newest is not None and head.newest[1] < self._stand.oldest_label:
            return max((time for time, _, _ in self.labels(id_, head)), default=None)
        times = [time for time, _, offset in head.labels if offset >= self._stand.oldest_label]
        return max(times if head.newest is None else [head.newest[0], *times], default=None)

    def add(
        self, id_: bytes, head: Head | None, never: bool, labels: list[Given]
    ) -> dict[bytes, bytes | None]:
        """What to put for labels that follow those of ``head``."""
        if head is None or head.newest is None or head.newest[1] < self._stand.oldest_label:
            return self.replace(id_, head, never, self.labels(id_, head) + labels)
        return _paged(id_, Head(never, head.labels + labels, head.pages, head.newest))

    def replace(
        self, id_: bytes, head: Head | None, never: bool, labels: list[Given]
    ) -> dict[bytes, bytes | None]:
        """What to put for labels in place of those of ``head``."""
        puts: dict[bytes, bytes | None] = {_page(id_, i): None for i in range(head.pages if head else 0)}
        puts |= _paged(id_, Head(never, labels)) if labels else {b"h" + id_: None}
        return puts


def _paged(id_: bytes, head: Head) -> dict[bytes, bytes | None]:
    """A head, of which the labels become a page where they fill one."""
    if len(head.labels) < PAGE:
        return {b"h" + id_: _encode(head)}
    newest = max((time, offset) for time, _, offset in head.labels)
    newest = newest if head.newest is None else max(newest, head.newest)
    return {
        _page(id_, head.pages): _encode(head.labels),
        b"h" + id_: _encode(Head(head.never, [], head.pages + 1, newest)),
    }


def _page(id_: bytes, number: int) -> bytes:
    return b"h" + id_ + NUMBER.pack(number)
