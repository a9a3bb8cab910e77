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
from summaries.chi2 import chi2_counts
from summaries.correction import adjust
from summaries.effects import psi
from summaries.ks import ks_2samp_counts
from summaries.shape import shape

Counts = NDArray[np.int64]
PSI_BINS = 10


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
    """One feature before the correction. The last cell is the missing values'."""
    missing = int(live[-1])
    if isinstance(reference, Cells):  # missing values have no place on the line
        d, p = ks_2samp_counts(reference.counts[:-1], live[:-1])
        index = psi(reference.counts[:-1], live[:-1], PSI_BINS)
        return FeatureDrift(test="ks", statistic=d, p_value=p, p_adjusted=p, effect=d, effect_name="D",
                            drifted=False, missing=missing, psi=index)  # fmt: skip
    chi2 = chi2_counts(reference.counts, live)
    index = psi(reference.counts, live)
    return FeatureDrift(test="chi2", statistic=chi2.statistic, p_value=chi2.p_value, p_adjusted=chi2.p_value,
                        effect=chi2.cramers_v, effect_name="cramers_v", drifted=False, missing=missing,
                        psi=index)  # fmt: skip
