"""One way to put rows through a model: layouts, spellings, missing values, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from scoring import OnnxModel, Unscorable, Unusable


def echo(kind: int, names: tuple[str, ...] = ("a",)) -> bytes:
    """One input [N, 1] a name; the first comes back as the prediction."""
    infos = [helper.make_tensor_value_info(name, kind, [None, 1]) for name in names]
    output = helper.make_tensor_value_info("label", kind, [None, 1])
    graph = helper.make_graph([helper.make_node("Identity", [names[0]], ["label"])], "g", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


COLUMNS = ["x", None, True, False, 7]


@pytest.mark.parametrize("column", [COLUMNS, np.array(COLUMNS, dtype=object)])
def test_texts_are_spelt_as_in_training(column: Any) -> None:
    """A missing text is empty and a boolean lower case, from a list and from an array alike."""
    scores = OnnxModel(echo(TensorProto.STRING), ["a"]).score({"a": column}, 5)
    assert scores.predictions.tolist() == ["x", "", "true", "false", "7"]
    assert scores.probabilities is None


def test_numpy_booleans_are_spelt_as_pythons() -> None:
    """An array of bool and a list of bool are one."""
    scores = OnnxModel(echo(TensorProto.STRING), ["a"]).score({"a": np.array([True, False])}, 2)
    assert scores.predictions.tolist() == ["true", "false"]


@pytest.mark.parametrize("column", [[2, 2.5], np.array([2.0, 2.5]), np.array([2, 2.5], dtype=object)])
def test_numbers_take_the_inputs_type(column: Any) -> None:
    """float64, objects and lists become the model's float32."""
    scores = OnnxModel(echo(TensorProto.FLOAT), ["a"]).score({"a": column}, 2)
    assert scores.predictions.dtype == np.float32
    assert scores.predictions.tolist() == [2.0, 2.5]


@pytest.mark.parametrize("column", [[1, None], np.array([1, None], dtype=object), np.array([1, np.nan])])
def test_a_missing_number_is_nan_and_a_prediction_may_not_be(column: Any) -> None:
    """What comes back as NaN is no answer."""
    with pytest.raises(Unscorable, match="not finite"):
        OnnxModel(echo(TensorProto.FLOAT), ["a"]).score({"a": column}, 2)


@pytest.mark.parametrize("column", [[1, None], np.array([1.0, np.nan]), np.array([1, None], dtype=object)])
def test_an_integer_that_is_missing_cannot_be_scored(column: Any) -> None:
    """int64 has no NaN: that is said, not guessed."""
    with pytest.raises(Unscorable, match=r"a missing value|NoneType"):
        OnnxModel(echo(TensorProto.INT64), ["a"]).score({"a": column}, 2)


BOOLEANS = ([True, None], [None, None], [False, float("nan")], ["yes", "no"])


@pytest.mark.parametrize("column", [*BOOLEANS, *(np.array(column, dtype=object) for column in BOOLEANS)])
@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_a_boolean_that_is_missing_cannot_be_scored(names: tuple[str, ...], column: Any) -> None:
    """It is neither true nor false, nor is a text one of them."""
    model = OnnxModel(echo(TensorProto.BOOL, names), names)
    with pytest.raises(Unscorable, match="a missing value in a column"):
        model.score(dict.fromkeys(names, column), 2)


@pytest.mark.parametrize(
    "column", [[True, False], [1, 0], np.array([True, False]), np.array([True, 0], dtype=object)]
)
def test_booleans_are_booleans(column: Any) -> None:
    """From a list and from an array, and from 1 and 0."""
    scores = OnnxModel(echo(TensorProto.BOOL), ["a"]).score({"a": column}, 2)
    assert scores.predictions.tolist() == [True, False]


@pytest.mark.parametrize("kind", [TensorProto.BOOL, TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize("inputs", [("a", "b"), ("matrix",)])
def test_an_optional_field_needs_an_input_that_can_be_missing(kind: int, inputs: tuple[str, ...]) -> None:
    """Whole numbers and booleans have no missing value: the model is refused before rows come, with what to do."""
    content = echo(kind, inputs)
    OnnxModel(content, ["a", "b"])
    with pytest.raises(
        Unusable, match=r"^b is optional, and its input, a tensor.*has no missing value: let the model"
    ):
        OnnxModel(content, ["a", "b"], optional=["b"])


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.STRING])
def test_a_float_or_a_text_may_be_missing(kind: int) -> None:
    """NaN and the empty text say so."""
    OnnxModel(echo(kind), ["a"], optional=["a"])


def answering(label: list[Any], probabilities: list[Any]) -> bytes:
    """A model of two outputs that are the same whatever comes: each tensor's entries, more than one as a sequence."""
    outputs, nodes = [], []
    for name, entries in (("label", label), ("probabilities", probabilities)):
        parts = [helper.make_node("Constant", [], [f"{name}{i}"], value=numpy_helper.from_array(np.array(entry)))
                 for i, entry in enumerate(entries)]  # fmt: skip
        operator = "SequenceConstruct" if len(parts) > 1 else "Identity"
        nodes += [*parts, helper.make_node(operator, [part.output[0] for part in parts], [name])]
        kind = helper.np_dtype_to_tensor_dtype(np.array(entries[0]).dtype)
        make = helper.make_tensor_sequence_value_info if len(parts) > 1 else helper.make_tensor_value_info
        outputs.append(make(name, kind, None))
    given = helper.make_tensor_value_info("a", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "g", [given], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


LABELS, CHANCES = [[1.0, 2.0]], [np.float32([[0.5, 0.5], [0.1, 0.9]])]


@pytest.mark.parametrize(
    ("label", "probabilities"),
    [
        ([[1.0], [1.0, 2.0]], CHANCES),
        (LABELS, [np.float32([0.5]), np.float32([0.5, 0.5])]),
        (LABELS, [np.array([["x"], ["y"]], dtype=object)]),
        (LABELS, [np.float32([[0.5, 0.5]])]),
        (LABELS, [np.float32([0.5, 0.5])]),
        (LABELS, [np.float32([[0.5], [np.nan]])]),
    ],
)
def test_an_output_of_another_form_is_no_answer(label: list[Any], probabilities: list[Any]) -> None:
    """Ragged, no numbers, too few rows, one dimension, not finite: each is Unscorable, whatever numpy raises."""
    assert OnnxModel(answering(LABELS, CHANCES), ["a"]).score({"a": [1.0, 2.0]}, 2).predictions.tolist() == [
        1,
        2,
    ]
    model = OnnxModel(answering(label, probabilities), ["a"])
    with pytest.raises(Unscorable):
        model.score({"a": [1.0, 2.0]}, 2)


def test_inputs_have_to_be_the_fields() -> None:
    """A field too many and one too few are both named."""
    with pytest.raises(Unusable, match="b, c"):
        OnnxModel(echo(TensorProto.FLOAT, ("a", "b")), ["a", "c"])


@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [(TensorProto.STRING, ["x", "y"], "string"), (TensorProto.FLOAT16, ["a"], "float16")],
)
def test_a_type_that_nobody_feeds_is_unusable(kind: int, fields: list[str], named: str) -> None:
    """A matrix of texts and half floats are refused when the model is loaded, not when rows come."""
    with pytest.raises(Unusable, match=named):
        OnnxModel(echo(kind), fields)


@pytest.mark.parametrize("shape", [[None, 6], [None, "d"], [None, 1, 2, 3]])
@pytest.mark.parametrize("name", ["image", "input"])
def test_a_vector_takes_its_inputs_shape(shape: list[Any], name: str) -> None:
    """By the field's name or as the only matrix, flat or as an image; the largest number comes back."""
    info = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    output = helper.make_tensor_value_info("label", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Flatten", [name], ["flat"]),
        helper.make_node("ReduceMax", ["flat"], ["label"], axes=[1], keepdims=1),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [info], [output]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=9,
    )
    onnx_model = OnnxModel(bytes(model.SerializeToString()), ["image"])
    scores = onnx_model.score({"image": [[1, 2, 3, 4, 5, 6.5], [0, 0, 0, 0, 0, 7]]}, 2)
    assert scores.predictions.tolist() == [6.5, 7.0]
    with pytest.raises(Unscorable):
        onnx_model.score({"image": [[1, 2, 3, 4, 5, 6], None]}, 2)
