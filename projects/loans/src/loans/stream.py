"""The demo's traffic: one application a minute; at a known row the bank decides by another function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from loans.fields import FIELDS, TARGET
from loans.source import applications

MINUTE = 60_000
START = 1_704_067_200_000  # 2024-01-01 UTC: event time of the first row
LABEL_DELAY = 10 * MINUTE
FUNCTION = 2  # after the change: age and education decide
STEADY_ROWS, CHANGED_ROWS = 2_100, 2_100
CHANGE = START + STEADY_ROWS * MINUTE  # amid a window
SEED = 2


def rows(project: Path = Path(), seed: int = SEED) -> list[dict[str, Any]]:
    """All rows in order: ``phase``, ``features``, ``truth``, ``event_time`` and ``label_time`` (ms)."""
    p = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["prepare"]
    steady = applications(p["function"], STEADY_ROWS, 2 * seed + 100, p["noise"])
    changed = applications(FUNCTION, CHANGED_ROWS, 2 * seed + 101, p["noise"])
    frame = pd.concat([steady, changed], ignore_index=True)
    names = [f.name for f in FIELDS]
    return [
        {
            "phase": "steady" if i < STEADY_ROWS else "changed",
            "features": {name: row[name] for name in names},
            "truth": row[TARGET],
            "event_time": START + i * MINUTE,
            "label_time": START + i * MINUTE + LABEL_DELAY,
        }
        for i, row in enumerate(frame.to_dict("records"))
    ]
