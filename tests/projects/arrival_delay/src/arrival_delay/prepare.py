"""Stage prepare: the first world's departures that arrived, thinned out."""

import pandas as pd
from flights.source import read
from modelkit.project import DATA, params, stage

from arrival_delay.fields import FIELDS, TARGET


def prepare() -> None:
    """Write ``data/base.parquet``: of the departures before ``until`` that arrived before it, one in ``every``."""
    p = params()["prepare"]
    until = int(pd.Timestamp(p["until"]).timestamp() * 1000)
    frame = read()
    frame = frame[(frame["event_time"] < until) & (frame["label_time"] < until)].iloc[:: p["every"]]
    frame[[*(f.name for f in FIELDS), TARGET, "day"]].to_parquet(DATA / "base.parquet", index=False)


if __name__ == "__main__":
    stage(prepare)
