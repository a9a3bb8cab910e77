"""Corrections for testing many features at once.

Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1), 289–300.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def benjamini_hochberg(p: Sequence[float]) -> NDArray[np.float64]:
    """Adjusted p-values; rejecting those ≤ α bounds the expected share of false ones among them by α.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    values = _checked(p)
    m = len(values)
    order = np.argsort(values)
    scaled = values[order] * (m / np.arange(1, m + 1))
    adjusted = np.empty(m)
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.clip(adjusted, 0.0, 1.0)


def bonferroni(p: Sequence[float]) -> NDArray[np.float64]:
    """Adjusted p-values; rejecting those ≤ α bounds the chance of any false one by α.

    >>> bonferroni([0.01, 0.4]).tolist()
    [0.02, 0.8]
    """
    values = _checked(p)
    return np.minimum(values * len(values), 1.0)


def adjust(p: Sequence[float], method: str = "bh") -> NDArray[np.float64]:
    """Adjusted p-values by the correction named ``bh``, ``bonferroni`` or ``none``."""
    methods: dict[str, Callable[[Sequence[float]], NDArray[np.float64]]] = {
        "bh": benjamini_hochberg,
        "bonferroni": bonferroni,
        "none": _checked,
    }
    if method not in methods:
        raise ValueError(f"correction is one of {', '.join(methods)}, not {method!r}")
    return methods[method](p)


def _checked(p: Sequence[float]) -> NDArray[np.float64]:
    values = np.array(p, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a p-value lies in [0, 1]")
    return values
