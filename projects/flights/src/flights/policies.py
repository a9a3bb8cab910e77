"""Fixed policies, offline: the January model that nobody retrains, and monthly retraining on the last month or on all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from flights.fields import FIELDS, TARGET
from flights.source import read
from flights.stream import START
from flights.train import make

NAMES = [f.name for f in FIELDS]


def figures(truth: NDArray[Any], p: NDArray[np.float64]) -> dict[str, float]:
    """Log loss and AUC of the probability of "yes"."""
    from sklearn.metrics import log_loss, roc_auc_score

    return {"log_loss": float(log_loss(truth == "yes", p)), "auc": float(roc_auc_score(truth == "yes", p))}


def run(project: Path = Path(), progress: Callable[[str], None] = lambda _: None) -> pd.DataFrame:
    """Every labelled departure from ``START`` on: ``event_time``, the target, and each policy's probability.

    Columns ``frozen``, ``last_month`` and ``monthly`` hold the probability of "yes". The latter two train ten times,
    from March to December.
    """
    p = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    frame = read(p["prepare"]["late_minutes"])
    frame = frame[frame[TARGET].notna()].reset_index(drop=True)
    month = (
        pd.to_datetime(frame["event_time"], unit="ms", utc=True).dt.tz_convert("America/New_York").dt.month
    )

    def fit(rows: pd.DataFrame) -> Any:
        return make(p["train"] | {"seed": p["seed"]}).fit(rows[NAMES], rows[TARGET])

    live = frame["event_time"] >= START
    january = fit(frame[(frame["event_time"] < START) & (frame["label_time"] < START)])
    result = frame[live].copy()
    result["frozen"] = january.predict_proba(result[NAMES])[:, 1]
    result["last_month"] = result["monthly"] = result["frozen"]
    months = month[live]
    for m in range(3, 13):
        begin = frame.loc[month == m, "event_time"].min()
        progress(f"monthly policy, month {m}")
        known, now = (frame["event_time"] < begin) & (frame["label_time"] < begin), months == m
        for name, rows in (("monthly", known), ("last_month", known & (month == m - 1))):
            model = fit(frame[rows])
            result.loc[now, name] = model.predict_proba(result.loc[now, NAMES])[:, 1]
    return result[["event_time", TARGET, "frozen", "last_month", "monthly"]]
