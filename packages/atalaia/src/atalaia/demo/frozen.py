"""An earlier model on the very rows that another served: what if there were no loop?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scoring import OnnxModel
from servicekit.registry import ModelBundle

from atalaia.demo.story import Floats, Ints, Outcomes

CHUNK = 20_000


def score(
    bundle: ModelBundle, outcomes: Outcomes, rows: Ints | None = None
) -> tuple[list[Any], dict[str, Floats]]:
    """Predictions of ``bundle`` and its probabilities by class, for every outcome, or for those numbered ``rows``."""
    model = OnnxModel(bundle.onnx, [f["name"] for f in bundle.profile["features"]])
    predictions: list[Any] = []
    shares: list[Floats] = []
    features = outcomes.features
    if rows is not None:
        features = {name: [column[i] for i in rows] for name, column in features.items()}
    count = len(outcomes) if rows is None else len(rows)
    for start in range(0, count, CHUNK):
        n = min(CHUNK, count - start)
        scored = model.score({k: v[start : start + n] for k, v in features.items()}, n)
        predictions += scored.predictions.tolist()
        if scored.probabilities is not None:
            shares.append(scored.probabilities.astype(np.float64))
    if not shares:
        return predictions, {}
    table = np.vstack(shares)
    return predictions, {str(c): table[:, i] for i, c in enumerate(bundle.profile["classes"])}
