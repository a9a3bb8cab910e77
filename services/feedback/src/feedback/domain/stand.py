"""Where the join of a partition stands: what is written with each commit beside rows and labels."""

from __future__ import annotations

import logging

import msgspec

from feedback.domain.counts import Counts
from feedback.domain.keys import NUMBER, ROW
from feedback.domain.store import Overlay

log = logging.getLogger(__name__)
LAYOUT = 3  # of what is on disk; another one is thrown away
_ALWAYS = -(2**62)  # before every event time


class Stand(msgspec.Struct, kw_only=True):
    """``predictions`` and ``ground_truth`` are the offsets of the next records; ``decided`` is the last boundary.

    Remembered are batches from offset ``oldest_batch`` on and labels from ``oldest_label`` on. Batches before
    ``oldest_live`` are two horizons old. What is forgotten is deleted bit by bit: before ``swept_batches`` and
    ``swept_labels`` nothing is left. ``commits`` and the batch of the ``newest_rows`` are looked for in the other tables
    when a store is opened: RocksDB keeps each in files of its own, and one must not lag behind another.
    """

    horizon: int
    layout: int = LAYOUT
    predictions: int = 0
    ground_truth: int = 0
    decided: int | None = None
    oldest_batch: int = 0
    oldest_label: int = 0
    oldest_live: int = 0
    swept_batches: int = 0
    swept_labels: int = 0
    shapes: int = 0
    commits: int = 0
    newest_rows: int | None = None
    counts: Counts = msgspec.field(default_factory=Counts)

    @property
    def given_up(self) -> int:
        """What is of this event time or before has waited for the whole horizon."""
        return _ALWAYS if self.decided is None else self.decided - self.horizon

    @property
    def forgotten(self) -> int:
        """What is of this event time or before is two horizons old."""
        return _ALWAYS if self.decided is None else self.decided - 2 * self.horizon


def read_stand(overlay: Overlay, horizon: int) -> Stand:
    """Where a store's join stands; at the beginning if there is none, or none that can be gone on from.

    Such a store is emptied, which the log says.
    """
    value = overlay.get("index", b"m")
    if value is None:
        return Stand(horizon=horizon)
    try:
        stand = msgspec.msgpack.decode(value, type=Stand)
    except msgspec.MsgspecError as error:
        why = str(error)
    else:
        if (stand.layout, stand.horizon) != (LAYOUT, horizon):
            why = f"it was made with layout {stand.layout} and a horizon of {stand.horizon} ms"
        elif not _is_whole(stand, overlay):
            why = "its tables are not of one moment"
        else:
            return stand
    log.warning("a partition's store is emptied, to be rebuilt: %s", why)
    overlay.clear()
    return Stand(horizon=horizon)


def write_stand(stand: Stand, counts: Counts, overlay: Overlay) -> None:
    """To be read again, with these counts."""
    stand.commits += 1
    overlay.put("index", {b"m": msgspec.msgpack.encode(msgspec.structs.replace(stand, counts=counts))})
    overlay.put("labels", {b"m": NUMBER.pack(stand.commits % 2**32)})


def _is_whole(stand: Stand, overlay: Overlay) -> bool:
    """Whether the other tables are as new as the index."""
    if overlay.get("labels", b"m") != NUMBER.pack(stand.commits % 2**32):
        return False
    newest = stand.newest_rows
    if newest is None or newest < stand.oldest_live:
        return True
    return overlay.get("rows", ROW(newest, 0)) is not None
