"""The demo's traffic: the year after January in order of event time, one batch a departure minute."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flights.fields import FIELDS, TARGET
from flights.source import read

START = 1_359_694_800_000  # 2013-02-01, midnight in New York: where the champion's January ends


@dataclass(frozen=True)
class Batch:
    """The departures of one minute. ``truth`` and ``label_time`` are None where the plane never arrived."""

    event_time: int
    rows: list[dict[Hashable, Any]]
    truth: list[str | None]
    label_time: list[int | None]


def batches(start: int = START, until: int | None = None) -> Iterator[Batch]:
    """Batches in order of event time, from ``start`` on and before ``until`` (ms)."""
    frame = read()
    frame = frame[frame["event_time"] >= start]
    if until is not None:
        frame = frame[frame["event_time"] < until]
    names = [f.name for f in FIELDS]
    table = frame[names].astype(object).where(frame[names].notna(), None)
    rows = table.to_dict("records")
    times = frame["event_time"].tolist()
    truth = [None if t is None or t != t else str(t) for t in frame[TARGET].tolist()]
    label = [None if pd.isna(t) else int(t) for t in frame["label_time"].tolist()]
    first = 0
    for i in range(1, len(times) + 1):
        if i == len(times) or times[i] != times[first]:
            yield Batch(times[first], rows[first:i], truth[first:i], label[first:i])
            first = i
