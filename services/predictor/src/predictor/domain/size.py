"""How large a record becomes, so that none is larger than Kafka takes."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import msgspec

from predictor.domain.model import Model
from predictor.domain.record import MAX_RECORD_BYTES, MAX_RECORD_ROWS
from predictor.domain.request import Columns, TooLarge

_encoder = msgspec.json.Encoder()


def pieces(columns: Columns, model: Model) -> list[tuple[Columns, int]]:
    """``columns`` in pieces that fit into a record, each with its size in bytes as JSON, at most.

    Raises :class:`TooLarge` for a row that fits into none.
    """
    n = len(columns.event_time)
    size = n * model.row_bytes + model.record_bytes
    if n <= MAX_RECORD_ROWS and size <= MAX_RECORD_BYTES:
        texts = sum(len(_encoder.encode(columns.features[name])) for name in model.texts)
        if size + texts <= MAX_RECORD_BYTES:
            return [(columns, size + texts)]
    sizes = _row_sizes(columns, model)
    for row, each in enumerate(sizes):
        if each > MAX_RECORD_BYTES:
            raise TooLarge(
                f"Row {row} takes {each} bytes as JSON; a record on the topic predictions holds {MAX_RECORD_BYTES}."
            )
    found = []
    ends = list(accumulate(sizes, initial=0))
    start = 0
    while start < n:
        end = start + 1
        while end < n and end - start < MAX_RECORD_ROWS and ends[end + 1] - ends[start] <= MAX_RECORD_BYTES:
            end += 1
        found.append((columns.part(start, end), ends[end] - ends[start] + model.record_bytes))
        start = end
    return found


def _row_sizes(columns: Columns, model: Model) -> list[int]:
    def size(value: Any) -> int:
        return len(_encoder.encode(value)) + 1

    sizes = [model.row_bytes] * len(columns.event_time)
    for name in model.texts:
        sizes = [a + size(value) for a, value in zip(sizes, columns.features[name], strict=True)]
    return sizes
