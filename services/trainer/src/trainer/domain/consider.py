"""Whether an open alert is worth a training now."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from contracts.events import TrainingDecided

GROWTH = 1.25  # an alert that was tried is tried again when its labelled rows have grown by a quarter


@dataclass(frozen=True)
class Step:
    """What to do at a boundary, in plain words."""

    decision: Literal["started", "waiting"]
    reason: str


def consider(labelled: int, needed: int, complete: float, last: TrainingDecided | None) -> Step | None:
    """What to do about an open alert with ``labelled`` rows since its change point; ``None``: nothing new.

    ``last`` is the newest finished decision about this alert.
    """
    before = last.rows.get("labelled", 0) if last else 0
    if last is not None and last.decision != "waiting" and labelled < ceil(GROWTH * max(before, 1)):
        return None
    if labelled < needed:
        if last is not None and labelled <= before:
            return None  # said already
        return Step(
            "waiting",
            f"waiting: {labelled} of {needed} labelled rows since the change point "
            f"(up to the newest window with {complete:.0%} of its labels)",
        )
    again = f", tried before with {before}" if last and last.decision != "waiting" else ""
    return Step("started", f"training: {labelled} labelled rows since the change point{again}")
