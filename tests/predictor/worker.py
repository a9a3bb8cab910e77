"""``python -m predictor``, but for the registry: version v of any model multiplies its only field by v."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import servicekit.registry
from servicekit.registry import ModelBundle


class Registry:
    """As the real one; the alias is on version 1."""

    def __init__(self, _: str) -> None:
        pass

    def champion(self, model: str) -> str | None:
        """As the real one."""
        return "1"

    def bundle(self, model: str, version: str) -> ModelBundle:
        """As the real one."""
        content = times(float(version))
        return ModelBundle(model, version, content, hashlib.sha256(content).hexdigest(), "", profile(), [])


def times(factor: float) -> bytes:
    """``factor`` times the only field."""
    import numpy as np  # here, for the supervisor has no need of it
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Mul", ["a", "factor"], ["y"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.float32([factor]), "factor")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def profile() -> dict[str, Any]:
    """The profile of each version."""
    from summaries.profile import FieldSpec, Profile

    made = Profile.build(
        {"a": [1.0, 2.0]}, [FieldSpec("a", "float32")], predictions=[1.0, 2.0], probabilities=None, target="y",
        classes=None, task="regression",
    )  # fmt: skip
    return made.to_dict()


if __name__ == "__main__":
    servicekit.registry.Registry = Registry  # type: ignore[assignment, misc]
    from predictor.__main__ import main

    sys.exit(main())
