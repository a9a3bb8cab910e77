"""A window against its reference: tests, effects, and what counts as drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from contracts.events import FeatureDrift, FeatureShape
from numpy.typing import NDArray
from summaries.categories import Categories
from summaries.cells import Cells
from summaries.compare import compare
from summaries.correction import adjust
from summaries.shape import shape

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """When a feature has drifted, and when a window says so.

    ``alpha`` bounds the p-value after ``correction`` across features; ``min_effect`` is the smallest effect
    (D or Cramér's V) that counts; below ``min_rows`` nothing is said; ``alert_windows`` in a row alert.
    """

    alpha: float
    correction: str
    min_effect: float
    min_rows: int
    alert_windows: int


def judge(
    reference: Mapping[str, Cells | Categories], counts: Mapping[str, Counts], rule: Rule
) -> dict[str, FeatureDrift]:
    """Each feature's test; drifted ones carry the shape that a plot needs."""
    tests = {name: _test(known, counts[name]) for name, known in reference.items()}
    adjusted = adjust([test.p_value for test in tests.values()], rule.correction)
    judged = {}
    for (name, test), p in zip(tests.items(), adjusted.tolist(), strict=True):
        drifted = p < rule.alpha and test.effect >= rule.min_effect
        plot = FeatureShape(**shape(reference[name], counts[name])._asdict()) if drifted else None
        judged[name] = msgspec.structs.replace(test, p_adjusted=p, drifted=drifted, shape=plot)
    return judged


def _test(reference: Cells | Categories, live: Counts) -> FeatureDrift:
    """One feature before the correction."""
    found = compare(reference, live)
    return FeatureDrift(**found._asdict(), p_adjusted=found.p_value, drifted=False)
