"""One window's counts of a feature against its reference: the fitting test, and an effect size beside it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from summaries.categories import Categories
from summaries.cells import Cells
from summaries.chi2 import chi2_counts
from summaries.codebook import Codebook
from summaries.counts import Counts
from summaries.effects import psi_and_jensen_shannon, wasserstein
from summaries.ks import ks_2samp_counts, largest_distance


class Comparison(NamedTuple):
    """A test's result, uncorrected, as ``contracts.events.FeatureDrift`` names its parts."""

    test: Literal["ks", "chi2"]
    statistic: float
    p_value: float
    effect: float
    effect_name: Literal["D", "cramers_v"]
    missing: int
    psi: float
    jensen_shannon: float
    wasserstein: float | None


def compare(reference: Cells | Categories | Codebook, live: Counts) -> Comparison:
    """Kolmogorov–Smirnov for numbers (missing values set apart), chi-square for categories
    and centroids (missing is one).

    >>> cells = Cells.from_reference([1, 2, 3], "int64")
    >>> compare(cells, cells.counts)  # doctest: +NORMALIZE_WHITESPACE
    Comparison(test='ks', statistic=0.0, p_value=1.0, effect=0.0, effect_name='D', missing=0, psi=0.0,
        jensen_shannon=0.0, wasserstein=0.0)
    """
    if len(live) != reference.size:
        raise ValueError(f"counts over {len(live)} cells, the reference has {reference.size}")
    missing = int(live[reference.missing])
    if isinstance(reference, Cells):
        ref, now = reference.counts[:-1], live[:-1]
        d, p = ks_2samp_counts(ref, now)
        far = wasserstein(reference.edges, ref, now)[0]
        return Comparison("ks", d, p, d, "D", missing, *psi_and_jensen_shannon(ref, now, 10), far)
    chi2 = chi2_counts(reference.counts, live)
    return Comparison(
        "chi2",
        chi2.statistic,
        chi2.p_value,
        chi2.cramers_v,
        "cramers_v",
        missing,
        *psi_and_jensen_shannon(reference.counts, live),
        None,
    )


def effect_of(reference: Cells | Categories | Codebook, live: Counts) -> float:
    """The effect alone, as :func:`compare` says it."""
    if isinstance(reference, Cells):
        return largest_distance(reference.counts[:-1], live[:-1])
    return chi2_counts(reference.counts, live).cramers_v
