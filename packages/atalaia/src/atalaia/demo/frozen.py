"""The first model, which nobody retrained, on the very rows that were served: what if there were no loop?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scoring import OnnxModel
from servicekit.registry import ModelBundle

from atalaia.demo.story import Floats, Outcomes

CHUNK = 20_000


def score(bundle: ModelBundle, outcomes: Outcomes) -> tuple[list[Any], dict[str, Floats]]:
    """Predictions of ``bundle`` and its probabilities by class, for every outcome."""
    model = OnnxModel(bundle.onnx, [f["name"] for f in bundle.profile["features"]])
    predictions: list[Any] = []
    shares: list[Floats] = []
    for start in range(0, len(outcomes), CHUNK):
        n = min(CHUNK, len(outcomes) - start)
        scored = model.score({k: v[start : start + n] for k, v in outcomes.features.items()}, n)
        predictions += scored.predictions.tolist()
        if scored.probabilities is not None:
            shares.append(scored.probabilities.astype(np.float64))
    if not shares:
        return predictions, {}
    table = np.vstack(shares)
    return predictions, {str(c): table[:, i] for i, c in enumerate(bundle.profile["classes"])}
