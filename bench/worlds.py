"""Streams with a known change: 11 features, a reference of 2,000 rows, windows of 500. Pure numpy.

Each (seed, kind) is one world; the features that do not change, and the quiet windows before, are the same for
every kind of one seed, so kinds are compared on the same chance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FEATURES, MOVED = 11, 3
REFERENCE, ROWS = 2000, 500
Floats = NDArray[np.float64]
Change = Callable[[Floats, int, np.random.Generator], Floats]


def _shift(size: float) -> Change:
    return lambda x, window, generator: x + size


def _gradual(x: Floats, window: int, generator: np.random.Generator) -> Floats:
    """A growing share of rows comes from the new world: a fifth more each window."""
    new = generator.random(x.shape) < min(1.0, 0.2 * (window + 1))
    return x + 0.5 * new


def _incremental(x: Floats, window: int, generator: np.random.Generator) -> Floats:
    """The mean wanders off by 0.1 sd a window."""
    return x + 0.1 * (window + 1)


def _recurring(x: Floats, window: int, generator: np.random.Generator) -> Floats:
    """Two windows of the new world, two of the old."""
    return x + 0.5 * (window % 4 < 2)


def _spread(x: Floats, window: int, generator: np.random.Generator) -> Floats:
    return 1.3 * x


def _outliers(x: Floats, window: int, generator: np.random.Generator) -> Floats:
    """One row in a hundred is ten standard deviations off, on either side."""
    off = generator.random(x.shape) < 0.01
    return np.where(off, 10.0 * np.where(generator.random(x.shape) < 0.5, -1, 1), x)


def _noise(x: Floats, window: int, generator: np.random.Generator) -> Floats:
    """Measurement noise of a tenth of a standard deviation: nothing that matters has changed."""
    return x + 0.1 * generator.normal(size=x.shape)


KINDS: dict[str, Change] = {
    "shift of 0.1 sd": _shift(0.1),
    "shift of 0.2 sd": _shift(0.2),
    "shift of 0.3 sd": _shift(0.3),
    "shift of 0.5 sd": _shift(0.5),
    "gradual": _gradual,
    "incremental": _incremental,
    "recurring": _recurring,
    "spread of 1.3 sd": _spread,
    "outliers of 1%": _outliers,
    "noise of 0.1 sd": _noise,
}
NO_DRIFT = ("outliers of 1%", "noise of 0.1 sd")


def reference(seed: int) -> Floats:
    """[2000, 11]."""
    return np.random.default_rng([seed, 0]).normal(size=(REFERENCE, FEATURES))


def quiet(seed: int, window: int) -> Floats:
    """[500, 11] of a quiet window."""
    return np.random.default_rng([seed, 1, window]).normal(size=(ROWS, FEATURES))


def changed(seed: int, kind: str, window: int) -> Floats:
    """[500, 3] of the features that change, in the ``window``-th window of the change."""
    number = list(KINDS).index(kind)
    x = np.random.default_rng([seed, 2, window]).normal(size=(ROWS, MOVED))
    return KINDS[kind](x, window, np.random.default_rng([seed, 3, window, number]))
