"""Who shadows: a version that could take the champion's place, until it does."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from predictor.domain.model import Model
from predictor.domain.service import NoModel, Predictor
from scoring import Unusable
from servicekit.registry import ModelBundle
from summaries.profile import FieldSpec, Profile


def times(factor: float, name: str = "a") -> bytes:
    """``factor`` times the only field."""
    graph = helper.make_graph(
        [helper.make_node("Mul", [name, "factor"], ["y"])], "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.float32([factor]), "factor")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def bundle(version: str, name: str = "a", target: str = "y") -> ModelBundle:
    """Version v of model m multiplies by v."""
    profile = Profile.build(
        {name: [1.0, 2.0]}, [FieldSpec(name, "float32")], predictions=[1.0, 2.0], probabilities=None,
        target=target, classes=None, task="regression",
    ).to_dict()  # fmt: skip
    content = times(float(version), name)
    return ModelBundle("m", version, content, hashlib.sha256(content).hexdigest(), "", profile, [])


def version(number: str, name: str = "a", target: str = "y") -> Model:
    """The same, loaded."""
    found = bundle(number, name, target)
    return Model("m", number, found.onnx, found.profile)


async def nowhere(_: object) -> None:
    """Publishes nothing."""


@pytest.fixture
def predictor() -> Predictor:
    """Version 1 serves."""
    found = Predictor(nowhere)
    found.swap(version("1"))
    return found


def test_a_challenger_shadows_until_it_is_stopped(predictor: Predictor) -> None:
    """It stands beside the version that serves, and None ends it."""
    challenger = version("2")
    predictor.shadow(challenger)
    assert (predictor.model.version, predictor.challenger) == ("1", challenger)
    predictor.shadow(None)
    assert predictor.challenger is None


def test_a_promoted_challenger_shadows_no_more(predictor: Predictor) -> None:
    """Another version's promotion changes nothing, its own ends the shadowing."""
    predictor.shadow(version("2"))
    predictor.swap(version("3"))
    assert predictor.challenger is not None
    predictor.swap(version("2"))
    assert predictor.challenger is None


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (version("2", name="b"), "not compatible with version 1: a is gone; b"),
        (version("2", target="z"), "the target was y and is z"),
        (version("1"), "it serves already"),
    ],
)
def test_what_could_not_take_its_place_does_not_shadow(predictor: Predictor, odd: Model, said: str) -> None:
    """Other fields, another target and the version that serves are refused; who shadows goes on."""
    before = version("4")
    predictor.shadow(before)
    with pytest.raises(Unusable, match=said):
        predictor.shadow(odd)
    assert predictor.challenger is before


def test_nobody_shadows_nobody() -> None:
    """Without a version that serves there is no traffic to score."""
    with pytest.raises(NoModel):
        Predictor(nowhere).shadow(version("2"))
