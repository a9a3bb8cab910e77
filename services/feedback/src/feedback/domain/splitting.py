"""Labels by the partition of their predictions: one event each, or more where it would near Kafka's limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from contracts.events import GroundTruthReceived, Label

from feedback.domain.partitions import LENGTH, partitions_of
from feedback.domain.uploads import Labels

MAX_BYTES = 800_000  # estimated, of one record


def split(labels: Labels, upload_id: str, partitions: int) -> list[tuple[int, GroundTruthReceived]]:
    """Partition and event, ordered by partition; within one, labels keep the order of the upload."""
    where = partitions_of([text[:LENGTH] for text in labels.prediction_id], partitions)
    return [
        (int(partition), event)
        for partition in np.unique(where)
        for event in events_of(labels, upload_id, np.flatnonzero(where == partition).tolist())
    ]


def events_of(
    labels: Labels | GroundTruthReceived, upload_id: str, rows: Sequence[int]
) -> Iterator[GroundTruthReceived]:
    """The labels at ``rows``, as many in an event as a record takes."""
    for part in _parts(labels.truth, rows):
        yield GroundTruthReceived(
            upload_id=upload_id,
            prediction_id=take(labels.prediction_id, part),
            truth=take(labels.truth, part),
            label_time=take(labels.label_time, part),
        )


def take(column: Sequence[Any], rows: Sequence[int]) -> list[Any]:
    """The values at ``rows``, of which there is at least one."""
    return list(itemgetter(*rows)(column)) if len(rows) > 1 else [column[rows[0]]]


def _parts(truths: Sequence[Label], rows: Sequence[int]) -> Iterator[Sequence[int]]:
    widths = [94 if type(truths[i]) is not str else 70 + 6 * len(truths[i]) for i in rows]  # type: ignore[arg-type]
    if sum(widths) <= MAX_BYTES:
        yield rows
        return
    part: list[int] = []
    size = 0
    for i, width in zip(rows, widths, strict=True):
        if part and size + width > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(i)
        size += width
    yield part
