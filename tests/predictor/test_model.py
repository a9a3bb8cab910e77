"""A loaded version: both layouts of inputs, and what makes a version unusable."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from contracts.events import PredictionsMade
from onnx import TensorProto, helper, numpy_helper
from predictor.domain.model import Model
from predictor.domain.request import check
from predictor.domain.service import Predictor
from predictor.openapi.fields import features_schema
from predictor_models import people
from scoring import Unscorable, Unusable
from summaries.profile import FieldSpec, Profile

FIELDS = [FieldSpec("a", "float32"), FieldSpec("b", "float32", optional=True)]
PROFILE = Profile.build(
    {"a": [1.0, 2.0], "b": [1.0, 2.0]}, FIELDS, predictions=[2.0, 4.0], probabilities=None, target="sum",
    classes=None, task="regression",
).to_dict()  # fmt: skip


def regression(kind: int, fill: float = 0.0) -> bytes:
    """One tensor [N, 2] of ``kind`` in, the row's sum [N, 1] out; NaN counts as ``fill``."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [
        helper.make_node("IsNaN", ["input"], ["empty"]),
        helper.make_node("Where", ["empty", "fill", "input"], ["full"]),
        helper.make_node("ReduceSum", ["full", "axis"], ["variable"], keepdims=1),
    ]
    constants = [
        numpy_helper.from_array(np.array(fill, dtype=dtype), "fill"),
        numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("input", kind, [None, 2])],
        [helper.make_tensor_value_info("variable", kind, [None, 1])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class Kept:
    """A log in memory."""

    def __init__(self) -> None:
        self.events: list[PredictionsMade] = []

    def admit(self, size: int) -> None:
        """There is room."""

    def release(self, size: int) -> None:
        """There is more again."""

    async def publish(self, event: PredictionsMade) -> None:
        """Safe at once."""
        self.events.append(event)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_a_single_tensor_takes_the_fields_in_the_profiles_order(kind: int) -> None:
    """A model with one input [N, fields] of floats or doubles is served too; a missing value is NaN."""
    model = Model("m", "1", regression(kind), PROFILE)
    predictions, probabilities = model.score({"a": [1, 2, 3], "b": [10.0, 20.0, None]}, 3)
    assert predictions == [11.0, 22.0, 3.0]
    assert probabilities is None


def test_a_prediction_that_is_not_finite_is_no_prediction() -> None:
    """NaN has no JSON: it is an error here, not a null on the topic."""
    model = Model("m", "1", regression(TensorProto.FLOAT, fill=float("nan")), PROFILE)
    with pytest.raises(Unscorable, match="not finite"):
        model.score({"a": [1], "b": [None]}, 1)


@pytest.mark.parametrize("content", [b"", b"not a model", regression(TensorProto.FLOAT)[:-20]])
def test_broken_bytes_are_unusable(content: bytes) -> None:
    """Whatever onnxruntime raises, the outcome is one kind of error with a reason."""
    with pytest.raises(Unusable, match="cannot be loaded"):
        Model("m", "1", content, PROFILE)


def test_an_input_the_profile_does_not_know_is_unusable() -> None:
    """Inputs by column have to be the profile's fields."""
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 1]) for n in ("a", "c")]
    output = helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Add", ["a", "c"], ["variable"])], "g", infos, [output])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(Unusable, match="b, c"):
        Model("m", "1", bytes(content.SerializeToString()), PROFILE)


def test_an_optional_boolean_that_the_model_takes_as_a_boolean_is_unusable() -> None:
    """It would be scored as false where it is missing: the version is refused, and what to do is said."""
    fields = [FieldSpec("a", "float32"), FieldSpec("member", "bool")]
    assert people(fields=fields).name == "m"
    with pytest.raises(
        Unusable, match=r"member is optional, and its input, a tensor\(bool\), has no missing value"
    ):
        people(fields=[fields[0], FieldSpec("member", "bool", optional=True)])


def test_the_example_is_the_references_own() -> None:
    """It lies among the reference's values, so the documentation's example can be sent."""
    examples: dict[str, Any] = Model("m", "1", regression(TensorProto.FLOAT), PROFILE).examples
    assert set(examples) == {"a", "b"}
    assert all(value in (1.0, 2.0) for value in examples.values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "classification", "classes": ["1", "2"]}, "the task was regression and is classification"),
        ({"target": "total"}, "the target was sum and is total"),
    ],
)
def test_a_version_that_answers_something_else_does_not_take_over(change: dict[str, Any], said: str) -> None:
    """Other fields are not the only thing that clients would notice; the reason names what differs."""

    predictor = Predictor(Kept())
    predictor.swap(Model("m", "1", regression(TensorProto.FLOAT), PROFILE))
    with pytest.raises(Unusable, match=f"not compatible with version 1: {said}"):
        predictor.swap(Model("m", "2", regression(TensorProto.FLOAT), PROFILE | change))
    assert predictor.model.version == "1"


async def test_a_vector_is_scored_and_published_apart_from_the_features() -> None:
    """The model takes it as its matrix; on the topic it is in ``vectors``, and the example can be sent."""
    schema = [FieldSpec("image", "vector", shape=(1, 2), min=1, max=9)]
    profile = Profile.build(
        {"image": [[1, 2], [3, 4]]}, schema, predictions=[3.0, 7.0], probabilities=None, target="sum",
        classes=None, task="regression",
    ).to_dict()  # fmt: skip
    model = Model("m", "1", regression(TensorProto.FLOAT), profile)
    assert model.examples == {"image": [1.0, 1.0]}
    numbers = {"type": "number", "format": "float", "minimum": 1, "maximum": 9}
    assert features_schema(model)["properties"]["image"]["items"] == numbers
    log = Kept()
    columns = check(
        [{"image": [1, 2]}, {"image": [8.5, 1]}], None, model.fields, now=0, required=False, single=False
    )
    answer = await Predictor(log).predict(columns, model)
    assert answer.predictions == [3.0, 9.5]
    assert (log.events[0].features, log.events[0].vectors) == ({}, {"image": [[1, 2], [8.5, 1]]})
