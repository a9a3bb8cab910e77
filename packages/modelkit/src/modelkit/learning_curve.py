"""A learning curve: the loss on the test rows of models trained on more and more of the training rows.

The trainer reads it to say how many labelled rows a new world would need (Viering and Loog 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # together less than one training more; the whole is there already
LEAST = 10  # rows


def learning_curve(
    rows: int, whole: float, loss: Callable[[Any], float | None], seed: int
) -> dict[str, list[float]]:
    """``rows`` [n...] and ``loss`` [n...], smallest first; ``whole`` is the loss of the model of all ``rows``.

    ``loss`` trains on the rows at an index and gives the loss on the test rows, or None where these cannot be trained on. The
    samples are nested, drawn by ``seed``.

    >>> learning_curve(64, 0.1, lambda index: 1 / len(index), 0)
    {'rows': [16, 32, 64], 'loss': [0.0625, 0.03125, 0.1]}
    """
    order = np.random.default_rng(seed).permutation(rows)
    sizes = [n for n in (round(share * rows) for share in SHARES) if n >= LEAST]
    found = [(n, loss(np.sort(order[:n]))) for n in sizes]
    pairs = [(n, value) for n, value in found if value is not None] + [(rows, whole)]
    return {"rows": [n for n, _ in pairs], "loss": [value for _, value in pairs]}
