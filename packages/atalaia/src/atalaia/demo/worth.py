"""Whether a promoted version did better on the rows that it then served than the version before it would have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from servicekit.registry import ModelBundle

from atalaia.demo.frozen import score
from atalaia.demo.story import Floats, Ints, Outcomes

DAY = 86_400_000
FEWEST_BLOCKS = 10
DRAWS = 2000


@dataclass(frozen=True)
class Worth:
    """Losses of ``version`` and of ``previous`` on the same ``rows``: those that ``version`` served and that have labels.

    ``metric``: mean log loss, or the error rate where there are no probabilities. ``low`` to ``high`` holds the gain
    with 95%, by drawing whole days (single rows where there are fewer than ten days): rows of a day share its weather.
    """

    version: str
    previous: str
    metric: str
    rows: int
    before: float
    after: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """Above 0: the promotion was for the better."""
        return self.before - self.after

    @property
    def proven(self) -> bool:
        """Better beyond chance."""
        return self.low > 0


def worths(outcomes: Outcomes, bundles: Mapping[str, ModelBundle], served: Sequence[str]) -> dict[str, Worth]:
    """Of each version but the first of ``served``, in that order, that has labelled rows."""
    found = {}
    version_of = np.array(outcomes.version, dtype=object)
    for previous, version in pairwise(served):
        at = np.flatnonzero(version_of == version)
        if not len(at):
            continue
        truth = [str(outcomes.truth[i]) for i in at]
        predicted = [outcomes.predicted[i] for i in at]
        served_p = {name: np.array([p[i] for i in at]) for name, p in outcomes.probabilities.items()}
        losses = [
            _losses(truth, *score(bundles[previous], outcomes, at)),
            _losses(truth, predicted, served_p),
        ]
        metric = "log loss" if _has(truth, served_p) else "error rate"
        low, high = _interval(losses[0] - losses[1], np.array([outcomes.event_time[i] for i in at]))
        found[version] = Worth(
            version, previous, metric, len(at), float(losses[0].mean()), float(losses[1].mean()), low, high
        )
    return found


def _has(truth: list[str], probabilities: Mapping[str, Floats]) -> bool:
    return set(truth) <= set(probabilities)


def _losses(truth: list[str], predicted: Sequence[Any], probabilities: Mapping[str, Floats]) -> Floats:
    """[rows] minus the log of the probability of what was true; without probabilities 1 for a wrong answer."""
    if not _has(truth, probabilities):
        return np.array([float(str(p) != t) for p, t in zip(predicted, truth, strict=True)])
    names = {name: i for i, name in enumerate(probabilities)}
    table = np.array(list(probabilities.values()), dtype=np.float64)
    chosen = table[[names[t] for t in truth], np.arange(len(truth))]
    return np.asarray(-np.log(np.clip(chosen, 1e-7, 1 - 1e-7)))


def _interval(gains: Floats, time: Ints) -> tuple[float, float]:
    """95% of the mean gain over draws of whole days."""
    _, block = np.unique(time // DAY, return_inverse=True)
    if block.max() + 1 < FEWEST_BLOCKS:
        block = np.arange(len(gains))
    sums, sizes = np.bincount(block, gains), np.bincount(block)
    drawn = np.random.default_rng(0).integers(len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
