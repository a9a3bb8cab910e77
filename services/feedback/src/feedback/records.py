"""Records as they are read: what can be joined, what cannot and why, and as many at once as memory should hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from contracts.codec import Unreadable, decode, partition_of
from contracts.events import Event, PredictionsMade

from feedback.faust_reader import headers

E = TypeVar("E", bound=Event)
FUTURE_MS = 300_000  # what clocks may be ahead, as at the predictor; what is further would end all windows
PIECE_BYTES = 1_000_000


def pieces(records: Sequence[Any]) -> Iterable[list[Any]]:
    """Records in order, as many at once as memory should hold decoded."""
    piece: list[Any] = []
    size = 0
    for record in records:
        length = len(record.value or b"")
        if piece and size + length > PIECE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += length
    if piece:
        yield piece


def batches_of(
    records: Iterable[Any], partitions: int
) -> tuple[list[tuple[int, PredictionsMade, int]], list[tuple[int, str]]]:
    """Of records of ``predictions`` the batches with offset and size, and those that cannot be joined with the reason."""
    batches: list[tuple[int, PredictionsMade, int]] = []
    refused: list[tuple[int, str]] = []
    for record in records:
        try:
            made = decode(PredictionsMade, record.value, headers(record))
            if made.event_time and max(made.event_time) > _milliseconds(record.timestamp) + FUTURE_MS:
                raise Unreadable("event_time lies more than five minutes after the record came")
            own = partition_of(made.batch_id, partitions)
            if own != record.partition:
                raise Unreadable(
                    f"a batch in a partition where none of its labels comes: murmur2 of its id is that of partition {own}"
                )
            batches.append((record.offset, made, len(record.value)))
        except Unreadable as error:
            refused.append((record.offset, str(error)))
    return batches, refused


def read(kind: type[E], record: Any) -> E | None:
    """The event in a record that was taken before; None where it was refused then."""
    try:
        return decode(kind, record.value, headers(record))
    except Unreadable:
        return None


def readable(kind: type[E], records: Iterable[Any]) -> Iterable[E]:
    return (event for record in records if (event := read(kind, record)) is not None)


def _milliseconds(timestamp: float) -> float:
    """Faust's message has seconds, aiokafka's record milliseconds."""
    return timestamp if timestamp > 1e11 else 1000 * timestamp
