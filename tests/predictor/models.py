"""Three small models, and the predictor that serves one over a hand-written Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from contracts.events import PredictionsMade
from onnx import TensorProto, helper, numpy_helper
from predictor.consumes.http import make_app
from predictor.domain.model import Model
from predictor.domain.service import Predictor
from predictor.produces.predictions import NotPublished
from servicekit.http import Health, bind, serve
from summaries.profile import FieldSpec, Profile

NOW = 1_700_000_000.0
_INPUTS = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}
PEOPLE = [
    FieldSpec("age", "float32", unit="a", description="age", min=0, max=150),
    FieldSpec("children", "int64", min=0),
    FieldSpec("income", "float32", optional=True),
    FieldSpec("member", "bool"),
    FieldSpec("town", "string", description="where", optional=True),
]
PERSON = {"age": 50.0, "children": 1, "income": None, "member": True, "town": "A"}


def _onnx(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> bytes:
    tensors = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def people(version: str = "1", bias: float = -4.0, fields: Sequence[FieldSpec] = PEOPLE) -> Model:
    """One input a feature; P(yes) = sigmoid(0.1 times the first + bias), the others are taken and ignored."""
    first = fields[0].name
    nodes = [
        helper.make_node("Mul", [first, "_slope"], ["_x"]),
        helper.make_node("Add", ["_x", "_bias"], ["_z"]),
        helper.make_node("Sigmoid", ["_z"], ["_p"]),
        helper.make_node("Sub", ["_one", "_p"], ["_q"]),
        helper.make_node("Concat", ["_q", "_p"], ["_probabilities"], axis=1),
        helper.make_node("ArgMax", ["_probabilities"], ["_at"], axis=1, keepdims=0),
        helper.make_node("Gather", ["_names", "_at"], ["_label"]),
    ]
    onnx_bytes = _onnx(
        nodes,
        [helper.make_tensor_value_info(f.name, _INPUTS[f.dtype], [None, 1]) for f in fields],
        [
            helper.make_tensor_value_info("_label", TensorProto.STRING, [None]),
            helper.make_tensor_value_info("_probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        {
            "_slope": np.float32([0.1]), "_bias": np.float32([bias]), "_one": np.float32([1]),
            "_names": np.array(["no", "yes"], dtype=object),
        },
    )  # fmt: skip
    samples = {"float32": [30.0, 40.0], "int64": [1, 2], "bool": [True, False], "string": ["A", "B"]}
    profile = Profile.build(
        {f.name: samples[f.dtype] for f in fields}, list(fields), predictions=["no", "yes"],
        probabilities={"no": [0.6, 0.4], "yes": [0.4, 0.6]}, target="answer", classes=["no", "yes"],
        task="classification",
    )  # fmt: skip
    return Model("m", version, onnx_bytes, profile.to_dict())


def sums() -> Model:
    """One matrix [N, 3] of floats; the prediction is the row's sum."""
    onnx_bytes = _onnx(
        [helper.make_node("ReduceSum", ["input", "axis"], ["variable"], keepdims=1)],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])],
        {"axis": np.int64([1])},
    )
    fields = [FieldSpec(name, "float32", min=-1000, max=1000) for name in "abc"]
    profile = Profile.build(
        {name: [1.0, 2.0] for name in "abc"}, fields, predictions=[3.0, 6.0], probabilities=None, target="sum",
        classes=None, task="regression",
    )  # fmt: skip
    return Model("sums", "7", onnx_bytes, profile.to_dict())


def pictures() -> Model:
    """One image [N, 2, 3] from -1 to 1; its class is 1 where its sum is above 0, else 0."""
    onnx_bytes = _onnx(
        [
            helper.make_node("ReduceSum", ["image", "axes"], ["total"], keepdims=0),
            helper.make_node("Greater", ["total", "zero"], ["above"]),
            helper.make_node("Cast", ["above"], ["label"], to=TensorProto.INT64),
        ],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 2, 3])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, [None])],
        {"axes": np.int64([1, 2]), "zero": np.float32(0)},
    )
    field = FieldSpec("image", "vector", description="an image", shape=(2, 3), min=-1, max=1)
    profile = Profile.build(
        {"image": [[0.5] * 6, [-0.5] * 6]}, [field], predictions=[1, 0], probabilities=None, target="above",
        classes=[0, 1], task="classification",
    )  # fmt: skip
    return Model("pictures", "3", onnx_bytes, profile.to_dict())


class Kafka:
    """What was published, unless it is ``broken``."""

    def __init__(self) -> None:
        self.published: list[PredictionsMade] = []
        self.broken = False

    def admit(self, size: int) -> None:
        """There is room."""

    def release(self, size: int) -> None:
        """There is more again."""

    async def publish(self, event: PredictionsMade) -> None:
        """Kafka, as far as the predictor sees it."""
        await asyncio.sleep(0)
        if self.broken:
            raise NotPublished("Kafka did not acknowledge")
        self.published.append(event)


def serving(
    model: Model | None,
    kafka: Kafka | None = None,
    *,
    limit: int = 100_000,
    required: bool = False,
    now: float = NOW,
    health: Health | None = None,
    **checks: Any,
) -> tuple[Any, Predictor]:
    """The outermost ASGI application, and the predictor behind it."""
    predictor = Predictor(kafka or Kafka())
    if model is not None:
        predictor.swap(model)
    health = health or Health(model=lambda: predictor.ready, **checks)
    app = make_app(predictor, health, max_body_bytes=limit, event_time_required=required, clock=lambda: now)
    return app, predictor


@contextlib.contextmanager
def over_http(app: Any) -> Iterator[str]:
    """``host:port`` of ``app``, served by uvicorn in a thread until the end of the block."""
    sock = bind("127.0.0.1", 0)  # so that a client may connect before the thread runs
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(app, "", 0, stop, sock=sock)))
    thread.start()
    try:
        yield "{}:{}".format(*sock.getsockname())
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
