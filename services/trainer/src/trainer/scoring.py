"""Scores rows with a registered version's ONNX model, as the predictor does."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.domain.challenge import Scored
from trainer.domain.columns import Array
from trainer.domain.ledger import Rows

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def score(onnx: bytes, profile: dict[str, Any], rows: Rows) -> Scored:
    """Predictions and probabilities of every row; blocking, so call it in a thread."""
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    inputs, fields = session.get_inputs(), profile["features"]
    if {i.name for i in inputs} <= {field["name"] for field in fields}:
        feed = {i.name: _column(rows.features[i.name], i.type).reshape(-1, 1) for i in inputs}
    else:  # one matrix of all features
        columns = [_column(rows.features[field["name"]], inputs[0].type) for field in fields]
        feed = {inputs[0].name: np.column_stack(columns)}
    outputs = session.run(None, feed)
    predictions = np.asarray(outputs[0]).reshape(-1)
    if profile["task"] == "regression" or len(outputs) < 2:
        return Scored(predictions)
    if isinstance(outputs[1], list):  # ZipMap: a dict a row
        shares = np.array([list(row.values()) for row in outputs[1]])
    else:
        shares = np.asarray(outputs[1])
    return Scored(predictions, {c: shares[:, i].astype(np.float64) for i, c in enumerate(profile["classes"])})


def _column(column: Array, kind: str) -> Array:
    if kind == "tensor(string)":  # a missing text is empty, as it was in training
        spelt = (str(v).lower() if isinstance(v, bool) else v for v in column.tolist())
        return np.array(["" if v is None else str(v) for v in spelt], dtype=object)
    return column.astype(_TYPES[kind])
