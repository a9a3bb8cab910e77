"""What the flights' raw data say of two spans."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

PROJECT = Path(__file__).parents[2] / "projects" / "flights" / "src"
NEW_YORK = "America/New_York"


def span(start: str, end: str) -> tuple[int, int]:
    """Days of New York as event time."""
    first, last = (int(pd.Timestamp(day, tz=NEW_YORK).timestamp() * 1000) for day in (start, end))
    return first, last


def test_summer_is_warm_and_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """January against July: the figures are those of the files, computed here by month without event time."""
    monkeypatch.syspath_prepend(str(PROJECT))
    from flights import facts, source

    found = facts.changes(span("2013-01-01", "2013-02-01"), span("2013-07-01", "2013-08-01"))
    raw = pd.read_csv(source.folder() / "flights.csv.zip")
    months = [raw[raw["month"] == m] for m in (1, 7)]
    was, is_ = (m["arr_delay"].mean() for m in months)
    assert f"mean {was:.1f} → {is_:.1f} min" in found["delays"]
    gone = [100 * (m["arr_delay"].isna()).mean() for m in months]
    assert f"never arrived {gone[0]:.0f} → {gone[1]:.0f} %" in found["delays"]
    late = [100 * (m["arr_delay"].dropna() > 15).mean() for m in months]
    assert f"late {late[0]:.0f} → {late[1]:.0f} %" in found["delays"]
    assert found["weather"].startswith("temperature 37 → 82 °F")
    moved = {
        name: 100 * (months[1]["carrier"].eq(name).mean() - months[0]["carrier"].eq(name).mean())
        for name in raw["carrier"].unique()
    }
    assert found["carriers"].startswith(max(moved, key=lambda name: abs(moved[name])))


def test_a_span_without_departures_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to say of it."""
    monkeypatch.syspath_prepend(str(PROJECT))
    from flights import facts

    with pytest.raises(ValueError, match="no departures"):
        facts.changes((0, 1), (0, 1))
    assert "flights" in sys.modules
