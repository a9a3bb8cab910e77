"""The decision on a window: how unlikely are its counts where nothing has changed?

A window is judged at several *scales*, itself and the sums of the last so many windows, because a small change
needs more rows to show and counts add. At each scale two questions are asked: has any *single* feature changed
(the correction across features), and have all *jointly* (Fisher's combination, for changes too small to show
in one)? Each of the questions gets an equal share of the false-alarm budget, stated below, by Bonferroni's
inequality; so whatever their dependence

    P(window's p-value <= alpha | nothing changed) <= alpha

up to the error of each test's own p-value, and the expected number of false alarms in T windows is at most
alpha · T, whatever the dependence between windows. It holds on average over reference samples: one that is
itself unlucky alarms more often.

Numeric features are tested by Anderson–Darling (more powerful than Kolmogorov–Smirnov against shifts and in the
tails), categorical ones by chi-square; the centroids of a codebook by chi-square and, with half of the feature's
budget, what is far from all of them by the exact test, because a few such rows are news that sparse cells, pooled, hide; the share of missing numbers has a tenth of a feature's budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from summaries.anderson_darling import anderson_darling_counts, group_of, null_law
from summaries.categories import Categories
from summaries.cells import Cells
from summaries.chi2 import chi2_counts
from summaries.codebook import Codebook
from summaries.correction import adjust
from summaries.counts import Counts
from summaries.joint import JointLaw
from summaries.missing import missing_log_p
from summaries.quadratic_form import QuadraticForm

Reference = Cells | Categories | Codebook
By = Literal["anderson_darling", "chi2", "missing"]
Question = Literal["single", "joint"]
MISSING_SHARE = 0.1
SUSPECT_LEVEL = 0.05  # a joint change names the features below it after correction
_TINY = 1e-300


@dataclass(frozen=True)
class Tested:
    """One feature: ``p_value`` after correction and shares of the budget, the test and scale that gave it."""

    p_value: float
    by: By
    scale: int


@dataclass(frozen=True)
class Judgement:
    """A window: ``p_value`` is to be held against alpha; ``question`` and ``scale`` gave it.

    ``suspects`` are the features that a joint change names: none of them need be significant alone.
    """

    p_value: float
    question: Question
    scale: int
    features: dict[str, Tested] = field(default_factory=dict)
    suspects: list[str] = field(default_factory=list)


class Detector:
    """Judges windows against one reference.

    ``references`` by monitored name; ``joint`` is the law of Fisher's sum over ``joint_names``, None where the
    dependence of the features is not known: then the single features have the whole budget.
    """

    def __init__(
        self,
        references: Mapping[str, Reference],
        *,
        scales: Sequence[int] = (1, 2),
        correction: str = "bh",
        joint: JointLaw | None = None,
        joint_names: Sequence[str] = (),
    ) -> None:
        if not scales or sorted(set(scales)) != list(scales) or scales[0] < 1:
            raise ValueError(f"scales are whole numbers from 1 in rising order, not {list(scales)}")
        if joint is not None and joint.tests != len(joint_names):
            raise ValueError(f"the joint law is of {joint.tests} tests, {len(joint_names)} are named")
        self.references, self.scales, self.correction = dict(references), tuple(scales), correction
        self._joint, self._joint_names = joint, list(joint_names)
        self._laws: dict[str, QuadraticForm] = {
            name: null_law(known.counts[:-1])
            for name, known in references.items()
            if isinstance(known, Cells)
        }

    @property
    def shares(self) -> dict[Question, float]:
        """Of the budget, what each question has at each scale."""
        each = 1 / len(self.scales)
        return {"single": each} if self._joint is None else {"single": each / 2, "joint": each / 2}

    def log_p(self, name: str, live: Counts) -> tuple[float, By]:
        """ln p of one feature's counts, uncorrected, and the test that gave it."""
        known = self.references[name]
        if len(live) != known.size:
            raise ValueError(f"{name}: counts over {len(live)} cells, the reference has {known.size}")
        if not isinstance(known, Cells):
            shares = math.log(max(chi2_counts(known.counts, live).p_value, _TINY))
            if isinstance(known, Codebook):
                at, rows = known.far, int(live.sum())
                far = missing_log_p(int(known.counts[at]), known.rows, int(live[at]), rows)
                shares = min(0.0, min(shares, far) + math.log(2))
            return shares, "chi2"
        values = self._laws[name].log_sf(float(anderson_darling_counts(known.counts[:-1], live[:-1])))
        missing = missing_log_p(int(known.counts[-1]), known.rows, int(live[-1]), int(live.sum()))
        values -= math.log(1 - MISSING_SHARE)
        missing -= math.log(MISSING_SHARE)
        return (min(0.0, missing), "missing") if missing < values else (min(0.0, values), "anderson_darling")

    def judge(self, counts: Mapping[int, Mapping[str, Counts]]) -> Judgement:
        """The window's counts by scale; a scale that is not there yet leaves its share of the budget unused."""
        shares = self.shares
        best: dict[str, Tested] = {}
        judged = Judgement(1.0, "single", self.scales[0])
        for scale in self.scales:
            if scale not in counts:
                continue
            found = {name: self.log_p(name, counts[scale][name]) for name in self.references}
            raw = [math.exp(log_p) for log_p, _ in found.values()]
            adjusted = dict(zip(found, adjust(raw, self.correction).tolist(), strict=True))
            for name, p in adjusted.items():
                p = min(1.0, p / shares["single"])
                if name not in best or p < best[name].p_value:
                    best[name] = Tested(p, found[name][1], scale)
                if p < judged.p_value:
                    judged = Judgement(p, "single", scale)
            if self._joint is not None:
                log_p = self._joint.log_sf([found[name][0] for name in self._joint_names])
                p = min(1.0, math.exp(log_p) / shares["joint"])
                if p < judged.p_value:
                    judged = Judgement(p, "joint", scale, suspects=self._suspects(adjusted))
        return Judgement(judged.p_value, judged.question, judged.scale, best, judged.suspects)

    def _suspects(self, adjusted: Mapping[str, float]) -> list[str]:
        names = self._joint_names
        below = [name for name in names if adjusted[name] <= SUSPECT_LEVEL]
        return below or [min(names, key=lambda name: adjusted[name])]


def dependence(
    references: Mapping[str, Reference],
    cells: Mapping[str, NDArray[np.int64]],
    *,
    rows: int = 500,
    windows: int = 2000,
    seed: int = 0,
) -> JointLaw:
    """The joint law of a reference's features, from ``windows`` windows of ``rows`` rows resampled from it.

    ``cells[name]`` [N] are the reference rows' own cells, row by row: rows are drawn whole, so that what depends
    on what is kept. Neighbouring cells are grouped, which changes how the tests go together by little.
    """
    n = len(next(iter(cells.values()))) if cells else 0
    if len(cells) < 2 or n < 2:
        return JointLaw.independent(len(cells))
    size = min(rows, n)
    drawn = np.random.default_rng(seed).integers(0, n, (windows, size))
    log_p = np.empty((windows, len(cells)))
    for i, (name, placed) in enumerate(cells.items()):
        known = references[name]
        if isinstance(known, Cells):
            group = group_of(known.counts[:-1])
            present = placed < known.missing
            at = np.append(group, 0)[np.minimum(placed, len(group))]
            reference = np.bincount(at[present], minlength=int(group[-1]) + 1)
            law, live = null_law(reference), _counted(at, drawn, len(reference), present)
            log_p[:, i] = law.log_sf(anderson_darling_counts(reference, live))
        else:
            used = np.flatnonzero(known.counts)
            at = np.searchsorted(used, placed)
            live = _counted(at, drawn, len(used))
            log_p[:, i] = [np.log(max(chi2_counts(known.counts[used], w).p_value, _TINY)) for w in live]
    return JointLaw.of(log_p)


def _counted(
    at: NDArray[np.int64], drawn: NDArray[np.int64], size: int, keep: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Counts [windows, size] of the rows drawn."""
    windows = len(drawn)
    flat = at[drawn] + size * np.arange(windows)[:, None]
    flat = flat[keep[drawn]] if keep is not None else flat.ravel()
    return np.bincount(flat, minlength=size * windows).reshape(windows, size)
