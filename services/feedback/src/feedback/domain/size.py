"""Sizes in bytes: an outcome repeats what its prediction and its labels hold, and Kafka takes 1 MiB a record.

What would not fit must be found when it is read; found when it is published, it would end the process again at
each restart.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from contracts.events import PredictionsMade

MAX_BYTES = 700_000  # of names and rows as estimated; a record stays below 900 KB
_MAX_ROW = 1_000_000  # of a record's only row
_ROOM = 40_000  # beside the prediction: its id and times, its truth and the one before it


def width(value: object) -> int:
    """At most so many bytes a value takes as JSON, comma included."""
    if isinstance(value, str):
        return 6 * len(value) + 3
    if isinstance(value, list):
        return 3 + 26 * len(value)
    if isinstance(value, int):
        return 7 + value.bit_length() // 3
    return 26


def too_wide(made: PredictionsMade, size: int) -> bool:
    """Whether an outcome of a row alone would not fit; ``size`` is that of the encoded batch."""
    if size + _ROOM <= _MAX_ROW:
        return False
    columns: list[tuple[str, Sequence[object]]] = [
        *made.features.items(),
        *(made.vectors or {}).items(),
        *(made.probabilities or {}).items(),
        ("", made.predictions),
    ]
    return any(
        len(msgspec.json.encode([(name, column[row]) for name, column in columns])) + _ROOM > _MAX_ROW
        for row in range(len(made.event_time))
    )
