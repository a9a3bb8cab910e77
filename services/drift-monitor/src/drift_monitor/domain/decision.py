"""A window against its reference: what people read of each feature, and what counts as drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from contracts.events import FeatureDrift, FeatureShape
from numpy.typing import NDArray
from summaries.compare import compare, effect_of
from summaries.detection import Detector, Judgement
from summaries.shape import shape

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """When a feature has drifted, and when a window says so.

    ``alpha`` is the share of quiet windows that may alarm, features, scales and questions together;
    ``min_effect`` the smallest effect (D or Cramér's V) that counts. ``scales``: a window is judged by itself and
    with the windows before it, so many in all. Below ``min_rows`` a window widens over the windows before it,
    up to ``max_widening`` of them, itself included; if that is not enough, nothing is said. With ``window_rows`` windows
    are of rows: one is judged with all windows since the last that was, once they hold so many, and looks back no further
    than ``max_widening`` of them; those in between say nothing. ``alert_windows``
    drifted ones in a row raise an alert, ``recovered_windows`` quiet ones close it.
    """

    alpha: float
    correction: str
    min_effect: float
    min_rows: int
    alert_windows: int
    recovered_windows: int = 3
    scales: tuple[int, ...] = (1, 2)
    max_widening: int = 1
    window_rows: int = 0

    @property
    def windows_back(self) -> int:
        """How many windows' counts a decision may need, its own included."""
        return self.scales[-1] * self.max_widening


@dataclass(frozen=True)
class Verdict:
    """What a window says: whether it drifted, by which judgement, and each feature."""

    drifted: bool
    judgement: Judgement
    features: dict[str, FeatureDrift]


def judge(detector: Detector, counts: Mapping[int, Mapping[str, Counts]], rule: Rule) -> Verdict:
    """Judge the counts of a window by scale (1 is always there).

    Statistic, p-value, PSI and shape are the window's own; the effect is that over the scale that decided.
    """
    judged = detector.judge(counts)
    significant = judged.p_value <= rule.alpha
    suspects = set(judged.suspects) if significant else set()
    features = {}
    for name, reference in detector.references.items():
        tested = judged.features[name]
        own = compare(reference, counts[1][name])
        alone = tested.p_value <= rule.alpha
        scale = tested.scale if alone or name not in suspects else judged.scale
        effect = own.effect if scale == 1 else effect_of(reference, counts[scale][name])
        if tested.by == "missing":  # D of being there or not
            live, known = counts[scale][name], reference.counts
            effect = abs(float(live[-1] / live.sum() - known[-1] / known.sum()))
        drifted = (alone or name in suspects) and effect >= rule.min_effect
        features[name] = msgspec.structs.replace(
            FeatureDrift(**own._asdict(), p_adjusted=tested.p_value, drifted=drifted),
            effect=effect,
            by=tested.by,
            scale=scale,
            shape=FeatureShape(**shape(reference, counts[scale][name])._asdict()) if drifted else None,
        )
    return Verdict(any(feature.drifted for feature in features.values()), judged, features)
