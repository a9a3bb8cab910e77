"""From a LightGBM booster to ONNX: one input per column, as :func:`modelkit.export.to_onnx` does for scikit-learn.

onnxmltools takes one matrix of numbers and a classifier's classes as 0 … C - 1. The columns are put together before, and
the classes' own names put in after. It writes no operators newer than opset 15.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from summaries.labels import names_of
from summaries.profile import FieldSpec

from modelkit.export import OUTPUTS
from modelkit.fitted import Answers, Fitted

TARGET_OPSET = 15
DETERMINISTIC = {"deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1}
"""Parameters with which ``lightgbm.train`` gives the same trees twice, beside a ``seed``.

See "deterministic" in LightGBM's documentation, Parameters.
"""


def from_lightgbm(booster: Any, fields: Sequence[FieldSpec], classes: Sequence[Any] | None = None) -> Fitted:
    """A booster that ``lightgbm.train`` made of ``fields``, in their order.

    ``classes`` [C] are a classifier's, in the order of the numbers it was trained on; None: a regression.
    """

    def predict(frame: pd.DataFrame) -> Answers:
        answers = np.asarray(booster.predict(frame[[field.name for field in fields]]))
        if classes is None:
            return answers, None
        probabilities = answers if answers.ndim == 2 else np.column_stack([1 - answers, answers])
        return np.asarray(classes)[probabilities.argmax(axis=1)], probabilities

    return Fitted(predict, lambda: to_onnx(booster, fields, classes), classes)


def to_onnx(booster: Any, fields: Sequence[FieldSpec], classes: Sequence[Any] | None) -> bytes:
    """The ONNX model of a booster. Inputs are [N, 1] each, outputs as :data:`modelkit.export.OUTPUTS`.

    Raises ``ValueError`` for a field that is no number, and where booster and fields or classes do not match.
    """
    from onnx import TensorProto, helper
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    texts = [field.name for field in fields if field.dtype not in ("float32", "int64")]
    if texts:
        raise ValueError(f"LightGBM takes numbers: encode {', '.join(texts)} before it")
    if booster.num_feature() != len(fields):
        raise ValueError(
            f"the booster takes {booster.num_feature()} features, there are {len(fields)} fields"
        )
    if classes is not None and len(classes) != max(2, booster.num_model_per_iteration()):
        raise ValueError(f"{len(classes)} classes do not match the booster's objective")
    model = convert_lightgbm(
        booster,
        name="model",
        initial_types=[("matrix", FloatTensorType([None, len(fields)]))],
        zipmap=False,
        target_opset=TARGET_OPSET,
    )
    graph = model.graph
    before, columns = [], []
    for field in fields:
        columns.append(field.name)
        if field.dtype == "int64":
            columns[-1] = f"{field.name}_as_float"
            before.append(helper.make_node("Cast", [field.name], [columns[-1]], to=TensorProto.FLOAT))
    before.append(helper.make_node("Concat", columns, ["matrix"], axis=1))
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    inputs = [helper.make_tensor_value_info(f.name, kinds[f.dtype], [None, 1]) for f in fields]
    if classes is None:
        rename = {graph.output[0].name: OUTPUTS["regression"][0]}
        outputs = [helper.make_tensor_value_info(OUTPUTS["regression"][0], TensorProto.FLOAT, [None, 1])]
        after = []
    else:
        number, (label, probabilities) = graph.output[0].name, OUTPUTS["classification"]
        rename = {number: "class_number", graph.output[1].name: probabilities}
        names, kind = _values(classes)
        after = [
            helper.make_node(
                "LabelEncoder", ["class_number"], [label], domain="ai.onnx.ml",
                keys_int64s=list(range(len(classes))), **names,
            )
        ]  # fmt: skip
        outputs = [
            helper.make_tensor_value_info(label, kind, [None]),
            helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, [None, len(classes)]),
        ]
    for node in graph.node:
        for entries in (node.input, node.output):
            for i, name in enumerate(entries):
                entries[i] = rename.get(name, name)
    made = helper.make_model(
        helper.make_graph([*before, *graph.node, *after], "model", inputs, outputs, graph.initializer),
        # LabelEncoder has keys and values since version 2 of ai.onnx.ml, Concat of the operators is older
        opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)],
        ir_version=8,
    )
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def _values(classes: Sequence[Any]) -> tuple[dict[str, list[Any]], int]:
    """The classes as an attribute of ``LabelEncoder``, and the output's type: whole numbers stay, others become their text."""
    from onnx import TensorProto

    if all(isinstance(c, int | np.integer) and not isinstance(c, bool) for c in classes):
        return {"values_int64s": [int(c) for c in classes]}, TensorProto.INT64
    return {"values_strings": names_of(np.array(classes)).tolist()}, TensorProto.STRING
