"""Labels meet their rows: what is known of each row after them, and which outcomes that makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from contracts.events import Label

from feedback.domain.batches import Batch
from feedback.domain.counts import Counts
from feedback.domain.keys import LATE
from feedback.domain.rows import Joined, Row
from feedback.domain.truth import Known, take

Given = tuple[
    str, Label, int, int, bytes, Batch
]  # prediction_id, truth, label_time, offset, the row's key, its batch
Standing = Known | bytes | None  # a truth, LATE, or nothing
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Label, int, int]).decode
_decode_row = msgspec.msgpack.Decoder(Row).decode


def standing(value: bytes | None) -> Standing:
    """What is known of a row by its value in the table of labels."""
    return Known(*_decode(value)) if value else value


def join(
    labels: Iterable[Given],
    rows: dict[bytes, Any],
    known: dict[bytes, Standing],
    horizon: int,
    counts: Counts,
) -> tuple[list[Joined], dict[bytes, bytes | None]]:
    """What labels change, in their order, and the values to be written for it.

    ``rows`` are encoded, and decoded where they are needed; ``known`` is what is known of them, and is updated.
    """
    joined: list[Joined] = []
    changed: dict[bytes, bytes | None] = {}
    corrections = 0
    for text, truth, time, offset, key, batch in labels:
        row = rows[key]
        if type(row) is bytes:
            row = rows[key] = _decode_row(row)
        before = known.get(key)
        if time >= row.event_time + horizon:
            if before is None:
                known[key] = changed[key] = LATE
                counts.expired_labelled += 1
                counts.labelled_distinct += 1
            else:
                counts.too_late += 1
            continue
        if isinstance(before, bytes):
            before = None
            counts.expired_labelled -= 1
            counts.labelled_distinct -= 1
        after = Known(truth, time) if before is None else take(before, truth, time)
        if after is before:
            counts.duplicates += 1
            continue
        known[key] = after
        changed[key] = _encode((after.truth, after.label_time, after.revision))
        if before is not None:
            corrections += 1
        elif batch.expired:
            counts.expired -= 1
        joined.append(Joined(text, batch.shape, row, before, after, offset))
    counts.corrections += corrections
    counts.joined += len(joined) - corrections
    counts.labelled_distinct += len(joined) - corrections
    return joined, changed
