"""How much slower one model answers than another, by the least time of each in turns: noise only ever adds.

The processor's time counts, not the clock's: on a busy machine a model that others are put before would seem slow.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from servicekit.registry import ModelBundle

from trainer.domain.challenge import model_of
from trainer.domain.columns import Array

TURNS = {1: 50, 1_000: 5}  # rows of a request: how often each is scored


def latency_ratio(champion: ModelBundle, challenger: ModelBundle, features: Mapping[str, Array]) -> float:
    """The challenger's time by the champion's, of one row or of a thousand, whichever is worse.

    ``features`` are columns of at least one row. Raises as :class:`scoring.OnnxModel`.
    """
    models = [model_of(bundle.onnx, bundle.profile) for bundle in (champion, challenger)]
    worst = 0.0
    for rows, turns in TURNS.items():
        columns = {name: column[:rows] for name, column in features.items()}
        n = min(rows, min(map(len, columns.values())))
        least = [float("inf"), float("inf")]
        for _ in range(turns):
            for i, model in enumerate(models):
                began = time.process_time()
                model.score(columns, n)
                least[i] = min(least[i], time.process_time() - began)
        worst = max(worst, least[1] / least[0])
    return worst
