"""Stage prepare: the first world's base rows; and who else sees which row."""

from __future__ import annotations

from typing import Any

import pandas as pd
from modelkit.project import DATA, params, stage
from modelkit.stages import cast

from wine_quality.fields import FIELDS
from wine_quality.source import read


def worlds(
    frame: pd.DataFrame, max_alcohol: float, traffic_share: float, seed: int
) -> dict[str, pd.DataFrame]:
    """``base`` (for training and reference), ``steady`` (traffic of the first world) and ``drifted`` (the rest).

    No row is in two of them; the order within each is shuffled by ``seed``.
    """
    first = frame[frame["alcohol"] <= max_alcohol].sample(frac=1, random_state=seed)
    drifted = frame[frame["alcohol"] > max_alcohol].sample(frac=1, random_state=seed)
    n = round(len(first) * traffic_share)
    return {
        "base": first.iloc[n:].reset_index(drop=True),
        "steady": first.iloc[:n].reset_index(drop=True),
        "drifted": drifted.reset_index(drop=True),
    }


def read_worlds(given: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The worlds that ``params.yaml`` describes, out of UCI's file."""
    p = given["prepare"]
    return worlds(read(), p["max_alcohol"], p["traffic_share"], p["traffic_seed"])


def prepare() -> None:
    """Write ``data/base.parquet``."""
    base = read_worlds(params())["base"]
    cast(base, FIELDS).to_parquet(DATA / "base.parquet", index=False)


if __name__ == "__main__":
    stage(prepare)
