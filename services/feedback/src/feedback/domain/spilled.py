"""Panes of a partition that are not in use, packed, on disk. What holds is on ``quality-panes``; this is room for it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from feedback.domain.panes import PaneKey, key_bytes, start_bytes
from feedback.domain.store import Store

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


class Spilled:
    """The table ``panes`` of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, key: PaneKey) -> dict[str, bytes] | None:
        """A pane's packed cells by value."""
        (found,) = self._store.get_many("panes", [key_bytes(key)])
        return None if found is None else _decoder.decode(found)

    def save(self, panes: Mapping[PaneKey, dict[str, bytes]]) -> None:
        """Keep panes."""
        self._store.write({"panes": {key_bytes(key): _encode(cells) for key, cells in panes.items()}}, ())

    def forget(self, before: int) -> None:
        """Let the panes go that begin before a moment."""
        self._store.write({}, [("panes", b"", start_bytes(before))])

    def clear(self) -> None:
        """Let all go."""
        self._store.write({}, [("panes", b"", b"\xff" * 9)])
