"""Windows and the tests of a feature in each, as charts need them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from contracts.events import WindowTested


class Window(msgspec.Struct, frozen=True):
    """A window as charts need it; ``drifted`` of ``features`` have."""

    start: int
    end: int
    version: str
    rows: int
    late: int
    status: str
    p: float
    alpha: float
    min_effect: float
    drifted: int
    features: int


class Series(msgspec.Struct, frozen=True):
    """A feature's tests ``[windows]``; None where it was not tested."""

    p: list[float | None]
    effect: list[float | None]
    drifted: list[bool]


def window_of(w: WindowTested) -> Window:
    """What a chart needs of a report."""
    drifted = sum(f.drifted for f in w.features.values())
    return Window(
        w.window_start, w.window_end, w.version, w.rows, w.late_rows, w.status, w.p_value, w.alpha, w.min_effect,
        drifted, len(w.features),
    )  # fmt: skip


def series_of(windows: Sequence[WindowTested], name: str) -> Series:
    """The tests of a feature in these windows."""
    told = [w.features.get(name) for w in windows]
    return Series(
        [f.p_adjusted if f else None for f in told],
        [f.effect if f else None for f in told],
        [bool(f and f.drifted) for f in told],
    )
