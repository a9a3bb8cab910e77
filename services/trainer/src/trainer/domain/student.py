"""Student's t distribution, for as many degrees of freedom as there are blocks less one."""

from __future__ import annotations

from functools import cache
from math import atan, cos, pi, sin, sqrt

STEPS = 80  # of bisection: to the last digits of a float


def within(t: float, freedom: int) -> float:
    """The chance that |T| is at most ``t`` >= 0, exact for a whole number of degrees of freedom >= 1.

    Abramowitz & Stegun (1964), 26.7.3 and 26.7.4.

    >>> round(within(2.0930, 19), 4)
    0.95
    """
    angle = atan(t / sqrt(freedom))
    square = cos(angle) ** 2
    odd = freedom % 2
    term = total = cos(angle) if odd else 1.0
    for k in range(2 if odd else 1, freedom - 2, 2):
        term *= square * k / (k + 1)
        total += term
    if not odd:
        return sin(angle) * total
    return 2 / pi * (angle + (sin(angle) * total if freedom > 1 else 0.0))


@cache
def quantile(chance: float, freedom: int) -> float:
    """The ``t`` for which :func:`within` is ``chance``, 0 <= chance < 1.

    >>> round(quantile(0.95, 19), 3), round(quantile(0.99, 1), 2)
    (2.093, 63.66)
    """
    low, high = 0.0, 1.0
    while within(high, freedom) < chance:
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < chance else (low, middle)
    return high
