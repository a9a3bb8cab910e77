"""The demo's traffic: one row a minute of event time, in the phases of the thesis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from wine_quality.fields import FIELDS, TARGET
from wine_quality.prepare import read_worlds

MINUTE = 60_000
START = 1_640_995_200_000  # 2022-01-01 UTC: event time of the first row
LABEL_DELAY = 10 * MINUTE
STEADY_ROWS = 298
CHANGE = START + 300 * MINUTE  # the drifted rows begin here, at a window's start


def rows(project: Path = Path()) -> list[dict[str, Any]]:
    """All rows in order: ``phase``, ``features``, ``truth``, ``event_time`` and ``label_time`` (ms)."""
    parts = read_worlds(yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8")))
    found: list[dict[str, Any]] = []
    names = [f.name for f in FIELDS]
    for phase, start in (("steady", START), ("drifted", CHANGE)):
        for i, row in enumerate(parts[phase][[*names, TARGET]].to_dict("records")):
            at = start + i * MINUTE
            found.append({
                "phase": phase,
                "features": {name: row[name] for name in names},
                "truth": int(row[TARGET]),
                "event_time": at,
                "label_time": at + LABEL_DELAY,
            })  # fmt: skip
    return found
