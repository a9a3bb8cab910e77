"""What a version predicts, and how well its probabilities were calibrated where it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from summaries.calibration import Calibration
from summaries.quality import Classification


@dataclass(frozen=True)
class Task:
    """``kind`` is classification or regression; ``classes`` of a classification, the positive one of two last."""

    kind: str
    classes: tuple[str, ...] = ()
    calibration: Calibration | None = None


Describe = Callable[[str, str], Task | None]  # model, version; None: not known yet


def of_profile(profile: Mapping[str, Any]) -> Task:
    """The task that a version's profile states; raises what a profile of another form makes raise."""
    kind, classes = str(profile["task"]), tuple(map(str, profile.get("classes") or ()))
    reference = profile.get("quality")
    calibration = None
    if kind == "classification" and reference:
        calibration = Calibration.fit(Classification.from_dict(reference))
    return Task(kind, classes, calibration)
