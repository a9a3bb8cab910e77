"""Where the join of a partition stands: what is written with each commit beside rows and labels."""

from __future__ import annotations

import msgspec

from feedback.domain.counts import Counts

LAYOUT = 1  # of what is on disk; another one is thrown away
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
