"""What differs between two spans of the year, from the data themselves: weather, delays, carriers.

No test and no model: the same figures for any two spans, so that an alert can be held against the world.
"""

from __future__ import annotations

from functools import cache

import pandas as pd

from flights.fields import TARGET
from flights.source import read

Span = tuple[int, int]  # [start, end) of event time, ms
CARRIERS = 2  # so many, those whose share moved most


_table = cache(read)


def _rows(span: Span) -> pd.DataFrame:
    frame = _table()
    rows = frame[(frame["event_time"] >= span[0]) & (frame["event_time"] < span[1])]
    if rows.empty:
        raise ValueError(f"no departures in {span}")
    return rows


def changes(reference: Span, live: Span) -> dict[str, str]:
    """``{"weather": "temperature 36 → 61 °F, …", "delays": …, "carriers": …}``; means, and shares of departures."""
    before, now = _rows(reference), _rows(live)

    def mean(name: str, word: str, unit: str, digits: int = 0) -> str:
        was, is_ = (f"{rows[name].mean():.{digits}f}" for rows in (before, now))
        return f"{word} {was} → {is_} {unit}"

    def share(word: str, was: pd.Series[bool], is_: pd.Series[bool]) -> str:
        return f"{word} {100 * was.mean():.0f} → {100 * is_.mean():.0f} %"

    arrived = [rows[rows[TARGET].notna()] for rows in (before, now)]
    shares = [rows["carrier"].value_counts(normalize=True) for rows in (before, now)]
    moved = (shares[1] - shares[0]).fillna(0).abs().sort_values(ascending=False).index[:CARRIERS]
    return {
        "weather": ", ".join((
            mean("temp", "temperature", "°F"),
            mean("humid", "humidity", "%"),
            mean("wind_speed", "wind", "mph", 1),
            mean("pressure", "pressure", "mbar"),
            share("rain", before["precip"] > 0, now["precip"] > 0),
            share("visibility under 10 mi", before["visib"] < 10, now["visib"] < 10),
        )),
        "delays": ", ".join((
            mean("arr_delay", "mean", "min", 1),
            share("late", arrived[0][TARGET] == "yes", arrived[1][TARGET] == "yes"),
            share("never arrived", before[TARGET].isna(), now[TARGET].isna()),
        )),
        "carriers": ", ".join(
            f"{name} {100 * shares[0].get(name, 0):.1f} → {100 * shares[1].get(name, 0):.1f} %" for name in moved
        ),
    }  # fmt: skip
