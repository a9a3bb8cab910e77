"""The first model, which nobody retrained, on the very rows that were served: what if there were no loop?"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from servicekit.registry import ModelBundle

from atalaia.demo.story import Floats, Outcomes

CHUNK = 20_000
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def _column(values: list[Any], kind: str) -> Any:
    if kind == "tensor(string)":
        column: Any = np.array(["" if v is None else str(v) for v in values], dtype=object)
    else:
        dtype = _DTYPES[kind]
        column = np.array([np.nan if v is None else v for v in values]).astype(dtype)
    return column.reshape(-1, 1)


def score(bundle: ModelBundle, outcomes: Outcomes) -> tuple[list[Any], dict[str, Floats]]:
    """Predictions of ``bundle`` and its probabilities by class, for every outcome."""
    session = onnxruntime.InferenceSession(bundle.onnx, providers=["CPUExecutionProvider"])
    fields = [f["name"] for f in bundle.profile["features"]]
    inputs = session.get_inputs()
    predictions: list[Any] = []
    shares: list[Floats] = []
    for start in range(0, len(outcomes), CHUNK):
        rows = {name: column[start : start + CHUNK] for name, column in outcomes.features.items()}
        if {i.name for i in inputs} <= set(fields):
            feed = {i.name: _column(rows[i.name], i.type) for i in inputs}
        else:  # one matrix of all features
            feed = {inputs[0].name: np.hstack([_column(rows[f], inputs[0].type) for f in fields])}
        outputs = session.run(None, feed)
        predictions += np.asarray(outputs[0]).reshape(-1).tolist()
        if len(outputs) > 1:
            scores = outputs[1]
            shares.append(
                np.array([list(row.values()) for row in scores], dtype=np.float64)
                if isinstance(scores, list)
                else np.asarray(scores, dtype=np.float64)
            )
    if not shares:
        return predictions, {}
    table = np.vstack(shares)
    return predictions, {str(c): table[:, i] for i, c in enumerate(bundle.profile["classes"])}
