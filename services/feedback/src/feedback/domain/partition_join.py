"""The join of one partition, with its state on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec
from contracts.events import GroundTruthReceived, PredictionsMade

from feedback.domain.rows import Joined
from feedback.domain.store import Store


class Counts(msgspec.Struct):
    """The figures of the join's invariants."""

    predicted: int = 0
    joined: int = 0
    unknown: int = 0
    expired: int = 0
    duplicates: int = 0
    corrections: int = 0
    labelled_distinct: int = 0
    held: int = 0
    expired_labelled: int = 0
    too_late: int = 0
    repeated_batches: int = 0

    @property
    def pending(self) -> int:
        """Predicted rows that wait for their truth."""
        return self.predicted - self.joined - self.expired

    def as_dict(self) -> dict[str, int]:
        """By name, ``pending`` included."""
        return {**msgspec.structs.asdict(self), "pending": self.pending}


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

    ``counts`` are those that the last holder handed over; without them the store's own hold. ``positions`` are by topic
    the next record to be read, ``decided`` the last boundary that :meth:`expire` was given.
    """

    positions: dict[str, int]
    counts: Counts
    decided: int | None

    def __init__(self, store: Store, horizon: int, *, counts: Mapping[str, int] | None = None) -> None:
        raise NotImplementedError

    def predict(self, records: Sequence[tuple[int, PredictionsMade, int]]) -> Predicted:
        """Take records of ``predictions``: (offset, event, encoded size)."""
        raise NotImplementedError

    def label(self, records: Sequence[tuple[int, GroundTruthReceived]]) -> Labelled:
        """Take records of ``ground-truth``: (offset, event)."""
        raise NotImplementedError

    def expire(self, decided: int) -> None:
        """A boundary is decided: give up what has waited for the whole horizon, forget what is two horizons old."""
        raise NotImplementedError

    def rebuild(
        self, needed: Mapping[str, int] | None = None, decided: int | None = None
    ) -> AbstractContextManager[None]:
        """Within it records are taken silently: they make state, while counts stay and nothing is joined.

        ``needed`` and ``decided`` are what the last holder said beside its counts. ``positions`` then say where to
        read from: the store's own, or ``needed`` where the store has nothing, or not enough.
        """
        raise NotImplementedError

    def needed(self) -> dict[str, int]:
        """The offsets from which a new holder must read both topics to have the same state."""
        raise NotImplementedError

    def state(self, prediction_id: str) -> dict[str, Any]:
        """What is known of one id: pending, joined, unknown or expired."""
        raise NotImplementedError

    def commit(self, positions: Mapping[str, int]) -> None:
        """Write all that was taken since the last commit, and ``positions`` with it, in one step."""
        raise NotImplementedError
