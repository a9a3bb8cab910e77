"""From a trained model to ONNX: scikit-learn pipelines, one input per column.

A classifier's outputs are ``label`` and ``probabilities``, a regressor's is ``prediction``. skl2onnx computes in float32,
so columns are cast to float32 before training too, and no scaler stands before a tree: a threshold near a value would
flip otherwise. The disagreement is measured, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scoring import OnnxModel
from summaries.profile import FieldSpec, Task

from modelkit.fitted import Answers, Fit, Fitted

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


def from_sklearn(pipeline: Any, fields: Sequence[FieldSpec]) -> Fitted:
    """A fitted scikit-learn pipeline. From here on it answers with one thread: more add up in another order each time."""
    task, final = task_of(pipeline), pipeline.steps[-1][1]
    if "n_jobs" in final.get_params():
        final.set_params(n_jobs=1)

    def predict(frame: pd.DataFrame) -> Answers:
        answers = np.asarray(pipeline.predict(frame))
        return answers, None if task == "regression" else np.asarray(pipeline.predict_proba(frame))

    classes = None if task == "regression" else list(pipeline.classes_)
    return Fitted(predict, lambda: to_onnx(pipeline, fields), classes)


def sklearn_fit(make: Callable[[dict[str, Any]], Any], fields: Sequence[FieldSpec]) -> Fit:
    """A :data:`modelkit.fitted.Fit` out of what makes an untrained pipeline from its parameters.

    Weights go to the pipeline's last step; one that takes none raises ``NotImplementedError``.
    """

    def fit(frame: pd.DataFrame, target: Any, params: dict[str, Any], weights: Any) -> Fitted:
        from sklearn.utils.validation import has_fit_parameter

        pipeline, given = make(params), {}
        if weights is not None:
            name, final = pipeline.steps[-1]
            if not has_fit_parameter(final, "sample_weight"):
                raise NotImplementedError(f"{type(final).__name__} takes no weights")
            given = {f"{name}__sample_weight": weights}
        return from_sklearn(pipeline.fit(frame, target, **given), fields)

    return fit
