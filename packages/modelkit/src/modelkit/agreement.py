"""How far an exported model and the original that it was exported from are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scoring import Unscorable
from summaries.labels import names_of
from summaries.profile import FieldSpec

from modelkit.export import score
from modelkit.fitted import Fitted


def agreement(fitted: Fitted, frame: pd.DataFrame, fields: Sequence[FieldSpec]) -> dict[str, float]:
    """How far the ONNX model and the original are apart, row by row; a regression's differences in the target's unit."""
    predicted, probabilities = score(fitted.onnx, frame, fields)
    original, given = fitted.predict(frame[[field.name for field in fields]])
    rows = {"rows": float(len(frame))}
    if fitted.task == "regression":
        return rows | _apart("prediction", np.abs(np.asarray(original, dtype=np.float64) - predicted))
    if probabilities is None or given is None:
        raise Unscorable("the model gives no probabilities")
    differing = names_of(original) != names_of(predicted)
    farthest = np.abs(given - probabilities).max(axis=1)
    return rows | {"labels_differing": float(differing.sum())} | _apart("probability", farthest)


def _apart(name: str, apart: NDArray[np.float64]) -> dict[str, float]:
    return {
        f"{name}_max_difference": float(apart.max(initial=0.0)),
        f"{name}_mean_difference": float(apart.mean()) if len(apart) else 0.0,
    }
