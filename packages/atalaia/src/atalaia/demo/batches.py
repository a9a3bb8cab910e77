"""What a demonstration sends: rows of one moment, and the truth about them with the time it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True)
class Batch:
    """One ``POST /predict/batch``. ``truths[i]`` is None where the truth never comes."""

    event_time: int
    rows: int
    body: bytes
    truths: Sequence[Any]
    label_times: Sequence[int]
    phase: str = ""


def make_batch(
    event_times: Sequence[int],
    rows: Sequence[dict[str, Any]],
    truths: Sequence[Any],
    label_times: Sequence[int],
    phase: str = "",
) -> Batch:
    """Serialise once, so that the replay only sends."""
    same = len(set(event_times)) == 1
    body = orjson.dumps(
        {"rows": rows, "event_time": event_times[0] if same else list(event_times)},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return Batch(max(event_times), len(rows), body, truths, label_times, phase)


def next_boundary(event_time: int, origin: int, window: int) -> int:
    """The end of the window that ``event_time`` lies in."""
    return origin + ((event_time - origin) // window + 1) * window
