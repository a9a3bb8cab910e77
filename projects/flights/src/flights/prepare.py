"""Stage prepare: the first world's labelled departures."""

import pandas as pd
from modelkit.project import DATA, params, stage

from flights.fields import FIELDS, TARGET
from flights.source import read


def prepare() -> None:
    """Write ``data/base.parquet``: departures before ``until`` that arrived before it."""
    p = params()["prepare"]
    until = int(pd.Timestamp(p["until"]).timestamp() * 1000)
    frame = read(p["late_minutes"])
    frame = frame[(frame["event_time"] < until) & (frame["label_time"] < until)]
    frame[[*(f.name for f in FIELDS), TARGET, "day"]].to_parquet(DATA / "base.parquet", index=False)


if __name__ == "__main__":
    stage(prepare)
