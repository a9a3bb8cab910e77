"""Who sees which row: the first world's base and traffic, and the new regime."""

from __future__ import annotations

import pandas as pd


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
