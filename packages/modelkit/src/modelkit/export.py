"""From a fitted scikit-learn pipeline to ONNX: one input per column.

A classifier's outputs are ``label`` and ``probabilities``, a regressor's is ``prediction``. skl2onnx computes in float32,
so columns are cast to float32 before training too, and no scaler stands before a tree: a threshold near a value would
flip otherwise. The disagreement is measured, not assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scoring import OnnxModel, Unscorable
from summaries.profile import FieldSpec, Task

OUTPUTS: dict[Task, list[str]] = {"classification": ["label", "probabilities"], "regression": ["prediction"]}


def task_of(pipeline: Any) -> Task:
    """What a pipeline does, as scikit-learn's tags say; raises ``ValueError`` for what is neither."""
    from sklearn.base import is_classifier, is_regressor

    if is_regressor(pipeline):
        return "regression"
    if is_classifier(pipeline):
        return "classification"
    raise ValueError(f"{type(pipeline).__name__} is neither a classifier nor a regressor")


def to_onnx(pipeline: Any, fields: Sequence[FieldSpec]) -> bytes:
    """The ONNX model of a fitted pipeline whose first step takes columns by name.

    Equal pipelines give equal bytes, in whichever process. Inputs are [N, 1] each. Outputs: ``label`` [N] and ``probabilities`` [N, C], or ``prediction`` [N, 1], float32.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    kinds = {
        "float32": FloatTensorType,
        "int64": Int64TensorType,
        "string": StringTensorType,
        "bool": StringTensorType,
    }
    inputs = [(field.name, kinds[field.dtype]([None, 1])) for field in fields]
    final, task = pipeline.steps[-1][1], task_of(pipeline)
    model = convert_sklearn(
        pipeline,
        name="model",  # skl2onnx would draw one: equal models shall be equal bytes
        initial_types=inputs,
        final_types=None,
        options={id(final): {"zipmap": False}} if task == "classification" else None,
        target_opset=18,
    )
    rename = {output.name: name for output, name in zip(model.graph.output, OUTPUTS[task], strict=True)}
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
    # skl2onnx gathers the domains in a set: with strings in the model their order follows PYTHONHASHSEED
    opsets = sorted(model.opset_import, key=lambda entry: entry.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def score(
    model: bytes, frame: pd.DataFrame, fields: Sequence[FieldSpec]
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Predictions [N] and a classifier's probabilities [N, C] of an ONNX model, as the services will have them.

    With one thread, as they do: more add up a forest's trees in another order, which moves the last bits.
    """
    scores = OnnxModel(model, [f.name for f in fields]).score(
        {f.name: frame[f.name].to_numpy() for f in fields}, len(frame)
    )
    return scores.predictions, scores.probabilities


def agreement(
    pipeline: Any, model: bytes, frame: pd.DataFrame, fields: Sequence[FieldSpec]
) -> dict[str, float]:
    """How far the ONNX model and the original are apart, row by row; a regression's differences in the target's unit."""
    predicted, probabilities = score(model, frame, fields)
    columns = frame[[field.name for field in fields]]
    original = np.asarray(pipeline.predict(columns))
    if task_of(pipeline) == "regression":
        apart = np.abs(original.astype(np.float64) - predicted)
        return {"rows": float(len(frame))} | _differences("prediction", apart)
    if probabilities is None:
        raise Unscorable("the model gives no probabilities")
    apart = np.abs(pipeline.predict_proba(columns) - probabilities).max(axis=1)
    return {
        "rows": float(len(frame)),
        "labels_differing": float(np.sum(original.astype(str) != predicted.astype(str))),
    } | _differences("probability", apart)


def _differences(name: str, apart: NDArray[np.float64]) -> dict[str, float]:
    return {
        f"{name}_max_difference": float(apart.max(initial=0.0)),
        f"{name}_mean_difference": float(apart.mean()) if len(apart) else 0.0,
    }
