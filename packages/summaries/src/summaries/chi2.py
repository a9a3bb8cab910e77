"""Pearson's chi-square test of independence of two samples' category counts, and Cramér's V.

Guarantee: equals ``scipy.stats.chi2_contingency(correction=False)`` on the table that :func:`pool` returns.

Cochran, W. G. (1954). Some methods for strengthening the common χ² tests. Biometrics 10(4), 417–451.
Cramér, H. (1946). Mathematical Methods of Statistics. Princeton, p. 282.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from summaries.counts import Counts


class Chi2(NamedTuple):
    """Statistic, p-value, degrees of freedom and Cramér's V."""

    statistic: float
    p_value: float
    dof: int
    cramers_v: float


def pool(reference: Counts, live: Counts, min_expected: float = 5.0) -> NDArray[np.int64]:
    """A 2×C table in which sparse categories share one column.

    A category is sparse where fewer than ``min_expected`` rows are expected of it in either sample; while
    their sum is still sparse it takes in the next rarest. Categories without any row are left out.

    >>> pool(np.array([50, 30, 2, 1, 0]), np.array([40, 40, 1, 2, 0])).tolist()
    [[50, 33], [40, 43]]
    """
    if len(reference) != len(live):
        raise ValueError(f"counts over different cells: {len(reference)} and {len(live)}")
    table = np.stack([reference, live]).astype(np.int64, copy=False)
    table = table[:, table.sum(axis=0) > 0]
    rows, columns, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    if not rows.all():
        return table
    # The smaller sample expects least; a category's sum decides alone.
    needed = min_expected * total / rows.min()
    order = np.argsort(columns, kind="stable")
    sparse = int((columns < needed).sum())
    if sparse == 0:
        return table
    while sparse < len(order) and columns[order[:sparse]].sum() < needed:
        sparse += 1
    kept = np.sort(order[sparse:])
    return np.column_stack([table[:, kept], table[:, order[:sparse]].sum(axis=1)])


def chi2_counts(reference: Counts, live: Counts, min_expected: float = 5.0) -> Chi2:
    """The test on pooled counts. With one category left, or an empty sample, nothing differs: p = 1.

    >>> chi2 = chi2_counts(np.array([60, 40]), np.array([40, 60]))
    >>> chi2.statistic, round(chi2.p_value, 6), chi2.dof, round(chi2.cramers_v, 6)
    (8.0, 0.004678, 1, 0.2)
    """
    table = pool(reference, live, min_expected)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    total = int(rows.sum())
    dof = table.shape[1] - 1
    if dof < 1 or not rows.all():
        return Chi2(0.0, 1.0, 0, 0.0)
    expected = np.outer(rows, columns) / total
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Chi2(statistic, float(chdtrc(dof, statistic)), dof, float(np.sqrt(min(statistic / total, 1.0))))
