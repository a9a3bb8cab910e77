"""What the stages cost, as ``bench/stages.py`` has measured it; nothing of it is typed in anywhere else."""

from __future__ import annotations

import json
from pathlib import Path

KEPT = Path(__file__).parents[1] / "docs" / "scaling" / "stages.json"  # the run that docs/scaling.md tells of
MICRO, MILLI = 1e-6, 1e-3
UNITS = {"us": MICRO, "ms": MILLI}


class Costs:
    """Figures of a run by name, in seconds and bytes; raises ``KeyError`` naming a figure that the run does not have."""

    def __init__(self, path: Path = KEPT) -> None:
        figures = json.loads(path.read_text(encoding="utf-8"))
        self._by_name = {f["figure"]: f["value"] * UNITS.get(f["unit"], 1.0) for f in figures}

    def __getitem__(self, name: str) -> float:
        return float(self._by_name[name])

    def named(self, beginning: str) -> dict[str, float]:
        """Figures whose name begins so, by the rest of it."""
        return {n.removeprefix(beginning): v for n, v in self._by_name.items() if n.startswith(beginning)}

    def line(self, name: str, low: int, high: int, at: float) -> float:
        """A figure measured at two numbers (``{}`` in its name) and wanted at another: the line through both.

        Not below zero, and on no other ground than that the work is so much a feature, or so much a partition.
        """
        below, above = self[name.format(low)], self[name.format(high)]
        return max(0.0, below + (above - below) * (at - low) / (high - low))
