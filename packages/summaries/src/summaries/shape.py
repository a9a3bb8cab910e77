"""What a plot of one feature needs: two ECDFs at a few points, or two sets of shares."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from summaries.categories import Categories
from summaries.cells import Cells
from summaries.codebook import Codebook
from summaries.counts import Counts

UNSEEN, MISSING, OTHER = "(unseen)", "(missing)", "(other)"


class Shape(NamedTuple):
    """As ``contracts.events.FeatureShape``: ECDFs at ``x`` (numeric) or shares by category ``x``."""

    kind: Literal["numeric", "categorical"]
    x: list[float | str]
    reference: list[float]
    live: list[float]


def shape(reference: Cells | Categories | Codebook, counts: Counts, points: int = 64) -> Shape:
    """At most ``points`` points that show how ``counts`` lie against ``reference``.

    ECDFs are exact at their points, which are quantiles of the reference, its extremes included; the live one
    ends below 1 where live values lie beyond. Of many categories the most frequent are named.

    >>> shape(Cells.from_reference([1, 2], "int64"), np.array([2, 1, 0, 0, 1, 0]))
    Shape(kind='numeric', x=[1, 2], reference=[0.5, 1.0], live=[0.75, 0.75])
    """
    if len(counts) != reference.size:
        raise ValueError(f"counts over {len(counts)} cells, the reference has {reference.size}")
    if isinstance(reference, Cells):
        return _ecdf(reference, counts, points)
    return _shares(reference, counts, points)


def _ecdf(cells: Cells, counts: Counts, points: int) -> Shape:
    ref, live = (np.cumsum(c[:-1]) / max(int(c[:-1].sum()), 1) for c in (cells.counts, counts))
    at_edges = ref[1::2]
    k = len(cells.edges)
    at = np.arange(k)
    if k > points:
        at = np.unique(np.clip(at_edges.searchsorted(np.linspace(0, 1, points - 1)), 0, k - 1))
        at = np.unique(np.append(at, k - 1))
    return Shape("numeric", cells.edges[at].tolist(), at_edges[at].tolist(), live[1::2][at].tolist())


def _shares(categories: Categories | Codebook, counts: Counts, points: int) -> Shape:
    # A codebook has no unseen: whatever comes is nearest to some centroid.
    rest_of = [UNSEEN, MISSING] if isinstance(categories, Categories) else [MISSING]
    names = np.array([*categories.names, *rest_of], dtype=object)
    ref, live = (c / max(int(c.sum()), 1) for c in (categories.counts, counts))
    used = np.flatnonzero((ref + live > 0) | (np.arange(len(names)) < len(categories.names)))
    if len(used) <= points:
        return Shape("categorical", names[used].tolist(), ref[used].tolist(), live[used].tolist())
    top = used[np.sort(np.argsort(-(ref + live)[used], kind="stable")[: points - 1])]
    rest = np.setdiff1d(used, top)
    return Shape(
        "categorical",
        [*names[top].tolist(), OTHER],
        [*ref[top].tolist(), float(ref[rest].sum())],
        [*live[top].tolist(), float(live[rest].sum())],
    )
