"""From a fitted scikit-learn pipeline to ONNX: one input per column, outputs ``label`` and ``probabilities``.

skl2onnx computes in float32, so columns are cast to float32 before training too, and no scaler stands before
a tree: a threshold near a value would flip otherwise. The disagreement is measured, not assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scoring import OnnxModel, Unscorable
from summaries.profile import FieldSpec


def to_onnx(pipeline: Any, fields: Sequence[FieldSpec]) -> bytes:
    """The ONNX model of a fitted classifier pipeline whose first step takes columns by name."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    kinds = {
        "float32": FloatTensorType,
        "int64": Int64TensorType,
        "string": StringTensorType,
        "bool": StringTensorType,
    }
    inputs = [(field.name, kinds[field.dtype]([None, 1])) for field in fields]
    final = pipeline.steps[-1][1]
    model = convert_sklearn(
        pipeline,
        name="model",  # skl2onnx would draw one: equal models shall be equal bytes
        initial_types=inputs,
        final_types=None,
        options={id(final): {"zipmap": False}},
        target_opset=18,
    )
    rename = {model.graph.output[0].name: "label", model.graph.output[1].name: "probabilities"}
    for entry, field in zip(
        model.graph.input, fields, strict=True
    ):  # skl2onnx replaces blanks by underscores
        rename[entry.name] = field.name
        entry.name = field.name
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            node.output[i] = rename.get(name, name)
        for i, name in enumerate(node.input):
            node.input[i] = rename.get(name, name)
    for output in model.graph.output:
        output.name = rename[output.name]
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def score(
    model: bytes, frame: pd.DataFrame, fields: Sequence[FieldSpec]
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Labels [N] and probabilities [N, C] of an ONNX classifier, as the services will have them."""
    scores = OnnxModel(model, [f.name for f in fields], threads=2).score(
        {f.name: frame[f.name].to_numpy() for f in fields}, len(frame)
    )
    if scores.probabilities is None:
        raise Unscorable("the model gives no probabilities")
    return scores.predictions, scores.probabilities


def agreement(
    pipeline: Any, model: bytes, frame: pd.DataFrame, fields: Sequence[FieldSpec]
) -> dict[str, float]:
    """How far the ONNX model and the original are apart, row by row."""
    label, probabilities = score(model, frame, fields)
    names = [field.name for field in fields]
    original = pipeline.predict_proba(frame[names])
    apart = np.abs(original - probabilities).max(axis=1)
    return {
        "rows": float(len(frame)),
        "labels_differing": float(
            np.sum(np.asarray(pipeline.predict(frame[names])).astype(str) != label.astype(str))
        ),
        "probability_max_difference": float(apart.max(initial=0.0)),
        "probability_mean_difference": float(apart.mean()) if len(frame) else 0.0,
    }
